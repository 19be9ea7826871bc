"""Counting again what can be counted from the rows themselves, while nobody else works on them.

Nothing that was accepted is changed or removed: only where and when a claim looks for it.
"""

import apsw

from merpati.queue.flow import flow_of
from merpati.queue.lanes import Lanes, find_site, look_at_all_sites
from merpati.queue.rows import decode_entry
from merpati.queue.way import forced_of, way_of
from merpati.storage.errors import StorageError
from merpati.storage.rows import rows

_ASTRAY = (
    "SELECT r.message, r.n, m.entry FROM recipient r JOIN message m ON m.id = r.message "
    "WHERE NOT EXISTS (SELECT 1 FROM lane WHERE id = r.lane)"
)
_WITHOUT_SITE = "SELECT id, domain, route FROM lane WHERE site NOT IN (SELECT id FROM site)"
_COUNT = (
    "UPDATE lane SET waiting = (SELECT count(*) FROM recipient WHERE lane = lane.id AND state = 0),"
    " ready = (SELECT min(due) FROM recipient WHERE lane = lane.id AND state = 0)"
)
_STAYS = (
    "UPDATE message SET stays = 1 WHERE stays = 0 "
    "AND id IN (SELECT message FROM recipient WHERE state IN (0, 2))"
)


def repair_queue(connection: apsw.Connection) -> None:
    """Indexes, lanes, sites and what expires, made anew from recipients and entries, in one
    transaction. apsw.Error when the file is too damaged for it; then nothing was changed."""
    with connection:
        connection.execute("REINDEX").fetchall()
        _find_lanes(connection)
        for lane, domain, route in rows(connection, _WITHOUT_SITE):
            site = find_site(connection, forced_of(route) or domain)
            connection.execute("UPDATE lane SET site = ? WHERE id = ?", (site, lane))
        connection.execute(_COUNT)
        look_at_all_sites(connection)
        connection.execute(_STAYS)


def _find_lanes(connection: apsw.Connection) -> None:
    """A forced route is not known any more: it goes the way of its domain."""
    lanes = Lanes()
    for message, n, encoded in rows(connection, _ASTRAY):
        try:
            entry = decode_entry(encoded)
            domain = entry.envelope.recipients[n].address.domain
        except (StorageError, IndexError):
            continue  # Whom it is for is not known: verify names it.
        lane = lanes.find(connection, way_of(entry, domain), flow_of(entry))
        connection.execute(
            "UPDATE recipient SET lane = ? WHERE message = ? AND n = ?", (lane.id, message, n)
        )
