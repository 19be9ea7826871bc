"""Which lanes hang on which site, and which sites are on hold: on the writer thread."""

from dataclasses import dataclass

import apsw

from merpati.queue.entry import ListedLane
from merpati.queue.flow import Flow
from merpati.queue.lanes import Lane, Lanes, find_site, lanes_of, look_again, look_at_site
from merpati.queue.way import Way

_HASTEN = (
    "UPDATE recipient SET due = ?1 WHERE lane = ?2 AND state = 0 "
    "AND due > ?1 AND due BETWEEN ?3 AND ?4"
)


@dataclass(frozen=True, slots=True)
class Move:
    """Lanes that hang on another site now."""

    lanes: tuple[Lane, ...]
    sites: tuple[int, int]


def assign(connection: apsw.Connection, lanes: Lanes, way: Way, site: str) -> Move:
    """Hang all lanes of a way on a site; both are made when they are new."""
    there = lanes_of(connection, way) or [lanes.find(connection, way, Flow())]
    before = there[0].site
    if there[0].site_name == site:
        return Move(tuple(there), (before, before))
    number = find_site(connection, site)
    connection.execute("UPDATE lane SET site = ? WHERE domain = ? AND route = ?", (number, *way))
    look_at_site(connection, before)
    look_at_site(connection, number)
    lanes.forget_way(way)
    return Move(tuple(Lane(lane.id, number, site) for lane in there), (before, number))


def hasten(
    connection: apsw.Connection, way: Way, due: float, span: tuple[float, float]
) -> list[Lane]:
    """Make due what falls due on a way then; the lanes in which there was something."""
    hastened = []
    for lane in lanes_of(connection, way):
        connection.execute(_HASTEN, (due, lane.id, *span))
        if connection.changes():
            hastened.append(lane)
    look_again(connection, {lane.id: 0 for lane in hastened})
    return hastened


def hold(connection: apsw.Connection, lanes: Lanes, site: str, until: float, why: str) -> int:
    """Put a whole cohort on hold, or resume it with 0: one row, however many lanes hang on it."""
    number = find_site(connection, site)
    connection.execute("UPDATE site SET hold = ?, why = ? WHERE id = ?", (until, why, number))
    look_at_site(connection, number)
    lanes.forget_hold(number)
    return number


def lanes(connection: apsw.Connection) -> list[ListedLane]:
    """Every way with the site that its lanes hang on, and what waits in all of them."""
    query = (
        "SELECT domain, route, site.name, sum(waiting) FROM lane "
        "JOIN site ON site.id = lane.site GROUP BY domain, route ORDER BY domain, route"
    )
    return [ListedLane(*row) for row in connection.execute(query)]


def held(connection: apsw.Connection, now: float) -> dict[str, tuple[float, str]]:
    """Sites whose hold is not over."""
    rows = connection.execute("SELECT name, hold, why FROM site WHERE hold > ?", (now,))
    return {name: (until, why) for name, until, why in rows}
