"""Taking up a queue that an earlier process left."""

from dataclasses import dataclass

import apsw

from merpati.clock import Reading
from merpati.journal.rows import EventWriter
from merpati.queue.leaping import follow
from merpati.queue.putting import adopt
from merpati.storage.rows import rows


@dataclass(frozen=True, slots=True)
class Opened:
    """What a queue must know before its first message."""

    next_message: int
    holds: dict[str, float]
    waits: bool
    """Whether anything waits at all."""


def open_queue(connection: apsw.Connection, events: EventWriter, reading: Reading) -> Opened:
    """What was in hand waits again, drafts are abandoned, idle lanes and sites are forgotten."""
    follow(connection, events, reading)
    now = reading.time
    adopt(connection)
    connection.execute("UPDATE draft SET abandoned = 1")
    connection.execute(
        "DELETE FROM lane WHERE waiting = 0 "
        "AND id NOT IN (SELECT lane FROM recipient WHERE state = 2)"
    )
    connection.execute(
        "DELETE FROM site WHERE hold <= ? AND id NOT IN (SELECT site FROM lane)", (now,)
    )
    return Opened(
        _next_message(connection),
        dict(rows(connection, "SELECT name, hold FROM site WHERE hold > ?", (now,))),
        bool(connection.execute("SELECT EXISTS (SELECT 1 FROM site WHERE ready IS NOT NULL)").get),
    )


def _next_message(connection: apsw.Connection) -> int:
    # Recipients, debts and chunks belong to one of these, so a number behind both is free.
    last = connection.execute(
        "SELECT max(coalesce((SELECT max(id) FROM message), 0), "
        "coalesce((SELECT max(id) FROM draft), 0))"
    ).get
    return int(last) + 1
