"""A feedback report (ARF, RFC 5965): a complaint about one message, or that its authentication
failed (RFC 6591, 9991). `report.arf` reads and writes it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a report says. Texts are a stranger's, clipped."""

    kind: str
    """Feedback-Type in lower case: abuse, fraud, auth-failure, not-spam …"""
    user_agent: str = ""
    incidents: int = 1
    ip: str = ""
    """Source-IP: whom the message came from."""
    sender: str = ""
    """Original-Mail-From, without angle brackets."""
    recipients: tuple[str, ...] = ()
    """Original-Rcpt-To."""
    arrived: str = ""
    """Arrival-Date, as it was written."""
    envelope_id: str = ""
    domains: tuple[str, ...] = ()
    """Reported-Domain."""
    failure: str = ""
    """Auth-Failure in lower case: dmarc, dkim, spf, signature, bodyhash …"""
    unaligned: tuple[str, ...] = ()
    """Identity-Alignment: the methods that did not pass for an aligned domain."""
    results: tuple[str, ...] = ()
    """Authentication-Results, for `authenticity.results` to read."""
    delivery: str = ""
    """Delivery-Result in lower case: delivered, spam, policy, reject, other."""
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_identity: str = ""
    spf_record: str = ""
    """SPF-DNS."""
    original: bytes = b""
    """The header section of the message that it is about, as far as it was given back."""
