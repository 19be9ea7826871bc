"""Whether reports can be read, and their rows belong to one."""

import zlib
from collections.abc import Iterator

import apsw
import msgspec

from merpati.feedback.filing import whole
from merpati.feedback.received import Kind
from merpati.storage.connection import Kind as Files
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import UNREADABLE, Seen
from merpati.storage.rows import rows
from merpati.storage.sums import Told, verify_sums

_LIMIT = 1000
"""Of one kind that are told."""
_OF = "(SELECT id FROM report WHERE number = {}.report)"
_TOLD = {
    "report": Told("report {}", "id", Damage.REPORT),
    "source": Told("a sender in report {}", _OF.format("source"), Damage.REPORT),
    "tls_sessions": Told("sessions in report {}", _OF.format("tls_sessions"), Damage.REPORT),
    "tls_fault": Told("a failure in report {}", _OF.format("tls_fault"), Damage.REPORT),
}


def verify_feedback(connection: apsw.Connection, seen: Seen) -> Iterator[Finding]:
    """Everything that is wrong with what others reported."""
    try:
        seen("reports", connection.execute("SELECT count(*) FROM report").get)
        numbers = [number for (number,) in rows(connection, "SELECT number FROM report")]
        for number in numbers:
            yield from _report(connection, number)
        for table in ("source", "tls_sessions", "tls_fault"):
            yield from _strays(connection, table)
        yield from verify_sums(connection, Files.FEEDBACK, _TOLD)
    except UNREADABLE as error:
        yield Finding(Damage.ROWS, f"reports cannot be read: {error}")


def _report(connection: apsw.Connection, number: int) -> Iterator[Finding]:
    # One at a time: a report may take megabytes, and it may be gone by now.
    query = "SELECT id, kind, told FROM report WHERE number = ?"
    for id_, kind, told in rows(connection, query, (number,)):
        try:
            whole(Kind(kind), told)
        except (ValueError, TypeError, zlib.error, msgspec.MsgspecError):
            yield Finding(Damage.REPORT, "what it says cannot be read", id_)


def _strays(connection: apsw.Connection, table: str) -> Iterator[Finding]:
    query = (
        f"SELECT DISTINCT report FROM {table} "  # noqa: S608 - constants
        f"WHERE report NOT IN (SELECT number FROM report) LIMIT {_LIMIT}"
    )
    for (number,) in rows(connection, query):
        yield Finding(Damage.REPORT, f"rows of report number {number}, which is gone")
