"""Reports as rows: keep, list, give back, remove."""

from collections.abc import Sequence
from typing import Any

import apsw

from merpati.feedback.feedback import Line, Room, Selection
from merpati.feedback.filing import Filed, filed, whole
from merpati.feedback.received import Kind, Origin, Proof, Received
from merpati.storage.rows import Insert, rows

_AT_ONCE = 100
"""Reports that go for one that comes: also where the room was made much smaller."""
_REPORT = (
    "INSERT OR IGNORE INTO report (id, kind, at, author, proof, evidence, domain, organization, "
    "report_id, begin, until, total, failed, why, octets, told) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SOURCES = Insert(
    "source (report, n, ip, messages, dkim, spf, disposition, forwarded, signer, envelope)",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)
_SESSIONS = Insert(
    "tls_sessions (report, n, domain, policy, succeeded, failed)", "(?, ?, ?, ?, ?, ?)"
)
_FAULTS = Insert(
    "tls_fault (report, sessions, n, result, host, reason, failed)", "(?, ?, ?, ?, ?, ?, ?)"
)
_LINES = (
    "SELECT kind, id, at, author, proof, evidence, domain, organization, report_id, begin, until, "
    "total, failed, why FROM report WHERE ?1 IN ('', domain) AND at >= ?2 AND ?3 IN ('', kind) "
    "ORDER BY at DESC, number DESC LIMIT ?4"
)
_WHOLE = "SELECT kind, id, at, author, proof, evidence, told FROM report WHERE id = ?"
_TAKEN = "SELECT count(*), total(octets) FROM report"
# What nobody proved goes first; then the oldest of whoever has most of what there is too much of:
# a stranger who sends many good reports of his own pushes out these and not those of others.
_UNPROVEN = "SELECT number FROM report WHERE proof = 'failed' ORDER BY at, number LIMIT 1"
_OF_THE_BUSIEST = (
    "SELECT number FROM report WHERE author = (SELECT author FROM report GROUP BY author "
    "ORDER BY count(*) DESC, author LIMIT 1) ORDER BY at, number LIMIT 1"
)
_OF_THE_LARGEST = (
    "SELECT number FROM report WHERE author = (SELECT author FROM report GROUP BY author "
    "ORDER BY total(octets) DESC, author LIMIT 1) ORDER BY at, number LIMIT 1"
)


class Rows:
    """Over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def keep(self, report: Received, room: Room) -> bool:
        """See `Feedback`."""
        file = filed(report)
        if not self._insert(report.origin, file):
            return False
        self._insert_below(self._connection.last_insert_rowid(), file)
        self._make_room(room, _AT_ONCE)
        return True

    def reports(self, selection: Selection) -> list[Line]:
        """See `Feedback`."""
        kind = selection.kind.value if selection.kind else ""
        asked = (selection.domain, selection.since, kind, selection.most)
        return [_line(row) for row in rows(self._connection, _LINES, asked)]

    def report(self, id_: str) -> Received | None:
        """See `Feedback`."""
        found = rows(self._connection, _WHOLE, (id_,))
        return next((_received(row) for row in found), None)

    def forget(self, now: float, room: Room, most: int) -> int:
        """See `Feedback`."""
        query = "SELECT number FROM report WHERE at < ? LIMIT ?"
        old = rows(self._connection, query, (now - room.age, most))
        for (number,) in old:
            self._remove(number)
        return len(old) + self._make_room(room, most - len(old))

    def _insert(self, origin: Origin, file: Filed) -> bool:
        came = (origin.at, origin.author, origin.proof.value, origin.evidence)
        about = (file.domain, file.organization, file.report_id, file.begin, file.end)
        sums = (file.total, file.failed, file.why, file.octets, file.told)
        values = (origin.id, file.kind.value, *came, *about, *sums)
        self._connection.execute(_REPORT, values)
        return self._connection.changes() > 0

    def _insert_below(self, number: int, file: Filed) -> None:
        numbered = enumerate(file.sources)
        _SOURCES.run(self._connection, [(number, n, *source) for n, source in numbered])
        numbered_too = enumerate(file.sessions)
        _SESSIONS.run(self._connection, [(number, n, *each) for n, each in numbered_too])
        faults = [(number, of, n, *told) for n, (of, *told) in enumerate(file.faults)]
        _FAULTS.run(self._connection, faults)

    def _make_room(self, room: Room, most: int) -> int:
        """How many went for it."""
        for gone in range(most):
            count, octets = rows(self._connection, _TAKEN)[0]
            if count <= room.reports and octets <= room.octets:
                return gone
            too_many = count > room.reports
            of_most = _OF_THE_BUSIEST if too_many else _OF_THE_LARGEST
            victims = rows(self._connection, _UNPROVEN) or rows(self._connection, of_most)
            self._remove(victims[0][0])
        return max(0, most)

    def _remove(self, number: int) -> None:
        for statement in (
            "DELETE FROM source WHERE report = ?",
            "DELETE FROM tls_sessions WHERE report = ?",
            "DELETE FROM tls_fault WHERE report = ?",
            "DELETE FROM report WHERE number = ?",
        ):
            self._connection.execute(statement, (number,))


def _line(row: Sequence[Any]) -> Line:
    kind, id_, at, author, proof, evidence, *rest = row
    return Line(Kind(kind), Origin(id_, at, author, Proof(proof), evidence), *rest)


def _received(row: Sequence[Any]) -> Received:
    kind, id_, at, author, proof, evidence, told = row
    return Received(Origin(id_, at, author, Proof(proof), evidence), whole(Kind(kind), told))
