"""Why a conversation ended, so that its owner knows what to do next."""

from dataclasses import dataclass, field
from enum import Enum

from merpati.diagnosis.own_words import cause_of
from merpati.diagnosis.replies import Meaning, Stage


class Ending(Enum):
    """The reason, each with what it asks of the pool."""

    IDLE = "idle"
    """Nothing was ready, or the server closed an idle connection. Nothing to react to."""
    AGE = "age"
    """It was open long enough; open another if there is work."""
    QUOTA = "quota"
    """The messages a connection may carry were carried; open another if there is work."""
    FRESH_START = "fresh start"
    """Too many refused transactions in a row, or a failed BDAT; open another if there is work."""
    UNREACHABLE = "unreachable"
    """No connection was made, or it was lost before the greeting: suspend the host."""
    OURS = "ours"
    """We had no descriptor or memory for it, or could not read what we know of it: the host was not
    asked, and nothing is held against it."""
    TURNED_AWAY = "turned away"
    """Greeting or EHLO refused, or 421: `meaning` says which rule applies."""
    LOST = "lost"
    """EOF, reset or time-out after the greeting."""
    TLS_FAILED = "tls failed"
    """Required TLS is not to be had here: another host, or later."""
    AUTH_FAILED = "auth failed"
    """The login was refused or no common mechanism: the route is broken until someone mends it."""
    CONFUSED = "confused"
    """The server spoke nonsense or out of turn; a LowerRung was handed over."""


@dataclass(frozen=True, slots=True)
class End:
    """How a conversation ended."""

    ending: Ending
    why: str = ""
    """For the journal: our words or the remote reply."""
    stage: Stage | None = None
    """Where, for UNREACHABLE, TURNED_AWAY, LOST, TLS_FAILED, AUTH_FAILED, CONFUSED."""
    meaning: Meaning | None = None
    """What the refusal meant, when a reply was the reason."""
    transactions: int = 0
    """How many were settled on this connection."""
    connection: str = field(default="", compare=False)
    """Names the Opened event of a connection that never stood."""
    tls: str = field(default="", compare=False)
    """Version and cipher, if it was encrypted before it failed."""
    policy: str = field(default="", compare=False)
    """Who decided what its host had to prove."""
    failure: str = field(default="", compare=False)
    """What its TLS lacked, as in `Opened`."""

    def cause(self, *, on_a_route: bool) -> str:
        """What is told of it: the words of the failure say more than how it ended."""
        if self.meaning:
            return self.meaning.cause
        by_ending = _CAUSES.get(self.ending, "site-down")
        # A refused STARTTLS leaves a reply, which would be read as one to a greeting.
        if self.ending not in _TOLD_BY_WORDS or self.why[:1].isdigit():
            return by_ending
        return cause_of(self.why, on_a_route=on_a_route) or by_ending


_CAUSES = {
    Ending.UNREACHABLE: "host-unreachable",
    Ending.LOST: "connection-lost",
    Ending.TLS_FAILED: "tls-failed",
    Ending.AUTH_FAILED: "auth-failed",
    Ending.CONFUSED: "protocol-error",
}
_TOLD_BY_WORDS = (Ending.UNREACHABLE, Ending.TLS_FAILED)
