"""Questions that are asked as a generator, and whoever answers them."""

from collections.abc import AsyncIterator

import pytest

from merpati.authenticity import questions
from merpati.authenticity.questions import Asking, Kind, Question, drive
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError, DnsFailure
from merpati.dns.resolver import Found, Mx
from merpati.testing.answers import Answers
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
