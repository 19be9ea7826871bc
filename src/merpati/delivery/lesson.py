"""What a conversation learns about its site, as values for whoever owns the site (`pool`).

Lessons arrive while the conversation runs; the owner keeps them in the site's `SiteMemory` (rungs
and limits for 24 h, what is waived of TLS for ten minutes and one host) and gives that to the
conversations it opens next.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from merpati.delivery.transaction import Switches
from merpati.diagnosis.replies import Meaning, Stage
from merpati.feedback.tls import ResultType
from merpati.smtp.rung import Rung


class Waived(IntEnum):
    """What a host is not asked for any more, since it failed in it and mail need not wait for it;
    more includes less."""

    NOTHING = 0
    PROOF = 1
    """The certificate of a domain whose policy is only tested (RFC 8461 §5)."""
    TLS = 2
    """What was opportunistic."""


@dataclass(frozen=True, slots=True)
class SiteMemory:
    """What is known about a site before a connection to it is opened."""

    rung: Rung = Rung.BDAT_LOOKAHEAD
    """The highest rung to try."""
    max_messages: int | None = None
    """Messages a connection; None: as many as its LIMITS allow."""
    max_rcpt: int = 100
    """Recipients a transaction."""
    waived: Waived = Waived.NOTHING
    """Of this host; the next connection goes without."""
    failure: ResultType | None = None
    """Why it was waived."""


NOTHING_KNOWN = SiteMemory()


def limited(memory: SiteMemory, switches: Switches) -> SiteMemory:
    """What is known, within what the operator says."""
    rung = memory.rung if switches.lookahead else max(memory.rung, Rung.NO_LOOKAHEAD)
    messages = [n for n in (memory.max_messages, switches.max_messages) if n is not None]
    return replace(
        memory,
        rung=rung,
        max_messages=min(messages, default=None),
        max_rcpt=min(memory.max_rcpt, switches.max_recipients or memory.max_rcpt),
    )


@dataclass(frozen=True, slots=True)
class LowerRung:
    """The server stumbled: from now on no higher than `rung`."""

    rung: Rung
    why: str


@dataclass(frozen=True, slots=True)
class MessageLimit:
    """The server closed at MAIL after this many good messages; it is no reason to slow down."""

    count: int


@dataclass(frozen=True, slots=True)
class RecipientLimit:
    """The server took no more than this many recipients; the rest came back UNTOUCHED."""

    count: int


@dataclass(frozen=True, slots=True)
class Waive:
    """The handshake failed over what was only wished for."""

    what: Waived
    failure: ResultType


@dataclass(frozen=True, slots=True)
class Setback:
    """A refusal that concerns more than its recipient.

    Classes: CONNECTION, RATE, STORAGE, REPUTATION and SENDER (its transaction's).
    """

    stage: Stage
    meaning: Meaning
    reply: str
    entry_id: str = ""
    """The message it happened to; empty before there was one."""
    tenant: str = ""
    """Whose message it was: a login, or the domain of its sender (`tenants`)."""


Lesson = LowerRung | MessageLimit | RecipientLimit | Waive | Setback
