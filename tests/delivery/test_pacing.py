"""How fast a site is approached: the formulas, and what they lead to against real limits."""

import heapq
import math

import pytest

from merpati.delivery.bucket import Bucket
from merpati.delivery.lesson import (
    LowerRung,
    MessageLimit,
    RecipientLimit,
    SiteMemory,
    Waive,
    Waived,
)
from merpati.delivery.pacing import Pace, Paces, PacingSettings
from merpati.feedback.tls import ResultType
from merpati.smtp.rung import Rung


def a_pace(chance=0.5, **settings):
    return Pace(PacingSettings(**settings), lambda: chance)


def test_the_window_grows_by_its_inverse_when_it_is_used_up():
    pace = a_pace()
    pace.went_well(0, opened=1)
    assert pace.window == 2.5
    pace.went_well(0, opened=1)
    assert pace.window == 2.5


def test_the_window_ends_at_the_cap():
    pace = a_pace(cap=3)
    for _ in range(100):
        pace.went_well(0, opened=3)
    assert pace.window == 3


def test_too_many_connections_shrink_it_to_those_that_live_and_hold():
    pace = a_pace()
    assert pace.too_many(100, live=5) == 160
    assert pace.window == 5
    assert not pace.may_open(159, 1, 1000)
    assert pace.may_open(160, 1, 1000)


def test_the_hold_doubles_to_a_quarter_of_an_hour_and_starts_anew_after_success():
    pace = a_pace()
    holds = [pace.too_many(0, 0) for _ in range(6)]
    assert holds == [60, 120, 240, 480, 900, 900]
    pace.went_well(2000, 1)
    assert pace.too_many(2000, 0) == 2060


def test_the_first_connection_always_pays_and_more_only_for_enough_work():
    pace = a_pace()
    assert not pace.may_open(0, 0, 0)
    assert pace.may_open(0, 0, 1)
    assert not pace.may_open(0, 1, 9)
    assert pace.may_open(0, 1, 11)
    assert not pace.may_open(0, 2, 10_000)


def test_a_host_is_suspended_for_longer_each_time_until_it_works():
    pace = a_pace()
    pace.suspend_host("192.0.2.1", 0)
    assert pace.is_suspended("192.0.2.1", 59)
    assert not pace.is_suspended("192.0.2.1", 60)
    pace.suspend_host("192.0.2.1", 60)
    assert pace.is_suspended("192.0.2.1", 179)
    pace.host_works("192.0.2.1")
    assert not pace.is_suspended("192.0.2.1", 100)
    assert pace.window == 2


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_probes_come_at_one_two_four_to_sixty_minutes_give_or_take_a_fifth(chance, factor):
    pace = a_pace(chance)
    probes = [pace.next_probe(0) / 60 / factor for _ in range(8)]
    assert probes == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])


def test_only_one_connection_probes():
    pace = a_pace()
    pace.next_probe(0)
    assert pace.may_open(100, 0, 1000)
    assert not pace.may_open(100, 1, 1000)


def test_what_was_learned_is_believed_for_a_day():
    pace = a_pace()
    pace.learn(LowerRung(Rung.LOCKSTEP, ""), 0)
    pace.learn(LowerRung(Rung.DATA_LOOKAHEAD, ""), 1)
    pace.learn(MessageLimit(7), 2)
    pace.learn(RecipientLimit(20), 3)
    assert pace.memory(86_399) == SiteMemory(Rung.LOCKSTEP, 7, 20)
    assert pace.memory(86_401) == SiteMemory()


def test_broken_tls_is_believed_of_its_host_for_ten_minutes():
    pace = a_pace(hosts=3)
    waive = Waive(Waived.TLS, ResultType.FAILED)
    pace.waive("192.0.2.1", waive, 100)
    assert pace.memory_for("192.0.2.1", 699) == SiteMemory(
        waived=Waived.TLS, failure=ResultType.FAILED
    )
    assert not pace.memory_for("192.0.2.1", 700).waived
    assert not pace.memory_for("192.0.2.2", 101).waived
    for n in range(10, 14):
        pace.waive(f"192.0.2.{n}", waive, 100)
    assert not pace.memory_for("192.0.2.10", 101).waived


def test_suspended_hosts_and_sites_are_bounded():
    pace = a_pace(hosts=3)
    for n in range(10):
        pace.suspend_host(f"192.0.2.{n}", 0)
    assert [n for n in range(10) if pace.is_suspended(f"192.0.2.{n}", 1)] == [7, 8, 9]
    paces = Paces(PacingSettings(sites=2), lambda: 0.5)
    first = paces.of("a")
    paces.of("b")
    assert paces.of("a") is first
    paces.of("c")
    paces.of("b")
    assert paces.of("a") is not first


def test_a_complaint_halves_the_rate_and_it_grows_again():
    bucket = Bucket()
    for second in range(60):
        for _ in range(10):
            bucket.sent(second)
    bucket.slow_down(60)
    assert bucket.rate(60) == pytest.approx(5, rel=0.05)
    assert bucket.rate(60 + 300) == bucket.rate(60)
    assert bucket.rate(60 + 360) == pytest.approx(bucket.rate(60) * 1.1)
    assert (bucket.window(359, 8), bucket.window(361, 8)) == (1, 8)
    assert bucket.rate(60 + 86_400) == math.inf


def test_the_slowest_rate_is_one_a_minute():
    bucket = Bucket()
    bucket.slow_down(0)
    assert [bucket.take(second) for second in (1, 59, 60.5, 61, 120, 121)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_nothing_is_counted_while_nobody_complains():
    bucket = Bucket()
    assert all(bucket.take(0) for _ in range(1000))
    assert bucket.seconds_to_next(0) == 0


def simulate(limit, seconds=1800.0, t_message=0.05, t_setup=0.1):
    """Half an hour of endless mail against a site that bears `limit` connections.

    A connection that stands sends for at most 60 s. Returns (attempts, 421s, share of use).
    """
    pace = a_pace()
    events = [(0.0, 0, "look")]
    order = opened = live = sent = attempts = turned_away = 0
    while events and events[0][0] < seconds:
        now, _, what = heapq.heappop(events)
        order += 1
        if what == "arrive" and live >= limit:
            opened -= 1
            turned_away += 1
            pace.too_many(now, live)
        elif what == "arrive":
            live += 1
            heapq.heappush(events, (now + t_message, order, (now, "sent")))
        elif what == "look":
            heapq.heappush(events, (now + 1.0, order, "look"))
        else:
            began, _ = what
            sent += 1
            attempts += 1
            pace.done_after(t_message)
            pace.went_well(now, opened)
            if now - began > 60:
                live -= 1
                opened -= 1
            else:
                heapq.heappush(events, (now + t_message, order, (began, "sent")))
        while pace.may_open(now, opened, 1000):
            opened += 1
            order += 1
            heapq.heappush(events, (now + t_setup, order, "arrive"))
    return attempts + turned_away, turned_away, sent * t_message / (limit * seconds)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "most"),
    [(2, 0.0020), (5, 0.0010), pytest.param(10, 0.0005, marks=pytest.mark.slow)],
)
def test_a_sites_limit_is_used_in_full_with_hardly_a_421(limit, most):
    attempts, turned_away, use = simulate(limit)
    assert turned_away / attempts <= most
    assert use > 0.95
