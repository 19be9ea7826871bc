"""What came of one attempt for one recipient."""

from enum import Enum

import msgspec

from merpati.journal.events import Attempt


class Result(Enum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNTOUCHED = "untouched"
    """Nothing was tried for it: attempts and back-off stay as they are."""
    DAMAGED = "damaged"
    """What is stored of its message cannot be trusted: it is held until an operator has looked."""
    UNKNOWN = "unknown"
    """The end of the data left us and no verdict came: the host may have it."""


class Outcome(msgspec.Struct, frozen=True):
    """One recipient's result with the evidence."""

    n: int
    result: Result
    reply: str = ""
    """The remote words, or ours when no host spoke."""
    status: str = ""
    """Enhanced status code."""
    cause: str = ""
    """A key of the diagnosis texts."""
    attempt: Attempt | None = None
    retry_after: float | None = None
    """Seconds; None: the schedule decides."""
    elsewhere: bool = False
    """FAILED by what this host lacks before anything was sent: another of the site may have it."""
    relayed_without_dsn: bool = False
    """Delivered to a host that does not offer DSN: a SUCCESS notice is ours to send (relayed)."""
    relayed_without_deadline: bool = False
    """Delivered to a host that does not offer DELIVERBY, which the message wished for."""
