"""What many reports say together, of one domain and a stretch of time.

Reports that are proven not to be from whom they say (`Proof.FAILED`) count nowhere here: who forges
one could make a bad policy look good, or a good one bad.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One address that sent mail in a domain's name."""

    domain: str
    ip: str
    messages: int
    by_dkim: int
    """Messages with a good signature of a domain that is aligned."""
    by_spf: int
    passed: int
    """By either, so that they passed DMARC."""
    quarantined: int
    rejected: int
    """What the reporters did with them."""
    forwarded: int
    """Messages that failed and of which a reporter says that somebody passed them on."""
    signer: str
    """A domain with good signatures on messages that failed, hence not aligned; empty for none."""
    envelope: str
    """The same of MAIL FROM: a domain for which SPF passed."""
    reporters: int
    last: float
    """When the newest report about it ends."""

    @property
    def failed(self) -> int:
        """Messages that did not pass DMARC."""
        return self.messages - self.passed


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a domain's mail did with DMARC, for advice on its policy."""

    domain: str
    messages: int
    passed: int
    doubtful: int
    """Messages that failed and may be the domain's own: of a source of which others passed, or
    that passed for another domain and were not all passed on by somebody."""
    reports: int
    reporters: tuple[str, ...]
    """Domains that sent these reports, busiest first; ten at most."""
    unproven: int
    """Reports that are not counted."""
    first: float
    last: float
    """When the oldest of them begins and the newest ends; 0 where there is none."""
    failing: tuple[Source, ...]
    """Where the most failed, first; twenty at most."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which sessions failed."""

    result: str
    """RFC 8460 §4.3, or the reporter's own word."""
    sessions: int
    host: str
    """Our host that they were with; empty where it was not told."""
    reason: str
    """The reporter's own words; empty for none."""
    reporters: int
    last: float


@dataclass(frozen=True, slots=True)
class Sessions:
    """How TLS went with a domain's hosts."""

    domain: str
    policy: str
    """sts, tlsa, no-policy-found."""
    succeeded: int
    failed: int
    reporters: int
    faults: tuple[Fault, ...]
    """Most sessions first; twenty at most."""
