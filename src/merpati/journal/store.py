"""The journal on SQLite, in the same file as the queue whose changes it tells."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apsw

from merpati.journal.events import Attempt, Event, Lifecycle
from merpati.journal.parties import Found
from merpati.journal.recent import Recent
from merpati.journal.rows import EventWriter, key, keys, told
from merpati.storage.database import Database
from merpati.storage.rows import rows

_DAY = 86_400
_EVENT = "seq, CAST(body AS BLOB)"
"""What `told` needs: damage can make a text of a body, and apsw reads no text that is not UTF-8."""


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Bounds of a journal."""

    noted: int = 10_000
    """Events that may wait in memory to ride with a commit; what comes on top is dropped, and
    the journal says how many."""
    recent: int = 4 * 1024 * 1024
    """Octets of the newest events that are kept in memory for who follows."""


class JournalStore:
    """`Journal` over a shard's database."""

    def __init__(self, database: Database, settings: JournalSettings | None = None) -> None:
        self._settings = settings or JournalSettings()
        self._recent = Recent(self._settings.recent)
        self.writer = EventWriter(self._recent)
        """For the queue, which writes its events in its own transactions."""
        self._database = database
        self._noted: list[Event] = []
        self._riding = 0
        self._dropped = 0
        database.on_commit(self._recent.commit)
        database.on_rollback(self.writer.forget)
        database.write_late(self.writer.write_late)

    def note(self, *events: Event) -> None:
        """Rides with the next commit, within the database's `ride` seconds."""
        room = self._settings.noted - self._riding - len(self._noted)
        if len(events) > room:
            self._dropped += len(events)
            return
        if not self._noted:
            asyncio.get_running_loop().call_soon(self._send_noted)
        self._noted.extend(events)

    def _send_noted(self) -> None:
        events, self._noted = self._noted, []
        if self._dropped:
            text = f"{self._dropped} events"
            events.append(Lifecycle(at=events[-1].at, what="journal dropped", detail=text))
            self._dropped = 0
        self._riding += len(events)
        job = self._database.job(partial(self.writer.write, events=events), rides=True)
        job.future.add_done_callback(partial(self._arrived, events))
        self._database.submit(job)

    def _arrived(self, events: list[Event], future: "asyncio.Future[None]") -> None:
        self._riding -= len(events)
        # Noted events may be lost with the disk, by their contract; but the loss is counted.
        if not future.cancelled() and future.exception() is not None:
            self._dropped += len(events)

    async def append(self, events: Sequence[Event]) -> None:
        """One transaction."""
        await self._database.write(partial(self.writer.write, events=events))

    async def follow(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """From memory if they are all there, else by the primary key."""
        recent = self._recent.after(after, limit)
        if recent is not None:
            return recent
        found = await self._rows(
            f"SELECT {_EVENT} FROM event WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - constants
            (after, limit),
        )
        return [(seq, told(seq, body)) for seq, body in found]

    async def last(self) -> int:
        """By the primary key."""
        ((seq,),) = await self._rows("SELECT coalesce(max(seq), 0) FROM event", ())
        return int(seq)

    async def story(self, message: str) -> list[Event]:
        """By the index of threads."""
        return await self._database.read(partial(_story, message=message)) if message else []

    async def search(self, address: str, limit: int) -> list[str]:
        """By the table of parties."""
        found = await self._rows(
            _named(address, "thread", "thread != ''"), (*_range(address), limit)
        )
        return list(dict.fromkeys(thread for (thread,) in found))

    async def refused(self, address: str, limit: int) -> list[Event]:
        """By the table of parties."""
        found = await self._rows(_named(address, _EVENT, "thread = ''"), (*_range(address), limit))
        return [told(*row) for row in found]

    async def forget(self, before: float, limit: int) -> int:
        """In one slice; call again while it removes `limit`. The newest event always stays, so
        that numbers are never given twice."""

        def work(connection: apsw.Connection) -> int:
            self._recent.clear()
            return _forget(connection, before, limit)

        return await self._database.write(work, rides=True)

    async def _rows(self, query: str, bindings: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return await self._database.read(lambda db: rows(db, query, bindings))


def _range(address: str) -> tuple[str, ...]:
    """Bindings for one address, or first and end of `@domain`: "A" is what follows "@"."""
    if not address.startswith("@"):
        return (key(address),)
    domain = address[1:].lower()
    return f"{domain}@", f"{domain}A"


def _named(address: str, columns: str, condition: str) -> str:
    where = "p.address >= ? AND p.address < ?" if address.startswith("@") else "p.address = ?"
    return (
        f"SELECT {columns} FROM (SELECT DISTINCT p.seq FROM party p WHERE {where}) "  # noqa: S608 - constants
        f"JOIN event USING (seq) WHERE {condition} ORDER BY seq DESC LIMIT ?"
    )


def _story(connection: apsw.Connection, message: str) -> list[Event]:
    events = _threads(connection, [message])
    named = {attempt.connection for attempt in map(_attempt, events.values()) if attempt}
    events |= _threads(connection, sorted(named - {""}))
    return [events[seq] for seq in sorted(events)]


def _attempt(event: Event) -> Attempt | None:
    return getattr(event, "attempt", None)


def _threads(connection: apsw.Connection, threads: Sequence[str]) -> dict[int, Event]:
    if not threads:
        return {}
    found = rows(
        connection,
        f"SELECT {_EVENT} FROM event WHERE thread != '' "  # noqa: S608 - constants
        "AND thread IN (SELECT value FROM carray(?))",
        (apsw.carray(tuple(threads)),),
    )
    return {seq: told(seq, body) for seq, body in found}


def _forget(connection: apsw.Connection, before: float, limit: int) -> int:
    day = int(before // _DAY)
    old = rows(
        connection,
        f"SELECT {_EVENT} FROM event WHERE at < ? AND seq < coalesce("  # noqa: S608 - constants
        "(SELECT min(seq) FROM day WHERE day > ?), (SELECT max(seq) FROM event)) "
        "ORDER BY seq LIMIT ?",
        (before, day, limit),
    )
    connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq, _ in old])
    connection.executemany(
        "DELETE FROM party WHERE address = ? AND seq = ?",
        [
            (found, seq)
            for seq, event in ((seq, told(seq, body)) for seq, body in old)
            if isinstance(event, Found)
            for found in keys(event)
        ],
    )
    connection.execute("DELETE FROM day WHERE day < ?", (day,))
    return len(old)
