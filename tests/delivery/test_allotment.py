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


def test_a_rate_is_for_all_workers_together_though_their_connections_come_and_go(workers):
    both = one, other = workers(2)
    one.pace.bucket.adopt(0.1, 100.0)
    one.allotment.exchange(one.pace, 100.0)
    went = []
    for now in range(101, 401):
        for worker in both:
            worker.allotment.exchange(worker.pace, now)
            worker.allotment.wait(now, wanting=True)
            if worker.pace.bucket.take(now):
                went.append(worker)
    assert 28 <= len(went) <= 31
    assert abs(went.count(one) - went.count(other)) <= 2


def test_who_has_mail_alone_has_the_whole_rate(workers):
    one, other = workers(2)
    one.pace.bucket.adopt(0.1, 100.0)
    for worker, wanting in ((one, True), (other, True), (other, False), (one, True)):
        worker.allotment.exchange(worker.pace, 100.0)
        worker.allotment.wait(100.0, wanting=wanting)
    one.allotment.exchange(one.pace, 100.0)
    assert one.pace.bucket.seconds_to_next(100.0) == pytest.approx(10.0)


def test_what_was_saved_up_by_each_is_not_sent_by_all(workers):
    one, other = workers(2)
    one.pace.bucket.adopt(0.1, 100.0)
    for worker in (one, other):
        worker.allotment.exchange(worker.pace, 100.0)
    assert one.pace.bucket.take(200.0)
    assert not other.pace.bucket.take(201.0)
    assert other.pace.bucket.seconds_to_next(201.0) == pytest.approx(9.0)
    assert other.pace.bucket.take(210.0)


def test_an_operator_lifts_the_pause_of_all(workers):
    one, other = workers(2)
    one.pace.too_many(100.0, 1)
    one.allotment.exchange(one.pace, 100.0)
    for worker in (one, other):
        worker.pace.resume()
        worker.allotment.lift()
    other.allotment.exchange(other.pace, 101.0)
    assert other.pace.may_open(101.0, 0, 1)


def test_who_has_only_heard_of_a_pause_does_not_undo_that_it_is_lifted(workers):
    """An operator's question comes to one worker after the other."""
    one, other = workers(2)
    for learns, first in (one, one), (one, other), (other, one):
        other.allotment.exchange(other.pace, 100.0)
        one.allotment.exchange(one.pace, 100.0)
        learns.pace.too_many(100.0, 1)
        learns.allotment.exchange(learns.pace, 100.0)
        for worker in (one, other):
            worker.allotment.exchange(worker.pace, 100.0)
            assert not worker.pace.may_open(101.0, 0, 1)
        second = other if first is one else one
        first.pace.resume()
        first.allotment.lift()
        for worker in (second, first, second, first):
            worker.allotment.exchange(worker.pace, 101.0)
            assert worker.pace.may_open(101.0, 0, 1)


def test_a_pause_that_is_learned_behind_the_lifting_counts(workers):
    one, other = workers(2)
    one.pace.too_many(100.0, 1)
    for worker in (one, other, one):
        worker.allotment.exchange(worker.pace, 100.0)
    one.pace.resume()
    one.allotment.lift()
    one.pace.too_many(101.0, 1)
    for worker in (other, one, other):
        worker.allotment.exchange(worker.pace, 101.0)
    assert one.pace.resumes_at() == other.pace.resumes_at() > 160.0


def test_a_pool_that_is_made_after_the_lifting_does_not_bring_the_pause_back(workers):
    one, other = workers(2)
    other.pace.too_many(100.0, 1)
    for worker in (other, one):
        worker.allotment.exchange(worker.pace, 100.0)
    one.pace.resume()
    one.allotment.lift()
    other.allotment = Allotment(one.allotment._table, "site", 101.0)
    for worker in (other, one):
        worker.allotment.exchange(worker.pace, 101.0)
    assert one.pace.may_open(101.0, 0, 1)


