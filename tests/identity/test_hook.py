"""A program of the operator, asked by HTTP: its answers, and what is none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache

import pytest
from aiohttp import web

from merpati.identity.checker import Asked, Proof
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.gate import Gate, GateSettings
from merpati.identity.hook import Hook, HookSettings
from merpati.identity.remembering import Remembering
from merpati.mail.address import Address
from merpati.testing.clock import VirtualClock
from merpati.wire.web import Web, WebSettings

ANN = Asked(Address("ann", "a.test"), "secret ☕", "192.0.2.7")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def client() -> Web:
    """One for all: to read the system's authorities takes longer than all the rest."""
    return Web(WebSettings(octets=10_000))


@asynccontextmanager
async def hook(answer: Answer, seconds: float = 5.0) -> AsyncIterator[Hook]:
    """One that asks a server on loopback."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    settings = HookSettings(f"http://{host}:{port}/check", "shown")
    yield Hook(settings, client(), Gate(GateSettings(seconds), "them"))
    await runner.cleanup()


def saying(text: str | bytes, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        body = text.encode() if isinstance(text, str) else text
        return web.Response(body=body, status=status, headers=headers)

    return answer


async def test_the_program_is_told_all_and_decides() -> None:
    told: list[tuple[dict[str, str], str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        told.append((await request.json(), request.headers.get("Authorization")))
        return web.json_response({"allow": True, "since": "later"})

    async with hook(answer) as checker:
        assert await checker.is_right(ANN)
    question = {"account": "ann@a.test", "password": "secret ☕", "ip": "192.0.2.7"}
    assert told == [(question, "Bearer shown")]


async def test_no_is_no() -> None:
    async with hook(saying('{"allow": false}')) as checker:
        assert not await checker.is_right(ANN)


@pytest.mark.parametrize(
    "answer",
    [
        saying("", 500),
        saying('{"allow": true}', 201),
        saying('{"allow": true}', 401),
        saying("", 302, Location="http://169.254.169.254/latest/meta-data/"),
        saying("<html>Welcome</html>"),
        saying(""),
        saying("true"),
        saying('{"allow": "true"}'),
        saying('{"allow": 1}'),
        saying('{"Allow": true}'),
        saying(b"[" * 9000),
        saying(b'{"x":' + b"[" * 9000),
        saying(b'{"allow": true, "x": "' + b"y" * 20_000 + b'"}'),
        saying(b"\xff\xfe"),
    ],
)
async def test_everything_else_is_no_answer(answer: Answer) -> None:
    async with hook(answer) as checker:
        with pytest.raises(IdentityUnavailable) as raised:
            await checker.is_right(ANN)
    assert "secret" not in str(raised.value)


async def test_a_program_that_is_not_there_is_no_answer() -> None:
    checker = Hook(HookSettings("http://127.0.0.1:9/"), client(), Gate(GateSettings(), "them"))
    with pytest.raises(IdentityUnavailable):
        await checker.is_right(ANN)


@pytest.mark.slow
async def test_a_slow_program_is_waited_for_no_longer_than_is_said_and_few_at_a_time() -> None:
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)
        return web.json_response({"allow": True})

    async with hook(answer, 0.3) as checker:
        found = await asyncio.gather(
            *(checker.is_right(ANN) for _ in range(300)), return_exceptions=True
        )
    assert {type(one) for one in found} == {IdentityUnavailable}
    # Whoever comes in when the first are out of time has no time left either.
    assert 20 <= asked <= 40
    assert sum("too many" in str(one) for one in found) == 80


class Counting:
    """Knows that `secret ☕` is right, and how often it was asked."""

    proof = Proof("http")

    def __init__(self) -> None:
        self.asked = 0

    async def is_right(self, asked: Asked) -> bool:
        self.asked += 1
        return asked.password == ANN.password


async def test_what_was_right_is_remembered_for_its_time_and_what_was_wrong_is_not() -> None:
    clock, counting = VirtualClock(), Counting()
    checker = Remembering(counting, clock, 60.0, bytes)
    wrong = Asked(ANN.account, "wrong")
    assert [await checker.is_right(one) for one in (ANN, ANN, wrong, wrong, ANN)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    assert counting.asked == 3
    other = Asked(Address("bob", "a.test"), "wrong")
    assert not await checker.is_right(other)
    await clock.advance(61)
    assert await checker.is_right(ANN)
    assert counting.asked == 5


async def test_no_password_is_in_what_is_remembered() -> None:
    checker = Remembering(Counting(), VirtualClock(), 60.0, bytes)
    await checker.is_right(ANN)
    assert ANN.password not in repr(vars(checker))
