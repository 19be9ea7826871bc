"""Whose mail it is, and of what kind: what keeps one sender's mass from standing before all others.

Mail that goes the same way is taken tenant by tenant, and where single messages and bulk mail are
due together, four turns of five go to the single ones: a newsletter to a hundred thousand people
delays nobody's password mail.
"""

from typing import NamedTuple

from merpati.queue.entry import Entry

TURNS = 5
"""One of so many is bulk mail's, where other mail is due."""


class Flow(NamedTuple):
    """Mail of one tenant and one kind."""

    tenant: str = ""
    """The login, else the domain of the sender; empty for what strangers send, who could invent as
    many as they like."""
    is_bulk: bool = False


def flow_of(entry: Entry) -> Flow:
    """What a message belongs to."""
    if not entry.is_ours:
        return Flow("", entry.is_bulk)
    sender = entry.envelope.sender
    return Flow(entry.client.login or (sender.domain if sender else ""), entry.is_bulk)


def kept_from_bulk(count: int) -> int:
    """What of so many places is no bulk mail's: a quarter, rounded up; nothing of one."""
    return -(-count // 4) if count >= 2 else 0


def bulk_share(room: int, turn: int) -> int:
    """How much of `room` is kept for bulk mail at the `turn`-th time: a fifth in the long run, also
    where the room is less than five."""
    return (room + turn % TURNS) // TURNS
