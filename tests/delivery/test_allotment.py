"""Workers of one node at one site: limits hold for all of them together."""

import math
from collections.abc import Callable

import pytest

from merpati.delivery.allotment import Allotment
from merpati.delivery.pacing import Pace, PacingSettings
from merpati.node.table import Table, TableSettings


class Worker:
    """One worker's view, in this process: what it counts lies in its own cells."""

    def __init__(self, table: Table, number: int) -> None:
        self.pace = Pace(PacingSettings(), lambda: 0.5)
        table.become(number)
        self.allotment = Allotment(table, "site", 0.0)

    def open(self, now: float = 0.0) -> bool:
        return self.allotment.open(self.pace.connections(now), now)


@pytest.fixture
def workers() -> Callable[[int], list[Worker]]:
    def make(count: int) -> list[Worker]:
        table = Table(TableSettings(64, count))
        return [Worker(table, number) for number in range(count)]

    return make


def test_the_window_is_for_all_workers(workers):
    one, other = workers(2)
    assert one.open()
    assert other.open()
    assert not one.open()
    assert one.allotment.elsewhere == 1
    other.allotment.closed()
    assert one.open()


def test_what_one_learns_all_know(workers):
    one, other = workers(2)
    one.pace.window = 7.5
    one.pace.too_many(100.0, 3)
    one.allotment.exchange(one.pace, 100.0)
    other.allotment.exchange(other.pace, 100.0)
    assert other.pace.window == 3.0
    assert other.pace.resumes_at() == 160.0
    assert not other.pace.may_open(159.0, 0, 5)


def test_who_did_not_learn_does_not_undo_it(workers):
    one, other = workers(2)
    other.allotment.exchange(other.pace, 0.0)
    one.allotment.exchange(one.pace, 0.0)
    one.pace.window = 5.0
    one.allotment.exchange(one.pace, 1.0)
    other.allotment.exchange(other.pace, 2.0)
    one.allotment.exchange(one.pace, 3.0)
    assert one.pace.window == other.pace.window == 5.0


def test_a_complaint_about_the_rate_slows_all(workers):
    one, other = workers(2)
    assert one.open()
    assert other.open()
    for second in range(60):
        one.pace.bucket.sent(100.0 + second)
    one.pace.bucket.slow_down(160.0)
    one.allotment.exchange(one.pace, 160.0)
    other.allotment.exchange(other.pace, 160.0)
    assert other.pace.bucket.rate(160.0) == one.pace.bucket.rate(160.0) < math.inf
    assert other.pace.connections(161.0) == 1


def test_the_rate_is_divided_among_those_that_send(workers):
    one, other = workers(2)
    assert one.open()
    one.pace.bucket.adopt(2.0, 100.0)
    one.allotment.exchange(one.pace, 100.0)
    assert one.pace.bucket.seconds_to_next(100.0) == pytest.approx(0.5)
    assert other.open()
    one.allotment.exchange(one.pace, 100.0)
    assert one.pace.bucket.seconds_to_next(100.0) == pytest.approx(1.0)


def test_an_operator_lifts_the_pause_of_all(workers):
    one, other = workers(2)
    one.pace.too_many(100.0, 1)
    one.allotment.exchange(one.pace, 100.0)
    for worker in (one, other):
        worker.pace.resume()
        worker.allotment.lift()
    other.allotment.exchange(other.pace, 101.0)
    assert other.pace.may_open(101.0, 0, 1)


def test_nobody_gives_up_what_nobody_waits_for(workers):
    one, _ = workers(2)
    assert one.open()
    assert one.open()
    assert one.allotment.surplus(2, 1000.0) == 0


def test_who_has_more_than_an_even_share_gives_up_the_rest(workers):
    one, other = workers(2)
    assert one.open()
    assert one.open()
    other.allotment.wait(1.0, wanting=True)
    assert one.allotment.surplus(2, 1.0) == 1
    one.allotment.closed()
    assert not one.open(1.5), "whoever waits comes first"
    assert other.open(1.9)
    other.allotment.wait(1.9, wanting=False)
    assert one.allotment.surplus(2, 2.0) == 0


def test_the_only_connection_goes_round(workers):
    one, other = workers(2)
    one.pace.window = other.pace.window = 1.0
    assert one.open()
    other.allotment.wait(1.0, wanting=True)
    assert one.allotment.surplus(1, 4.0) == 0
    assert one.allotment.surplus(1, 6.0) == 1
    one.allotment.closed()
    assert other.open(6.5)
    assert not one.open(9.0)


def test_who_has_a_connection_does_not_wait(workers):
    one, other = workers(2)
    assert one.open()
    assert other.open()
    other.allotment.wait(1.0, wanting=True)
    assert one.allotment.surplus(2, 10.0) == 0


def test_without_room_in_the_table_a_worker_is_limited_alone():
    table = Table(TableSettings(16, 1))
    for n in range(16):
        row = table.row(f"other {n}", 0.0)
        assert row is not None
        row.add()
    lonely = Worker(table, 0)
    assert lonely.open()
    assert lonely.open()
    assert not lonely.open()


def test_the_last_connection_that_bulk_mail_may_have_goes_round(workers):
    """Of two, one is kept for single mail."""
    one, other = workers(2)
    assert one.open()
    other.allotment.wait(1.0, wanting=True)
    assert one.allotment.surplus(2, 4.0) == 0
    assert one.allotment.surplus(2, 6.0) == 1
