"""A report as it is kept: what it says, and what is known of who sent it."""

from dataclasses import dataclass
from enum import Enum

from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.complaint import Complaint
from merpati.feedback.tls import TlsReport


class Proof(Enum):
    """Whether a report is from whom it says: anybody can write one in anybody's name."""

    PASSED = "passed"
    """The mail that brought it passed DMARC, or has a good signature of the domain in From."""
    FAILED = "failed"
    """That was looked at, and nothing proves it."""
    UNKNOWN = "unknown"
    """Nobody looked: it came from this machine, a network that is trusted or one who logged in, or
    strangers' mail is not examined at all."""


class Kind(Enum):
    """What a report is about."""

    AGGREGATE = "dmarc"
    TLS = "tls"
    COMPLAINT = "complaint"
    """About one message: somebody complained, or its authentication failed."""
    UNREADABLE = "unreadable"
    """Sent to the address for reports, and not understood: a person has to look."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What came in the place of a report."""

    why: str
    octets: bytes
    """As it came; of something large its beginning."""


Content = AggregateReport | TlsReport | Complaint | Unreadable


@dataclass(frozen=True, slots=True)
class Origin:
    """How a report came."""

    id: str
    """Of the message that brought it, by which its story is told; the report has the same."""
    at: float
    """Seconds since 1970 UTC."""
    author: str
    """The domain of From, lower case; empty where it has none."""
    proof: Proof
    evidence: str = ""
    """What was found of the message, as in Authentication-Results."""

    @property
    def is_believed(self) -> bool:
        """Whether what it says counts."""
        return self.proof is not Proof.FAILED


@dataclass(frozen=True, slots=True)
class Received:
    """A report and how it came."""

    origin: Origin
    content: Content
