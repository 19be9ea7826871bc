"""Tallies on SQLite, in the file that all workers of a node share."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import apsw

from merpati.feedback.received import Kind
from merpati.feedback.tallies import Bounds, Due, Progress, Standing, Subject, Tally
from merpati.storage.database import Database
from merpati.storage.rows import rows

_TAKEN = (
    "id, token, day, kind, domain, name, record, reasons, left_out, message, mailed, posts, begun"
)


class TallyStore:
    """`Tallies` over a database of kind FEEDBACK."""

    def __init__(self, database: Database, bounds: Bounds | None = None) -> None:
        self._database = database
        self._bounds = bounds or Bounds()

    async def cursor(self, shard: int) -> int | None:
        """By the writer, so that it is behind every `add` that was begun."""

        def ask(connection: apsw.Connection) -> int | None:
            found = rows(connection, "SELECT seq FROM tally_cursor WHERE shard = ?", (shard,))
            return int(found[0][0]) if found else None

        return await self._database.write(ask)

    async def add(self, shard: int, cursor: int, tallies: Sequence[Tally]) -> None:
        """One transaction."""

        def change(connection: apsw.Connection) -> None:
            families: dict[Subject, int] = {}
            for tally in tallies:
                _Addition(connection, self._bounds, tally, families).make()
            connection.execute("INSERT OR REPLACE INTO tally_cursor VALUES (?, ?)", (shard, cursor))

        await self._database.write(change)

    async def take(self, shard: int, now: float, until: float) -> Due | None:
        """By the index of what is due."""
        return await self._database.write(partial(_take, shard=shard, now=now, until=until))

    async def keep(self, due: Due, progress: Progress, until: float) -> bool:
        """Where the token is still the same."""
        values = (
            progress.message,
            progress.is_mailed,
            "\n".join(progress.posts),
            progress.begun,
            until,
            due.id,
            due.token,
        )

        def change(connection: apsw.Connection) -> bool:
            connection.execute(
                "UPDATE tally SET message = ?, mailed = ?, posts = ?, begun = ?, due = ? "
                "WHERE id = ? AND token = ?",
                values,
            )
            return connection.changes() == 1

        return await self._database.write(change)

    async def finish(self, due: Due) -> None:
        """Rows and all; the day's numbers stay, so that a day's bounds are bounds."""

        def change(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM tally WHERE id = ? AND token = ?", (due.id, due.token))
            if connection.changes():
                connection.execute("DELETE FROM tally_row WHERE tally = ?", (due.id,))

        await self._database.write(change)

    async def hasten(self, day: int) -> int:
        """Those that nobody has taken."""

        def change(connection: apsw.Connection) -> int:
            connection.execute("UPDATE tally SET due = 0 WHERE day <= ? AND token = 0", (day,))
            return connection.changes()

        return await self._database.write(change)

    async def standing(self) -> Standing:
        """Counted."""

        def ask(connection: apsw.Connection) -> Standing:
            found = rows(connection, "SELECT kind, count(*) FROM tally GROUP BY kind")
            ((left_out,),) = rows(connection, "SELECT coalesce(sum(left_out), 0) FROM tally_day")
            return Standing({Kind(kind): number for kind, number in found}, left_out)

        return await self._database.read(ask)

    async def forget(self, before: int) -> int:
        """In one transaction: of most days nothing is left."""

        def change(connection: apsw.Connection) -> int:
            connection.execute(
                "DELETE FROM tally_row WHERE tally IN (SELECT id FROM tally WHERE day < ?)",
                (before,),
            )
            connection.execute("DELETE FROM tally_day WHERE day < ?", (before,))
            connection.execute("DELETE FROM tally WHERE day < ?", (before,))
            return connection.changes()

        return await self._database.write(change)


class _Addition:
    """One tally on its way into the running transaction."""

    def __init__(
        self,
        connection: apsw.Connection,
        bounds: Bounds,
        tally: Tally,
        families: dict[Subject, int],
    ) -> None:
        """`families`: those that were counted in this transaction."""
        self._db = connection
        self._bounds = bounds
        self._tally = tally
        self._families = families
        subject = tally.subject
        self._of_day = (subject.day, subject.kind.value)
        self._left_out = tally.left_out

    def make(self) -> None:
        """Add what there is room for, and count the rest."""
        self._db.execute("INSERT OR IGNORE INTO tally_day VALUES (?, ?, 0, 0, 0)", self._of_day)
        ((domains, of_all),) = rows(
            self._db, "SELECT domains, rows FROM tally_day WHERE day = ? AND kind = ?", self._of_day
        )
        found = rows(
            self._db,
            "SELECT id, rows FROM tally WHERE day = ? AND kind = ? AND domain = ? AND token = 0",
            (*self._of_day, self._tally.subject.domain),
        )
        if found:
            ((id_, of_subject),) = found
        elif domains < self._bounds.domains and self._has_family_room(domains):
            id_, of_subject = self._begin(), 0
        else:
            self._no_room()
            return
        added = self._add_rows(id_, of_subject, of_all)
        self._tell(id_, added)

    def _has_family_room(self, domains: int) -> bool:
        if 2 * domains < self._bounds.domains:
            return True
        subject = self._tally.subject
        name = subject.family
        family = replace(subject, domain=name)
        if family not in self._families:
            # A millisecond or two, once a transaction.
            ((count,),) = rows(
                self._db,
                "SELECT count(*) FROM tally WHERE day = ?1 AND kind = ?2 AND token = 0 "
                "AND (domain = ?3 OR substr(domain, -length(?4)) = ?4)",
                (*self._of_day, name, f".{name}"),
            )
            self._families[family] = count
        has_room = self._families[family] < self._bounds.family
        self._families[family] += has_room
        return has_room

    def _begin(self) -> int:
        tally = self._tally
        self._db.execute(
            "INSERT INTO tally (day, kind, domain, name, record, reasons, left_out, rows, due) "
            "VALUES (?, ?, ?, ?, '', 0, 0, 0, ?)",
            (*self._of_day, tally.subject.domain, tally.name, tally.due),
        )
        id_ = self._db.last_insert_rowid()
        self._db.execute(
            "UPDATE tally_day SET domains = domains + 1 WHERE day = ? AND kind = ?", self._of_day
        )
        return id_

    def _no_room(self) -> None:
        count = self._left_out + sum(self._tally.rows.values())
        self._db.execute(
            "UPDATE tally_day SET left_out = left_out + ? WHERE day = ? AND kind = ?",
            (count, *self._of_day),
        )

    def _add_rows(self, id_: int, of_subject: int, of_all: int) -> int:
        room = self._room(of_subject, of_all)
        added = 0
        for row, count in self._tally.rows.items():
            self._db.execute(
                "UPDATE tally_row SET count = count + ? WHERE tally = ? AND row = ?",
                (count, id_, row),
            )
            if self._db.changes():
                continue
            if added < room:
                self._db.execute("INSERT INTO tally_row VALUES (?, ?, ?)", (id_, row, count))
                added += 1
            else:
                self._left_out += count
        return added

    def _room(self, of_subject: int, of_all: int) -> int:
        wanted, bounds = of_subject + len(self._tally.rows), self._bounds
        of_family = of_subject
        # Most have few, and then their family makes no difference.
        if wanted > bounds.own_rows:
            name = self._tally.subject.family
            query = (
                "SELECT coalesce(sum(rows), 0) FROM tally WHERE day = ?1 AND kind = ?2 "
                "AND (domain = ?3 OR substr(domain, -length(?4)) = ?4)"
            )
            ((of_family,),) = rows(self._db, query, (*self._of_day, name, f".{name}"))
        return bounds.room(of_all, of_subject, of_family)

    def _tell(self, id_: int, added: int) -> None:
        tally = self._tally
        self._db.execute(
            "UPDATE tally SET record = ?, reasons = reasons + ?, left_out = left_out + ?, "
            "rows = rows + ? WHERE id = ?",
            (tally.record, tally.reasons, self._left_out, added, id_),
        )
        self._db.execute(
            "UPDATE tally_day SET rows = rows + ? WHERE day = ? AND kind = ?",
            (added, *self._of_day),
        )


def _take(connection: apsw.Connection, *, shard: int, now: float, until: float) -> Due | None:
    found = rows(
        connection,
        f"SELECT {_TAKEN} FROM tally WHERE due <= ? "  # noqa: S608 - constants
        "AND (message = '' OR mailed OR shard = ?) ORDER BY due, id LIMIT 1",
        (now, shard),
    )
    if not found:
        return None
    id_, token, day, kind, domain, name, record, reasons, left_out, *progress = found[0]
    connection.execute(
        "UPDATE tally SET token = token + 1, shard = ?, due = ? WHERE id = ?", (shard, until, id_)
    )
    message, is_mailed, posts, begun = progress
    return Due(
        id=id_,
        token=token + 1,
        subject=Subject(day, Kind(kind), domain),
        name=name,
        record=record,
        reasons=reasons,
        left_out=left_out,
        rows=tuple(rows(connection, "SELECT row, count FROM tally_row WHERE tally = ?", (id_,))),
        progress=Progress(
            message, bool(is_mailed), tuple(posts.split("\n") if posts else ()), begun
        ),
    )
