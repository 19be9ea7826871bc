"""A write-ahead log that is not folded back is told of, and not every minute."""

import asyncio
import io
import json

import pytest

from merpati.journal.events import Lifecycle
from merpati.system.log import Log
from merpati.system.walwatch import WalWatch
from merpati.testing.clock import VirtualClock
from merpati.testing.memory import MemoryJournal

MIB = 1024**2


class Watched:
    """A log whose size is what a test says."""

    def __init__(self) -> None:
        self.octets = 0
        self.clock = VirtualClock()
        self.journal = MemoryJournal()
        self.written = io.StringIO()
        log = Log(self.clock, self.written)
        self.watch = WalWatch(lambda: self.octets, self.journal, self.clock, log)

    @property
    def warnings(self) -> int:
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        assert all((line["level"], line["event"]) == ("warning", "wal") for line in lines)
        return len(lines)


@pytest.mark.parametrize(("octets", "warnings"), [(256 * MIB, 0), (256 * MIB + 1, 1)])
async def test_more_than_256_mib_is_told_of_once_an_hour(octets: int, warnings: int) -> None:
    watched = Watched()
    task = asyncio.create_task(watched.watch.run())
    await watched.clock.advance(60)
    assert watched.warnings == 0
    watched.octets = octets
    await watched.clock.advance(60)
    assert watched.warnings == warnings
    await watched.clock.advance(3500)
    assert watched.warnings == warnings
    await watched.clock.advance(100)
    assert watched.warnings == 2 * warnings
    told = [event for _, event in await watched.journal.follow(0, 10)]
    assert [type(event) for event in told] == [Lifecycle] * 2 * warnings
    task.cancel()
