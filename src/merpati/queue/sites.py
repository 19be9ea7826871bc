"""Which lanes hang on which site, and which sites are on hold: on the writer thread."""

from dataclasses import dataclass

import apsw

from merpati.queue.entry import ListedLane
from merpati.queue.lanes import Lane, Lanes, find_site, look_at_site


@dataclass(frozen=True, slots=True)
class Move:
    """A lane that hangs on another site now."""

    lane: Lane
    sites: tuple[int, int]


def assign(connection: apsw.Connection, lanes: Lanes, name: tuple[str, str], site: str) -> Move:
    """Hang the lane `name` (domain, route) on a site; both are made when they are new."""
    lane = lanes.find(connection, *name)
    if lane.site_name == site:
        return Move(lane, (lane.site, lane.site))
    number = find_site(connection, site)
    connection.execute("UPDATE lane SET site = ? WHERE id = ?", (number, lane.id))
    look_at_site(connection, lane.site)
    look_at_site(connection, number)
    lanes.forget_lane(*name)
    return Move(Lane(lane.id, number, site), (lane.site, number))


def hold(connection: apsw.Connection, lanes: Lanes, site: str, until: float, why: str) -> int:
    """Put a whole cohort on hold, or resume it with 0: one row, however many lanes hang on it."""
    number = find_site(connection, site)
    connection.execute("UPDATE site SET hold = ?, why = ? WHERE id = ?", (until, why, number))
    look_at_site(connection, number)
    lanes.forget_hold(number)
    return number


def lanes(connection: apsw.Connection) -> list[ListedLane]:
    """Every lane with the site that it hangs on."""
    query = (
        "SELECT domain, route, site.name, waiting FROM lane JOIN site ON site.id = lane.site "
        "ORDER BY domain, route"
    )
    return [ListedLane(*row) for row in connection.execute(query)]


def held(connection: apsw.Connection, now: float) -> dict[str, tuple[float, str]]:
    """Sites whose hold is not over."""
    rows = connection.execute("SELECT name, hold, why FROM site WHERE hold > ?", (now,))
    return {name: (until, why) for name, until, why in rows}
