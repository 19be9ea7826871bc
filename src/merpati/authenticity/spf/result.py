"""What a check of SPF found, with the evidence."""

from dataclasses import dataclass
from enum import Enum

from merpati.authenticity.seen import Seen
from merpati.errors import MerpatiError


class Result(Enum):
    """The results of RFC 7208 §2.6."""

    NONE = "none"
    """No record, or no domain that could have one."""
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Identity(Enum):
    """What of the client was checked (RFC 7208 §2.3, §2.4)."""

    HELO = "helo"
    MAIL_FROM = "mailfrom"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A result and how it came about. Every text is bounded."""

    result: Result
    identity: Identity
    domain: str
    """Whose record was asked for first; empty where there is no such domain."""
    why: str
    """For people, without a stranger's words."""
    seen: tuple[Seen, ...] = ()
    """What was found at `domain`, then at each name that records refer to by include and redirect,
    as they were asked for. Of a name with several records two."""
    mechanism: str = ""
    """The directive that decided, as it is written in the record of `at`."""
    at: str = ""
    """The domain whose record decided, or failed: behind redirect and include it is another."""
    path: tuple[str, ...] = ()
    """Whose records led there, through all includes that matched: the last one lists the host, or
    is at fault. Empty: no mechanism matched."""
    lookups: int = 0
    """Of the ten terms that may ask the DNS (RFC 7208 §4.6.4)."""
    void_lookups: int = 0
    explanation: str = ""
    """What the domain tells those whom it fails (exp=): a stranger's words, printable ASCII."""

    @property
    def record(self) -> str:
        """The beginning of the domain's record, as printable ASCII."""
        return self.seen[0].record if self.seen else ""


class SpfError(MerpatiError):
    """A record that cannot be read, or a check that cannot go on, which ends in its Verdict."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(why)
        self.result = result
        self.why = why
