"""A disk with less room than is kept free is told of when it begins and when it ends."""

import asyncio
import io
import json
from collections.abc import Callable

from merpati.journal.events import Lifecycle
from merpati.policy.rules.space import Disk
from merpati.system.log import Log
from merpati.system.spacewatch import SpaceWatch
from merpati.testing.clock import VirtualClock

MIB = 1024**2
TROUBLE = (
    "the disk is nearly full: 3MiB are free and 4MiB are kept for what is queued "
    "([limits] free_space)"
)


class Watched:
    """A disk whose free octets are what a test says."""

    def __init__(self, *, tells: bool = True) -> None:
        self.disk: Disk | None = Disk(100 * MIB, 4 * MIB)
        self.clock = VirtualClock()
        self.noted: list[Lifecycle] = []
        self.written = io.StringIO()
        note: Callable[[Lifecycle], None] | None = self.noted.append if tells else None
        log = Log(self.clock, self.written)
        self.watch = SpaceWatch(lambda: self.disk, lambda _: 4 * MIB, self.clock, log, note)

    def free(self, octets: int) -> None:
        self.disk = Disk(100 * MIB, octets)
        self.watch.look()

    @property
    def lines(self) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        return [(line["level"], line["event"]) for line in lines]


def test_it_is_told_of_once_when_it_begins_and_once_when_it_ends() -> None:
    watched = Watched()
    watched.watch.look()
    assert (watched.watch.trouble, watched.lines) == ("", [])
    for _ in range(3):
        watched.free(3 * MIB)
    assert watched.watch.trouble == TROUBLE
    for _ in range(3):
        watched.free(4 * MIB)
    assert watched.watch.trouble == ""
    assert watched.lines == [("error", "space"), ("info", "space")]
    assert [event.detail for event in watched.noted] == [
        f"{TROUBLE}; mail is told to come later",
        "the disk has room again: mail is taken",
    ]


def test_of_several_workers_one_tells_and_all_know() -> None:
    watched = Watched(tells=False)
    watched.free(3 * MIB)
    assert (watched.watch.trouble, watched.lines) == (TROUBLE, [])


def test_a_disk_that_cannot_be_measured_is_no_trouble() -> None:
    watched = Watched()
    watched.disk = None
    watched.watch.look()
    assert (watched.watch.trouble, watched.watch.gauge()) == ("", {})


def test_the_gauge_has_what_is_free_and_what_is_kept() -> None:
    assert Watched().watch.gauge() == {"free": 4.0 * MIB, "kept": 4.0 * MIB}


async def test_it_looks_every_few_seconds() -> None:
    watched = Watched()
    task = asyncio.create_task(watched.watch.run())
    await watched.clock.advance(1)
    watched.disk = Disk(100 * MIB, 0)
    await watched.clock.advance(5)
    assert watched.watch.trouble
    task.cancel()
