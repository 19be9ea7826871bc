"""When to try again, and ids that rise."""

from hypothesis import given
from hypothesis import strategies as st

from merpati.queue.ids import IdMaker, encode
from merpati.queue.schedule import Schedule

NOW = 1_800_000_000.0


def test_delays_grow_from_a_minute_to_four_hours() -> None:
    plain = [Schedule().delay(attempts, 0.5) / 60 for attempts in (1, 2, 3, 4, 5, 6, 7, 50)]
    assert plain == [1, 5, 15, 30, 60, 120, 240, 240]


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_spread(attempts: int, chance: float) -> None:
    plain = Schedule().delay(attempts, 0.5)
    assert 0.8 * plain <= Schedule().delay(attempts, chance) <= 1.2 * plain


def test_ids_rise_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    times = iter([NOW, NOW, NOW - 50, NOW + 1])
    maker = IdMaker(lambda: next(times), lambda size: b"\xff" * size)
    ids = [maker.make() for _ in range(4)]
    assert ids == sorted(set(ids))
    assert all(len(one) == 26 for one in ids)


def test_an_id_is_crockfords_base_32() -> None:
    assert encode(0) == "0" * 26
    assert encode((1 << 128) - 1) == "7" + "Z" * 25
