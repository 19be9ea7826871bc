"""Questions that are asked as a generator, and whoever answers them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from merpati.authenticity import questions
from merpati.authenticity.questions import (
    TURN,
    Allowance,
    Asking,
    Inquiry,
    Kind,
    Question,
    Together,
    drive,
)
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError, DnsFailure
from merpati.dns.resolver import Found, Mx
from merpati.testing.answers import Answers, TableResolver
from merpati.testing.zone import Fault, ZoneServer, serve_zone

ZONE = """
a.test       TXT   v=spf1
a.test       MX    10 mx.a.test
mx.a.test    A     127.0.0.1
mx.a.test    AAAA  ::1
1.0.0.127.in-addr.arpa PTR mx.a.test
"""


def everything() -> Asking[tuple[object, ...]]:
    return (
        (yield from questions.txt("a.test")).records,
        (yield from questions.mx("a.test")).records,
        (yield from questions.ipv4("mx.a.test")).records,
        (yield from questions.ipv6("mx.a.test")).records,
        (yield from questions.ptr("127.0.0.1")).records,
        (yield from questions.txt("b.test")).found,
        (yield from questions.txt("mx.a.test")).found,
    )


def told() -> Asking[str]:
    try:
        yield from questions.txt("a.test")
    except DnsError as error:
        return error.cause
    return ""


EVERYTHING = (
    (b"v=spf1",),
    (Mx(10, "mx.a.test"),),
    ("127.0.0.1",),
    ("::1",),
    ("mx.a.test",),
    Found.NO_NAME,
    Found.NO_DATA,
)


@pytest.fixture
async def zone() -> AsyncIterator[ZoneServer]:
    async with serve_zone(ZONE) as server:
        yield server


def client_of(zone: ZoneServer) -> DnsClient:
    return DnsClient(SystemClock(), DnsSettings(servers=(zone.address,)))


async def test_a_resolver_answers_every_kind_of_question(zone: ZoneServer) -> None:
    assert await drive(everything(), client_of(zone)) == EVERYTHING


async def test_a_failure_is_thrown_into_the_check(zone: ZoneServer) -> None:
    zone.faults["a.test"] = Fault.SERVFAIL
    assert "SERVFAIL" in await drive(told(), client_of(zone))


async def test_what_the_check_does_not_expect_comes_out(zone: ZoneServer) -> None:
    zone.faults["a.test"] = Fault.SERVFAIL
    with pytest.raises(DnsFailure):
        await drive(everything(), client_of(zone))


def test_a_table_answers_as_a_resolver_does() -> None:
    answers = Answers(
        {
            "TXT a.test": [b"v=spf1"],
            "MX a.test": [Mx(10, "mx.a.test")],
            "A mx.a.test": ["127.0.0.1"],
            "AAAA MX.a.test": ["::1"],
            "PTR 127.0.0.1": ["mx.a.test"],
        }
    )
    assert answers.answer(everything()) == EVERYTHING
    assert answers.asked[0] == Question(Kind.TXT, "a.test")
    assert answers.count(Kind.TXT) == 3


def test_a_table_throws_its_failures_in() -> None:
    assert Answers({"TXT a.test": DnsFailure("SERVFAIL")}).answer(told()) == "SERVFAIL"


def working(pieces: int, seconds: float) -> Asking[int]:
    for _ in range(pieces):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        yield TURN
    return pieces


def beside(checks: int) -> Inquiry[tuple[int, ...]]:
    found: tuple[int, ...] = yield Together(tuple(working(1, 0.002) for _ in range(checks)))
    return found


async def turns_of_others(asking: Asking[object] | Inquiry[object]) -> int:
    """How many others had until a check came to its end."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await drive(asking, TableResolver(Answers({})))
    found = turns
    counting.cancel()
    with suppress(asyncio.CancelledError):
        await counting
    return found


async def test_others_have_turns_while_a_check_works_for_long() -> None:
    assert await turns_of_others(working(5, 0.0012)) >= 4


async def test_a_short_check_waits_for_nobody() -> None:
    # A machine that is busy elsewhere may make one of them long.
    assert 0 in [await turns_of_others(working(5, 0.0)) for _ in range(5)]


async def test_checks_that_are_ready_together_have_a_turn_each() -> None:
    assert await turns_of_others(beside(1)) < 5
    assert await turns_of_others(beside(6)) > 6


def test_a_turn_is_no_question() -> None:
    answers = Answers({})
    assert answers.answer(Allowance(0).of(working(3, 0.0))) == 3
    assert answers.asked == []
