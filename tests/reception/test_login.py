"""AUTH: who is let in, who is not, and what neither can learn from it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from merpati.journal.events import Accepted, LoggedIn, LoginFailed, Refused
from merpati.mail.address import Address
from merpati.mail.trace import Client, Tls
from merpati.policy.rules.table import RuleSettings
from merpati.reception.failures import FailureSettings
from merpati.reception.hasher import Hasher, LoginBusy
from merpati.reception.login import Login
from merpati.reception.port import Role
from merpati.smtp.sasl.exchange import (
    Decision,
    FetchKeys,
    Rejected,
    Step,
    Succeeded,
    VerifyPassword,
    VerifyToken,
)
from merpati.testing.doors import House, greeted

MESSAGE = b"From: ann@a.test\r\nSubject: Hello\r\n\r\nHi.\r\n"


class Asks:
    """An exchange that asks one question and is over with the answer to it."""

    def __init__(self, question: Step) -> None:
        self.question = question

    def step(self, response: bytes | None) -> Step:
        return self.question

    def answer(self, decision: Decision) -> Step:
        username = getattr(self.question, "username", "")
        if isinstance(decision, bool):
            return Succeeded(username) if decision else Rejected("wrong password", username)
        if not decision:
            return Rejected("no such keys", username)
        return Succeeded(username, decision[-1])


async def respond(house: House, question: Step, *, ip: str = "192.0.2.7") -> tuple[Login, str]:
    """The login after its one step, and what it answered."""
    login = Login(house.logins(), Asks(question), "PLAIN", Client(ip))
    answer = asyncio.ensure_future(login.respond(b""))
    await house.clock.advance(0.0)
    while not answer.done():
        await house.clock.advance(1.0)
    return login, str(await answer)


async def test_the_own_password_logs_in_and_its_use_is_noted() -> None:
    house = House()
    login, reply = await respond(house, VerifyPassword("ann@a.test", "ann's secret"))
    assert reply.startswith("235 2.7.0")
    assert str(login.account) == "ann@a.test"
    [event] = await house.events(LoggedIn)
    assert (event.login, event.program) == ("ann@a.test", "")
    assert house.residents.uses == [(1, house.clock.now())]


@pytest.mark.slow
async def test_an_account_has_one_spelling_however_its_owner_writes_it() -> None:
    house = House()
    for spelling in ("ANN@A.test", '"ann"@a.test', '"a\\nn"@a.test'):
        login, reply = await respond(house, VerifyPassword(spelling, "ann's secret"))
        assert reply.startswith("235")
        assert str(login.account) == "ann@a.test"
    assert {event.login for event in await house.events(LoggedIn)} == {"ann@a.test"}


@pytest.mark.slow
async def test_guesses_at_one_account_are_counted_together_however_it_is_written() -> None:
    house = House(failures=FailureSettings(per_account=3))
    logins = house.logins()
    house.logins = lambda: logins  # type: ignore[method-assign]
    for n, spelling in enumerate(("ann@a.test", '"ann"@a.test', '"\\ann"@a.test')):
        _, reply = await respond(house, VerifyPassword(spelling, "guess"), ip=f"192.0.{n}.7")
        assert reply.startswith("535")
    guess = VerifyPassword('"a\\nn"@a.test', "ann's secret")
    _, reply = await respond(house, guess, ip="192.0.9.7")
    assert reply.startswith("454 4.7.0 Too many failed")


async def test_a_program_is_named_by_its_password() -> None:
    house = House()
    await respond(house, VerifyPassword("ann@a.test", "ann's app secret"))
    [event] = await house.events(LoggedIn)
    assert event.program == "app1"
    assert house.residents.uses == [(2, house.clock.now())]


async def test_scram_keys_tell_the_program_too() -> None:
    house = House()
    _, reply = await respond(house, FetchKeys("ann@a.test"))
    assert reply.startswith("235")
    [event] = await house.events(LoggedIn)
    assert event.program == "app1"


@pytest.mark.parametrize(
    "question",
    [
        VerifyPassword("ann@a.test", "wrong"),
        VerifyPassword("nobody@a.test", "wrong"),
        VerifyPassword("no address", "wrong"),
        VerifyPassword("bob@a.test", "ann's secret"),
        FetchKeys("nobody@a.test"),
        VerifyToken("ann@a.test", "token"),
    ],
)
async def test_every_failure_sounds_the_same(question: Step) -> None:
    house = House()
    began = house.clock.monotonic()
    login, reply = await respond(house, question)
    assert reply == "535 5.7.8 Authentication credentials invalid"
    assert house.clock.monotonic() - began == 1.0
    assert login.account is None
    [event] = await house.events(LoginFailed)
    assert "secret" not in repr(event)
    assert event.ip == "192.0.2.7"


@pytest.mark.parametrize(
    ("rejected", "reply"),
    [
        (Rejected("cancelled", cancelled=True), "501 5.7.0"),
        (Rejected("no NUL", malformed=True), "501 5.5.4"),
    ],
)
async def test_a_broken_exchange_is_no_failed_password(rejected: Rejected, reply: str) -> None:
    house = House()
    _, said = await respond(house, rejected)
    assert said.startswith(reply)
    assert house.clock.monotonic() == 0.0


async def test_an_address_that_failed_too_often_is_not_heard() -> None:
    house = House(failures=FailureSettings(per_address=1))
    logins = house.logins()
    logins.failures.failed("guess@a.test", "192.0.2.7")
    question = Asks(VerifyPassword("ann@a.test", "ann's secret"))
    login = Login(logins, question, "PLAIN", Client("192.0.2.7"))
    assert str(await login.respond(b"")).startswith("454 4.7.0")


@pytest.mark.slow
async def test_hashing_has_a_bounded_queue() -> None:
    with ThreadPoolExecutor(1) as executor:
        hasher = Hasher(executor, max_waiting=2)
        first = [asyncio.ensure_future(hasher.find([], "x")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LoginBusy):
            await hasher.find([], "x")
        assert await asyncio.gather(*first) == [None, None]
        assert await hasher.find([], "x") is None


async def test_a_login_that_cannot_be_checked_now_is_temporary() -> None:
    house = House()
    logins = replace(house.logins(), hasher=Hasher(house.executor, max_waiting=0))
    question = Asks(VerifyPassword("ann@a.test", "ann's secret"))
    reply = await Login(logins, question, "PLAIN", Client("192.0.2.7")).respond(b"")
    assert str(reply).startswith("454 4.7.0")


async def test_submission_takes_a_login_under_tls_and_mail_after_it() -> None:
    house = House()
    async with greeted(house.port(Role.SUBMISSION)) as client:
        await client.start_tls()
        assert (await client.login("ann@a.test", "ann's secret")).startswith("235")
        reply = await client.send(MESSAGE, "x@c.test", sender="ann@a.test")
        assert reply.startswith("250 2.0.0 queued as ")
    [accepted] = await house.events(Accepted)
    assert (accepted.login, accepted.protocol) == ("ann@a.test", "ESMTPSA")


@pytest.mark.parametrize(
    ("password", "program"), [("ann's secret", ""), ("ann's app secret", "app1")]
)
async def test_scram_plus_proves_every_password_and_the_channel(
    password: str, program: str
) -> None:
    house = House()
    async with greeted(house.port(Role.SUBMISSION)) as client:
        tls = Tls("TLSv1.3", "x", channel_bindings=(("tls-server-end-point", b"certificate"),))
        client.stream.tls = client.stream._other.tls = tls
        await client.start_tls()
        assert (await client.scram("ann@a.test", password)).startswith("235")
    [event] = await house.events(LoggedIn)
    assert (event.mechanism, event.program) == ("SCRAM-SHA-256-PLUS", program)


async def test_a_channel_that_is_not_the_same_at_both_ends_lets_nobody_in() -> None:
    house = House()
    async with greeted(house.port(Role.SUBMISSION)) as client:
        for end, octets in ((client.stream, b"theirs"), (client.stream._other, b"ours")):
            end.tls = Tls("TLSv1.3", "x", channel_bindings=(("tls-server-end-point", octets),))
        await client.start_tls()
        trying = asyncio.ensure_future(client.scram("ann@a.test", "ann's secret"))
        await house.clock.advance(20)
        assert (await trying)[:3] in {"501", "535"}


async def test_a_login_sends_as_nobody_else() -> None:
    house = House()
    async with greeted(house.port(Role.SUBMISSION)) as client:
        await client.start_tls()
        await client.login("ann@a.test", "ann's secret")
        assert (await client.say("MAIL FROM:<bob@a.test>")).startswith("553 5.7.1")
    [refused] = await house.events(Refused)
    assert (refused.rule, refused.login) == ("sender", "ann@a.test")


async def test_no_password_is_asked_for_in_the_clear() -> None:
    async with greeted(House().port(Role.SUBMISSION)) as client:
        assert "AUTH" not in await client.say("EHLO client.test")
        assert (await client.login("ann@a.test", "ann's secret"))[:3] in {"503", "504", "538"}


async def test_an_operator_may_allow_it_on_loopback() -> None:
    port = House().port(Role.SUBMISSION, auth_without_tls=True)
    async with greeted(port, "127.0.0.1") as client:
        hello = await client.say("EHLO client.test")
        assert "AUTH" in hello
        assert "PLUS" not in hello
        assert (await client.login("ann@a.test", "ann's secret")).startswith("235")


async def test_mx_offers_no_login() -> None:
    async with greeted(House().port()) as client:
        await client.say("STARTTLS")
        await client.stream.secure(object())
        assert "AUTH" not in await client.say("EHLO client.test")


async def test_guessing_in_one_connection_ends_it() -> None:
    house = House(failures=FailureSettings(per_session=2))
    async with greeted(house.port(Role.SUBMISSION, auth_without_tls=True)) as client:
        replies = [await client.login("ann@a.test", f"guess {n}") for n in range(2)]
        assert [reply[:3] for reply in replies] == ["535", "421"]
        assert await client.reply() == ""


async def test_the_developers_inbox_takes_any_login_any_sender_and_any_recipient() -> None:
    house = House(rules=RuleSettings(inbox=True))
    port = house.port(Role.SUBMISSION, auth_without_tls=True)
    async with greeted(port, "127.0.0.1") as client:
        assert (await client.login("whoever", "anything")).startswith("235")
        assert (await client.send(MESSAGE, "x@c.test", sender="y@d.test")).startswith("250")
        assert (await client.send(MESSAGE, "reject-data-554@c.test")).startswith("554")
    async with greeted(port, "127.0.0.1") as client:
        assert (await client.send(MESSAGE, "x@c.test")).startswith("250")
        assert (await client.send(MESSAGE, "reject-552@c.test")).startswith("552")


async def test_a_suspended_account_is_journaled_as_that_and_told_nothing_else() -> None:
    house = House()
    house.residents.suspended.add(Address.parse("ann@a.test"))
    login, reply = await respond(house, VerifyPassword("ann@a.test", "ann's secret"))
    assert reply == "535 5.7.8 Authentication credentials invalid"
    assert login.account is None
    [event] = await house.events(LoginFailed)
    assert event.why == "suspended account"
