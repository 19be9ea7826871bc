"""Whose turn it is among the tenants whose mail waits at a site, on the writer thread.

A smarthost has a lane for each domain that somebody writes to, ten thousand of one tenant perhaps.
So room is shared by tenant first, and by lane within one. Where there are more tenants than room,
the next claim goes on behind the last that had a turn.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import apsw

_TENANTS = 5000
"""That one claim looks at; a few microseconds each."""
_REMEMBERED = 10_000
"""Sites of which it is known who had the last turn."""

# By (site, bulk, tenant, ready), one entry each: it costs as much as there are tenants, not lanes.
_TENANT = (
    "SELECT tenant, ready FROM lane WHERE site = ? AND bulk = ? AND tenant > ? "
    "AND ready IS NOT NULL ORDER BY tenant, ready LIMIT 1"
)
_FIRST_TENANT = _TENANT.replace("tenant > ?", "tenant >= ?")
_LANES = (
    "SELECT id, domain, route FROM lane WHERE site = ? AND bulk = ? AND tenant = ? "
    "AND ready <= ? AND ready IS NOT NULL ORDER BY ready"
)

Ready = tuple[int, str, str]
"""A lane's id, domain and route."""


@dataclass(frozen=True, slots=True)
class Hall:
    """Where tenants wait: one kind of mail at one site."""

    connection: apsw.Connection
    site: int
    is_bulk: bool
    now: float
    passes_over: Callable[[int], bool]
    """Which lanes are as good as empty, by their ids."""

    def lanes(self, tenant: str, most: int) -> list[Ready]:
        """Lanes of a tenant that are ready, the earliest first."""
        key = self.site, self.is_bulk, tenant, self.now
        ready = self.connection.execute(_LANES, key)
        return list(islice((row for row in ready if not self.passes_over(row[0])), most))


@dataclass(frozen=True, slots=True)
class Turn:
    """Tenants with a lane that is ready, in the order in which they are to be served."""

    tenants: list[str]
    first: list[Ready]
    """The lanes of the first of them: most sites have but one."""
    is_whole: bool
    """Whether these are all that there are."""


class Rota:
    """Remembers who had the last turn, where not all had one."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[int, bool], str] = OrderedDict()

    def turn(self, hall: Hall, room: int) -> Turn:
        """At most `room` tenants."""
        key = hall.site, hall.is_bulk
        last = self._last.pop(key, None)
        walk = _Walk(hall, room)
        if last is None:
            walk.go("", is_first=True)
        else:
            walk.go(last)
            walk.go("", is_first=True, until=last)
        if not walk.is_over:
            self._last[key] = walk.last
            while len(self._last) > _REMEMBERED:
                self._last.popitem(last=False)
        return Turn(walk.found, walk.first, walk.is_over)


class _Walk:
    """From tenant to tenant."""

    def __init__(self, hall: Hall, room: int) -> None:
        self._hall = hall
        self._room = room
        self._left = _TENANTS
        self.found: list[str] = []
        self.first: list[Ready] = []
        self.last = ""
        self.is_over = True
        """Whether every tenant was looked at."""

    def go(self, tenant: str, *, is_first: bool = False, until: str | None = None) -> None:
        """Behind this tenant, or from it on, to the end or to `until`."""
        hall = self._hall
        query = _FIRST_TENANT if is_first else _TENANT
        while self.is_over:
            key = hall.site, hall.is_bulk, tenant
            one = hall.connection.execute(query, key).fetchone()
            if one is None or (until is not None and one[0] > until):
                return
            if len(self.found) >= self._room or not self._left:
                self.is_over = False
                return
            self._left -= 1
            query, self.last = _TENANT, one[0]
            tenant = self.last
            if one[1] <= hall.now:
                self._look(tenant)

    def _look(self, tenant: str) -> None:
        lanes = self._hall.lanes(tenant, 1 if self.found else self._room)
        if lanes:
            self.first = self.first or lanes
            self.found.append(tenant)
