"""When storage is worth asking for due mail, as the event loop knows it.

`next_ready` is never later than the truth: every change lowers it, and only a claim that nothing
crossed may raise it.
"""

from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, field

from merpati.queue.claiming import Answer
from merpati.queue.lanes import Lane


@dataclass(slots=True)
class Readiness:
    """What earlier claims learned, and what has changed since."""

    next_ready: float | None = None
    touches: int = 0
    drained_lanes: dict[int, float] = field(default_factory=dict)
    drained_sites: dict[int, float] = field(default_factory=dict)
    wakes: list[Callable[[], None]] = field(default_factory=list)

    def is_due(self, now: float) -> bool:
        """Whether a claim can find anything."""
        return self.next_ready is not None and self.next_ready <= now

    def touch(self, due: float, lane: Lane | None = None) -> None:
        """Something waits until `due`, in this lane if it is known which."""
        self.touches += 1
        if self.next_ready is None or due < self.next_ready:
            self.next_ready = due
        if lane is None:
            self._forget_drained()
        else:
            self.drained_lanes.pop(lane.id, None)
            self.drained_sites.pop(lane.site, None)

    def touch_all(self) -> None:
        """Anything may be ready."""
        self.touch(0.0)
        self.wake()

    def forget_sites(self, sites: Iterable[int]) -> None:
        """These sites have changed."""
        for site in sites:
            self.drained_sites.pop(site, None)

    def learn(self, answer: Answer, touches: int, claimed: Collection[Lane]) -> None:
        """What a claim saw that was asked when there had been this many touches.

        Only where something is claimed does a row say other than what can be claimed: of all the
        rest nothing is kept.
        """
        lanes = {lane.id for lane in claimed}
        sites = {lane.site for lane in claimed}
        self.drained_lanes = _only(lanes, self.drained_lanes | answer.drained_lanes)
        self.drained_sites = _only(sites, self.drained_sites | answer.drained_sites)
        if touches == self.touches:
            self.next_ready = answer.next_ready

    def wake(self) -> None:
        """A claim may find more than the last one."""
        for wake in self.wakes:
            wake()

    def _forget_drained(self) -> None:
        self.drained_lanes.clear()
        self.drained_sites.clear()


def _only(ids: Container[int], drained: dict[int, float]) -> dict[int, float]:
    return {id_: until for id_, until in drained.items() if id_ in ids}
