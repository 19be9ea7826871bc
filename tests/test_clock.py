"""The machine's time of day may be set; mail that waits does not notice."""

from dataclasses import dataclass

from merpati.clock import SystemClock

NOW = 1_800_000_000.0
HOUR = 3600.0


@dataclass
class Machine:
    """Its two clocks."""

    day: float = NOW
    steady: float = 500.0

    def pass_time(self, seconds: float) -> None:
        self.day += seconds
        self.steady += seconds

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.day, lambda: self.steady)


def test_time_passes() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(HOUR)
    assert clock.now() == NOW + HOUR
    assert clock.jumped == 0


def test_a_jump_of_the_time_of_day_is_not_followed() -> None:
    for jump in (HOUR, -HOUR, 87660 * HOUR, -87660 * HOUR):
        machine = Machine()
        clock = machine.clock()
        machine.day += jump
        machine.pass_time(10.0)
        assert clock.now() == NOW + 10.0
        assert clock.jumped == jump


def test_a_small_step_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.day += 30.0
    assert clock.now() == NOW + 30.0


def test_what_is_followed_step_by_step_adds_up() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(10):
        machine.day += 30.0
        clock.now()
    assert clock.now() == NOW + 300.0


def test_a_jump_that_is_taken_back_is_none() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.day += HOUR
    assert clock.now() == NOW
    machine.day -= HOUR
    assert (clock.now(), clock.jumped) == (NOW, 0)


def test_a_new_process_begins_with_what_the_machine_says() -> None:
    machine = Machine()
    machine.day += HOUR
    assert machine.clock().now() == NOW + HOUR
