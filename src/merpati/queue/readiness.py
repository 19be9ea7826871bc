"""When storage is worth asking for due mail, as the event loop knows it.

`next_ready` is never later than the truth: every change lowers it, and only a claim that nothing
crossed may raise it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from merpati.queue.claiming import Answer
from merpati.queue.lanes import Lane


class Claimed(Protocol):
    """Where rows say WAITING and are claimed."""

    def has_claimed_lane(self, lane: int) -> bool:
        """Whether some are in this lane."""
        ...

    def has_claimed_site(self, site: int) -> bool:
        """Whether some are at this site."""
        ...


@dataclass(slots=True)
class Crossed:
    """What was touched since a claim was asked, which may have believed otherwise."""

    lanes: set[int] = field(default_factory=set)
    sites: set[int] = field(default_factory=set)
    all: bool = False


@dataclass(slots=True)
class Readiness:
    """What earlier claims learned, and what has changed since."""

    next_ready: float | None = None
    touches: int = 0
    drained_lanes: dict[int, float] = field(default_factory=dict)
    drained_sites: dict[int, float] = field(default_factory=dict)
    wakes: list[Callable[[], None]] = field(default_factory=list)
    _crossed: Crossed | None = None
    """Of the claim that is in flight."""

    def is_due(self, now: float) -> bool:
        """Whether a claim can find anything."""
        return self.next_ready is not None and self.next_ready <= now

    def touch(self, due: float, lane: Lane | None = None) -> None:
        """Something waits until `due`, in this lane if it is known which."""
        self._lower(due)
        if lane is None:
            self._forget_drained()
        else:
            self.forget(lane)

    def touch_site(self, due: float, site: int) -> None:
        """A site may be ready at `due`, by its hold alone."""
        self._lower(due)
        self.forget_sites([site])

    def forget(self, lane: Lane) -> None:
        """This lane has changed, or nothing of it is claimed any more."""
        self.drained_lanes.pop(lane.id, None)
        if self._crossed:
            self._crossed.lanes.add(lane.id)
        self.forget_sites([lane.site])

    def touch_all(self) -> None:
        """Anything may be ready."""
        self.touch(0.0)
        self.wake()

    def forget_sites(self, sites: Iterable[int]) -> None:
        """These sites have changed."""
        for site in sites:
            self.drained_sites.pop(site, None)
            if self._crossed:
                self._crossed.sites.add(site)

    def ask(self) -> None:
        """A claim is asked, and no other is in flight."""
        self._crossed = Crossed()

    def learn(self, answer: Answer, touches: int, claimed: Claimed) -> None:
        """What a claim saw that was asked when there had been this many touches.

        Only where something is claimed does a row say other than what can be claimed: of all the
        rest nothing is kept. Nor is anything of what was touched meanwhile.
        """
        crossed, self._crossed = self._crossed, None
        if crossed and not crossed.all:
            for lane, until in answer.drained_lanes.items():
                if lane not in crossed.lanes and claimed.has_claimed_lane(lane):
                    self.drained_lanes[lane] = until
            for site, until in answer.drained_sites.items():
                if site not in crossed.sites and claimed.has_claimed_site(site):
                    self.drained_sites[site] = until
        if touches == self.touches:
            self.next_ready = answer.next_ready

    def wake(self) -> None:
        """A claim may find more than the last one."""
        for wake in self.wakes:
            wake()

    def _forget_drained(self) -> None:
        self.drained_lanes.clear()
        self.drained_sites.clear()
        if self._crossed:
            self._crossed.all = True

    def _lower(self, due: float) -> None:
        self.touches += 1
        if self.next_ready is None or due < self.next_ready:
            self.next_ready = due
