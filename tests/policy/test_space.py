"""Mail is taken while the disk has room for it."""

from pathlib import Path

import pytest

from merpati.journal.events import Refused
from merpati.policy.rule import Moment
from merpati.policy.rules.space import Disk, Space, disk_of
from merpati.report.metrics import Metrics, exposition
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House, greeted
from merpati.testing.facts import some_facts

MIB = 1024**2
GIB = 1024**3


class Device:
    """A disk whose free space is what a test says; it counts how often it is asked."""

    def __init__(self, size: int, free: int) -> None:
        self.size = size
        self.free = free
        self.asked = 0

    def measure(self) -> Disk:
        self.asked += 1
        return Disk(self.size, self.free)


def refusal(rule: Space) -> str:
    verdict = rule.judge(Moment.MAIL, some_facts())
    return str(verdict.reply) if verdict else ""


@pytest.mark.parametrize(
    ("size", "max_size", "least", "needed"),
    [
        pytest.param(10 * GIB, 50 * MIB, None, 10 * GIB // 20, id="5 % of the disk"),
        pytest.param(1000 * GIB, 50 * MIB, None, GIB, id="1 GiB of a large one"),
        pytest.param(100 * MIB, 50 * MIB, None, 75 * MIB, id="one and a half messages"),
        pytest.param(1000 * GIB, 50 * MIB, 7 * MIB, 7 * MIB, id="what is configured"),
    ],
)
def test_so_much_is_kept_free(size: int, max_size: int, least: int | None, needed: int) -> None:
    device = Device(size, needed)
    assert refusal(Space(device.measure, max_size, VirtualClock(), least)) == ""
    device.free -= 1
    rule = Space(device.measure, max_size, VirtualClock(), least)
    assert refusal(rule).startswith("452 4.3.1 No space left")


def test_zero_keeps_nothing_free() -> None:
    assert refusal(Space(Device(GIB, 0).measure, MIB, VirtualClock(), 0)) == ""


async def test_a_disk_with_little_room_left_is_asked_before_it_could_be_full() -> None:
    """As fast as a disk can be written: 8 MiB more than what is kept last for 8 ms."""
    clock, device = VirtualClock(), Device(GIB, 15 * MIB)
    rule = Space(device.measure, MIB, clock, 7 * MIB)
    assert not refusal(rule)
    device.free = 0
    await clock.advance(0.007)
    assert not refusal(rule)
    await clock.advance(0.001)
    assert refusal(rule)


async def test_a_roomy_disk_is_asked_once_a_second() -> None:
    clock, device = VirtualClock(), Device(1000 * GIB, 500 * GIB)
    rule = Space(device.measure, MIB, clock)
    for _ in range(10):
        assert not refusal(rule)
        await clock.advance(0.099)
    assert device.asked == 1


async def test_a_full_disk_is_asked_once_a_second() -> None:
    clock, device = VirtualClock(), Device(GIB, 0)
    rule = Space(device.measure, MIB, clock)
    for _ in range(1000):
        assert refusal(rule)
    assert device.asked == 1
    device.free = GIB
    await clock.advance(1.0)
    assert not refusal(rule)
    assert device.asked == 2


def test_a_disk_that_cannot_be_asked_stops_no_mail() -> None:
    assert refusal(Space(lambda: None, MIB, VirtualClock())) == ""


def test_the_file_system_of_a_folder_is_measured(tmp_path: Path) -> None:
    disk = disk_of(tmp_path)
    assert disk
    assert 0 <= disk.free <= disk.size
    assert disk_of(tmp_path / "missing") is None


async def test_a_session_is_told_to_come_later_and_goes_on_when_there_is_room_again() -> None:
    device = Device(GIB, 0)
    house = House(measure=device.measure)
    async with greeted(house.port()) as client:
        assert (await client.say("MAIL FROM:<eve@b.test>")).startswith("452 4.3.1")
        device.free = GIB
        await house.clock.advance(5.0)
        assert "queued as" in await client.send(b"Subject: x\r\n\r\nHi\r\n", "ann@a.test")
    [refused] = await house.events(Refused)
    assert (refused.stage, refused.rule) == ("mail", "space")


async def test_refusals_for_want_of_space_are_counted() -> None:
    metrics = Metrics({})
    metrics.take(Refused(at=0.0, stage="mail", reply="452 4.3.1 x", rule="space"))
    assert b'rule="space"} 1' in exposition(await metrics.series())
