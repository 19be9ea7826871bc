"""Lanes and sites on the writer thread: where a domain's mail hangs, and when it is ready.

A lane is one flow on one way: a domain, or a domain that an operator sent another way. All lanes of
a way hang on one site.

Kept true by every change: lane.ready is the earliest due of what waits in it, and site.ready is
max(hold, the earliest lane.ready).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import apsw

from merpati.queue.flow import Flow
from merpati.queue.way import Way, forced_of
from merpati.storage.rows import rows

_REMEMBERED = 50_000
"""Lanes, or holds, in the cache; then it starts afresh."""

_RAISE_LANE = (
    "UPDATE lane SET waiting = waiting + ?1, ready = min(coalesce(ready, ?2), ?2) WHERE id = ?3"
)
_RAISE_SITE = (
    "UPDATE site SET ready = max(hold, min(coalesce(ready, ?1), ?1)) "
    "WHERE id = (SELECT site FROM lane WHERE id = ?2)"
)
_LOOK_AT_LANE = (
    "UPDATE lane SET waiting = waiting + ?1, "
    "ready = (SELECT min(due) FROM recipient WHERE lane = ?2 AND state = 0) WHERE id = ?2"
)
_LOOK_AT_SITE = (
    "UPDATE site SET ready = max(hold, "
    "(SELECT min(ready) FROM lane WHERE site = site.id AND ready IS NOT NULL))"
)

_SITE_OF_WAY = (
    "SELECT site.id, site.name FROM lane JOIN site ON site.id = lane.site "
    "WHERE domain = ? AND route = ? LIMIT 1"
)
_MAKE = "INSERT INTO lane (site, domain, route, tenant, bulk) VALUES (?, ?, ?, ?, ?)"
_LOOK_AT_SITE_OF_LANE = f"{_LOOK_AT_SITE} WHERE id = (SELECT site FROM lane WHERE id = ?)"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane and the site it hangs on."""

    id: int
    site: int
    site_name: str


class Lanes:
    """Finds and makes lanes; remembers them until something is rolled back or changed."""

    def __init__(self) -> None:
        self._known: dict[Way, dict[Flow, Lane]] = {}
        self._holds: dict[int, float] = {}

    def forget(self) -> None:
        """What is remembered may not be true any more."""
        self._known.clear()
        self._holds.clear()

    def forget_way(self, way: Way) -> None:
        """Its lanes hang on another site; of the others, which may be very many, nothing
        changed."""
        self._known.pop(way, None)

    def forget_hold(self, site: int) -> None:
        """This site's hold has changed."""
        self._holds.pop(site, None)

    def find(self, connection: apsw.Connection, way: Way, flow: Flow) -> Lane:
        """The lane of a way and a flow; made when it is new."""
        known = self._known.get(way)
        lane = known.get(flow) if known is not None else None
        if lane is None:
            lane = _load(connection, way, flow) or _make(connection, way, flow)
            if len(self._known) >= _REMEMBERED or len(self._known.get(way, ())) >= _REMEMBERED:
                self._known.clear()
            self._known.setdefault(way, {})[flow] = lane
        return lane

    def hold_of(self, connection: apsw.Connection, site: int) -> float:
        """Until when a site is on hold; 0 for most."""
        hold = self._holds.get(site)
        if hold is None:
            if len(self._holds) >= _REMEMBERED:
                self._holds.clear()
            hold = float(connection.execute("SELECT hold FROM site WHERE id = ?", (site,)).get)
            self._holds[site] = hold
        return hold


def raise_ready(connection: apsw.Connection, lane: int, due: float, count: int) -> None:
    """`count` more recipients wait in a lane from `due` on."""
    connection.execute(_RAISE_LANE, (count, due, lane))
    connection.execute(_RAISE_SITE, (due, lane))


def look_again(connection: apsw.Connection, changes: Mapping[int, int]) -> None:
    """Make lanes and their sites true again after their rows changed; by lane, the change of
    its number of waiting rows."""
    connection.executemany(_LOOK_AT_LANE, [(count, lane) for lane, count in changes.items()])
    connection.executemany(
        _LOOK_AT_SITE_OF_LANE,
        [(lane,) for lane in changes],
    )


def look_at_site(connection: apsw.Connection, site: int) -> None:
    """Make a site true again after its hold or its lanes changed."""
    connection.execute(_LOOK_AT_SITE + " WHERE id = ?", (site,))


def look_at_all_sites(connection: apsw.Connection) -> None:
    """Make every site true again."""
    connection.execute(_LOOK_AT_SITE)


def find_site(connection: apsw.Connection, name: str) -> int:
    """A site's id; made when it is new."""
    found = connection.execute("SELECT id FROM site WHERE name = ?", (name,)).get
    if found is not None:
        return int(found)
    connection.execute("INSERT INTO site (name) VALUES (?)", (name,))
    return connection.last_insert_rowid()


def lanes_of(connection: apsw.Connection, way: Way) -> list[Lane]:
    """Those of every flow. They hang on one site."""
    query = (
        "SELECT lane.id, site.id, site.name FROM lane JOIN site ON site.id = lane.site "
        "WHERE domain = ? AND route = ?"
    )
    return [Lane(*row) for row in rows(connection, query, way)]


def _load(connection: apsw.Connection, way: Way, flow: Flow) -> Lane | None:
    row = connection.execute(
        "SELECT lane.id, site.id, site.name FROM lane JOIN site ON site.id = lane.site "
        "WHERE domain = ? AND route = ? AND tenant = ? AND bulk = ?",
        (*way, *flow),
    ).fetchone()
    return None if row is None else Lane(*row)


def _make(connection: apsw.Connection, way: Way, flow: Flow) -> Lane:
    """Beside the others of its way, however many senders have one; else on a site of its own, until
    its hosts are known."""
    domain, route = way
    beside = connection.execute(_SITE_OF_WAY, way).fetchone()
    name = forced_of(route) or domain
    site, name = beside or (find_site(connection, name), name)
    connection.execute(_MAKE, (site, domain, route, *flow))
    return Lane(connection.last_insert_rowid(), site, name)
