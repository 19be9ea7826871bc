"""A site that refuses this server for who it is: when mail is returned that waits for it.

It is asked every few hours whether it has thought better of it. An operator may want senders to
know earlier than after the days that mail waits otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Transaction
from merpati.journal.events import Attempt

_GIVEN_UP = "given up, since this site goes on refusing this server"
"""In `diagnosis.own_words` too."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A refusal that is about us."""

    reply: str
    cause: str


def judged(
    ready: Sequence[Transaction], listed: Listed, born: float, left: float, attempt: Attempt
) -> list[Outcome]:
    """What becomes of each: returned if it came before `born`, else it waits for `left` seconds.

    Nothing, when none is that old. While there are such, the cohort is not put on hold, so that
    all of them come by, those that came first before the others.
    """
    if all(one.entry.received > born for one in ready):
        return []
    # RFC 3463 §3.8: 5.7.1, not authorized; the site itself may have said that it is for now.
    reply = f"{_GIVEN_UP}: {listed.reply}"
    failed = Outcome(0, Result.FAILED, reply, "5.7.1", listed.cause, attempt)
    waits = Outcome(0, Result.UNTOUCHED, retry_after=left)
    return [failed if one.entry.received <= born else waits for one in ready]