def test_a_pause_outlives_its_row():
    """Sites that nobody is connected to give way to others, and come back."""
    table = Table(TableSettings(16, 1))
    worker = Worker(table, 0)
    worker.pace.too_many(100.0, 1)
    worker.allotment.exchange(worker.pace, 100.0)
    for n in range(16):
        assert table.row(f"other {n}", 101.0 + n) is not None
    worker.allotment.exchange(worker.pace, 120.0)
    assert worker.pace.resumes_at() == 160.0


def test_who_lifts_the_pause_of_a_site_leaves_that_of_another_alone():
    """The row of the one was given to the other, since nobody counted in it."""
    table = Table(TableSettings(16, 1))
    worker = Worker(table, 0)
    worker.allotment.exchange(worker.pace, 100.0)
    others = [Allotment(table, f"other {n}", 101.0 + n) for n in range(16)]
    for other in others:
        pace = Pace(PacingSettings(), lambda: 0.5)
        pace.too_many(120.0, 1)
        other.exchange(pace, 120.0)
    worker.allotment.lift()
    for other in others:
        heard = Pace(PacingSettings(), lambda: 0.5)
        other.exchange(heard, 121.0)
        assert heard.resumes_at() == 180.0


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


def test_a_connection_is_asked_for_until_it_is_closed(workers):
    one, other = workers(2)
    one.pace.window = other.pace.window = 1.0
    assert one.open()
    other.allotment.wait(1.0, wanting=True)
    assert [one.allotment.surplus(1, now) for now in (1.0, 6.0, 7.0, 600.0)] == [0, 1, 1, 1]
    one.allotment.closed()
    assert not one.open(601.0)
    assert one.open(602.0)
    assert one.allotment.surplus(1, 603.0) == 0, "it begins anew"


def test_whoever_has_waited_longest_comes_first(workers):
    one, other, third = workers(3)
    assert one.open()
    third.allotment.wait(1.0, wanting=True)
    other.allotment.wait(2.0, wanting=True)
    third.allotment.wait(2.5, wanting=True)
    one.allotment.closed()
    assert not other.open(3.0)
    assert third.open(3.1)
    third.allotment.wait(3.1, wanting=True)
    assert other.open(5.2), "and the next when the first has said nothing more for a moment"


def test_three_workers_have_the_only_connection_in_turn(workers):
    three, turns, asked = workers(3), [0], 0
    for worker in three:
        worker.pace.window = 1.0
    assert three[0].open(0.0)
    for second in range(1, 200):
        if asked == 3:  # The last message is over: before the first of them looks again.
            three[turns[-1]].allotment.closed()
        for n, worker in enumerate(three):
            now = second + 0.1 * n
            if n == turns[-1] and asked < 3:
                asked += worker.allotment.surplus(1, now)
            elif worker.open(now):
                turns.append(n)
                asked = 0
            worker.allotment.wait(now, wanting=True)
    counts = [turns.count(n) for n in range(3)]
    assert len(turns) > 20
    assert max(counts) - min(counts) <= 1


def test_nobody_lets_another_come_first_that_does_not_come(workers):
    one, other, third = workers(3)
    assert one.open()
    for now in range(1, 10):
        third.allotment.wait(float(now), wanting=True)
    other.allotment.wait(9.0, wanting=True)
    one.allotment.closed()
    assert not other.open(9.0)
    third.allotment.wait(10.0, wanting=True)
    assert not other.open(10.0)
    assert other.open(11.0)


def test_two_shards_of_a_worker_share_as_two_workers_do():
    table = Table(TableSettings(64, 1))
    own, adopted = Worker(table, 0), Worker(table, 0)
    assert own.open()
    assert own.open()
    assert adopted.allotment.elsewhere == 2
    adopted.allotment.wait(1.0, wanting=True)
    assert own.allotment.surplus(2, 1.0) == 1
    own.allotment.closed()
    assert own.allotment.elsewhere == 0
    assert adopted.open(2.0)


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
