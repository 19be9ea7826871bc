"""A diagnosis: what went wrong, whose fault it is, what to do next."""

from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """Who can mend it."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    THEIR_SERVER = "their server"
    OUR_SERVER = "our server"
    NETWORK = "network"
    NOBODY = "nobody"
    """Things take their course: greylisting, a full queue elsewhere."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Texts in one language. `cause` is the stable key that the journal keeps."""

    cause: str
    fault: Fault
    summary: str
    """One sentence for the person whose mail did not arrive."""
    advice: str
    """What to do next, in one or two sentences."""
