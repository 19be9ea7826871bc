"""What a server connection offers and where its limits are."""

from dataclasses import dataclass
from enum import Enum

from merpati.smtp.extensions import Extension


class Protocol(Enum):
    """Which of the two sisters is spoken."""

    SMTP = "SMTP"
    LMTP = "LMTP"
    """RFC 2033: LHLO, and one reply for each recipient after the content."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One for all connections of a port. Sizes in octets, times in seconds."""

    hostname: str
    """Said in the greeting and in the answer to EHLO."""
    protocol: Protocol = Protocol.SMTP
    extensions: frozenset[Extension] = frozenset(Extension)
    """What may be offered. BINARYMIME needs CHUNKING beside it; REQUIRETLS waits for TLS."""
    starttls: bool = False
    """Offer STARTTLS while the connection is in the clear."""
    auth: tuple[str, ...] = ()
    """SASL mechanisms under TLS, upper case, best first."""
    auth_by_certificate: tuple[str, ...] = ()
    """Those besides that a client is offered who has shown a valid certificate."""
    auth_in_clear: tuple[str, ...] = ()
    """SASL mechanisms without TLS."""
    max_size: int = 50 * 1024 * 1024
    """Of a message; said with SIZE."""
    max_recipients: int = 1000
    """Of a transaction, said with LIMITS; one more gets 452 (RFC 5321 §4.5.3.1.10)."""
    max_command_line: int = 4096
    """With CRLF: 512 (RFC 5321 §4.5.3.1.4) and room for every extension's parameters."""
    max_auth_line: int = 12_288
    """Of AUTH and its responses, with CRLF (RFC 4954 §4)."""
    max_text_line: int = 1000
    """Of content, with CRLF (RFC 5321 §4.5.3.1.6). Does not bind BINARYMIME."""
    max_errors: int = 20
    """Mistakes of the peer in one session; the last one closes it."""
    min_deliver_by: int = 0
    """The shortest BY= that is taken with mode R (RFC 2852 §3); 0: any."""
    max_hold: int = 7 * 86_400
    """The longest HOLDFOR= (RFC 4865)."""
