"""Each limit, when it is hit, is counted under its name, whichever part of the server says no."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import msgspec
import pytest

from merpati.config.document import Document
from merpati.config.read import bare, metas, table_of
from merpati.config.table import CONNECTIONS, RATE, Table
from merpati.config.table import MESSAGE as OF_A_MESSAGE
from merpati.config.tables.limits import LimitsTable, SubmissionTable
from merpati.config.tables.reports import ReportsTable
from merpati.config.tables.route import DeliveryTable, RouteTable
from merpati.journal.events import Lifecycle
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope
from merpati.mail.trace import Client
from merpati.policy.guard import Guard, GuardSettings
from merpati.policy.limit import Limit
from merpati.policy.replay import Action, ReplaySettings
from merpati.policy.rule import MAIL, RCPT, Facts
from merpati.policy.rules.account import Account
from merpati.policy.rules.limits import LimitSettings
from merpati.policy.rules.space import Disk
from merpati.policy.rules.table import RuleSettings
from merpati.reception.crowds import CROWDS
from merpati.reception.failures import FailureSettings
from merpati.reception.hasher import Hasher
from merpati.reception.port import Role
from merpati.reception.room import SMALL, Room, RoomSettings
from merpati.testing.clock import VirtualClock
from merpati.testing.doors import House, Talker, greeted, networks, talking
from merpati.testing.memory_directory import MemoryDirectory, MemoryUsage
from merpati.wire.listen import Crowd
from tests.reception.test_authenticity import MESSAGE, Bank, signed

ANN = Address("ann", "a.test")
MAIL_FROM, RCPT_TO = "MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>"
LARGE = b"Subject: Large\r\n\r\n" + b"x\r\n" * SMALL


def limited(**limits: int) -> House:
    return House(rules=RuleSettings(limits=LimitSettings(**limits)))


async def said(house: House, *lines: str, **settings: object) -> House:
    async with greeted(house.port(**settings)) as client:  # type: ignore[arg-type]
        await client.say(*lines)
    return house


async def a_declared_size() -> House:
    return await said(House(), "MAIL FROM:<eve@b.test> SIZE=3000", max_size=2000)


async def a_recipient_too_many() -> House:
    return await said(limited(max_recipients=1), MAIL_FROM, RCPT_TO, RCPT_TO)


async def crowded(crowd: Crowd) -> House:
    house = House()
    async with talking(house.port(), crowd=crowd) as client:
        await client.reply()
    return house


async def a_connection_too_many() -> House:
    house = limited(connections_per_minute=1)
    port = house.port()
    for _ in range(2):
        async with talking(port) as client:
            await client.reply()
    return house


async def a_message_too_many() -> House:
    return await said(limited(messages_per_minute=1), MAIL_FROM, "RSET", MAIL_FROM)


async def a_recipient_of_a_login_too_many() -> House:
    house = limited(recipients_per_hour=1)
    async with greeted(house.port(Role.SUBMISSION, auth_without_tls=True)) as client:
        await client.login("ann@a.test", "ann's secret")
        await client.say("MAIL FROM:<ann@a.test>", RCPT_TO, RCPT_TO)
    return house


async def a_recipient_of_a_trusted_host_too_many() -> House:
    trusted = networks("192.0.2.0/24")
    house = limited(trusted_recipients_per_hour=1)
    return await said(house, MAIL_FROM, RCPT_TO, RCPT_TO, trusted=trusted)


async def a_full_disk() -> House:
    return await said(House(measure=lambda: Disk(1024**3, 0)), MAIL_FROM)


def guarded(settings: GuardSettings) -> tuple[Guard, House]:
    house, directory = House(), MemoryDirectory()
    guard = Guard(settings, (directory, MemoryUsage(directory)), VirtualClock(), b"secret")
    guard.hit = lambda limit: house.limits.hit(f"accounts: {limit.value}")
    return guard, house


async def an_account(settings: GuardSettings) -> House:
    """Two messages of it to two strangers are judged."""
    guard, house = guarded(settings)
    directory = guard.directory
    assert isinstance(directory, MemoryDirectory)
    await directory.add_domain("a.test")
    await directory.add_user(ANN, None)
    facts = Facts(Client("192.0.2.1"), login=ANN, envelope=Envelope(ANN, ()))
    for n in range(2):
        facts.recipient = Address(f"{n}", "b.test")
        for moment in (MAIL, RCPT):
            verdict = Account(guard).judge(moment, facts)
            if verdict is not None and verdict.limit is not None:
                house.limits.hit(f"submission: {verdict.limit.value}")
        user = directory.user(ANN)
        row = guard.row(user) if user else None
        assert row
        row.take(1, 1)
        guard.failed(ANN)
    return house


async def slots() -> House:
    house = House()
    async with greeted(house.port(connections=1)) as slow:
        await slow.say(MAIL_FROM, RCPT_TO, "DATA")
        for _ in range(12):
            slow.stream.write(b"x")
            await house.clock.advance(1)
        await slow.reply()
    return house


async def logins(house: House, wrong: int) -> House:
    port = house.port(Role.SUBMISSION, auth_without_tls=True)
    async with greeted(port) as client:
        for _ in range(wrong):
            await client.login("ann@a.test", "wrong")
    return house


async def failed_logins() -> House:
    return await logins(House(failures=FailureSettings(per_pair=1)), 2)


async def logins_that_wait() -> House:
    house = House()
    none = replace(house.logins(), hasher=Hasher(house.executor, max_waiting=0))
    house.logins = lambda: none  # type: ignore[method-assign]
    return await logins(house, 1)


async def guesses() -> House:
    unknown = "RCPT TO:<nobody@a.test>"
    return await said(House(rules=RuleSettings(max_unknown=1)), MAIL_FROM, unknown, unknown)


async def large_messages() -> House:
    house = House()
    port = house.port()
    port.room = Room(RoomSettings(shares=1, patience=1.0), house.clock)
    assert await port.room.take()
    async with greeted(port) as client:
        await client.say(MAIL_FROM, RCPT_TO, "DATA")
        client.stream.write(LARGE + b".\r\n")
        await _answered(house, client)
    return house


async def _answered(house: House, client: Talker) -> None:
    answer = asyncio.create_task(client.reply())
    await house.clock.advance(2.0)
    await answer


async def a_signature_too_often() -> House:
    house = Bank()
    house.rules = replace(house.rules, replay=ReplaySettings(recipients=1, action=Action.DEFER))
    message = signed(MESSAGE)
    for _ in range(4):
        await house.receives(message)
    return house


async def idle_commands() -> House:
    return await said(House(), "NOOP", "NOOP", "NOOP", idle_commands=1)


NO_QUOTA = GuardSettings(messages=0, recipients=0, strangers=0, unknown=0)
HIT: dict[Limit, Callable[[], Awaitable[House]]] = {
    Limit.MESSAGE_SIZE: a_declared_size,
    Limit.RECIPIENTS: a_recipient_too_many,
    Limit.CONNECTIONS: lambda: crowded(Crowd.CONNECTIONS),
    Limit.CONNECTIONS_PER_ADDRESS: lambda: crowded(Crowd.PER_IP),
    Limit.BUSY: lambda: crowded(Crowd.BUSY),
    Limit.CONNECTIONS_PER_MINUTE: a_connection_too_many,
    Limit.MESSAGES_PER_MINUTE: a_message_too_many,
    Limit.RECIPIENTS_PER_HOUR: a_recipient_of_a_login_too_many,
    Limit.TRUSTED_RECIPIENTS_PER_HOUR: a_recipient_of_a_trusted_host_too_many,
    Limit.FREE_SPACE: a_full_disk,
    Limit.REPLAY_RECIPIENTS: a_signature_too_often,
    Limit.MESSAGES_PER_DAY: lambda: an_account(replace(NO_QUOTA, messages=1)),
    Limit.RECIPIENTS_PER_DAY: lambda: an_account(replace(NO_QUOTA, recipients=1)),
    Limit.NEW_RECIPIENTS_PER_DAY: lambda: an_account(replace(NO_QUOTA, strangers=1)),
    Limit.UNKNOWN_RECIPIENTS_PER_HOUR: lambda: an_account(
        replace(NO_QUOTA, strangers=9, unknown=1)
    ),
    Limit.SLOTS: slots,
    Limit.SLOW: slots,
    Limit.FAILED_LOGINS: failed_logins,
    Limit.WAITING_LOGINS: logins_that_wait,
    Limit.UNKNOWN_RECIPIENTS: guesses,
    Limit.LARGE_MESSAGES: large_messages,
    Limit.IDLE_COMMANDS: idle_commands,
}
"""What hits each of them; those that need a real handshake stand in test_certificates."""


@pytest.mark.parametrize("limit", HIT, ids=lambda limit: limit.name)
async def test_a_limit_that_is_hit_is_counted_and_journaled(limit: Limit) -> None:
    house = await HIT[limit]()
    names = {name for name in house.limits.totals if name.partition(": ")[2] == limit.value}
    assert len(names) == 1, house.limits.totals
    told = [event.detail for event in await house.events(Lifecycle) if event.what == "limit"]
    assert names < set(told) or names == set(told)


async def test_content_that_is_too_large_is_counted_once() -> None:
    house = limited(max_size=2000)
    async with greeted(house.port(max_size=2000)) as client:
        assert (await client.send(LARGE, "ann@a.test")).startswith("552 5.3.4")
    assert house.limits.totals == {"mx: message_size": 1}


async def test_a_message_that_the_rules_find_too_large_is_counted_once() -> None:
    house = limited(max_size=20)
    async with greeted(house.port()) as client:
        assert (await client.send(b"Subject: x\r\n" * 9, "ann@a.test")).startswith("552 5.3.4")
    assert house.limits.totals == {"mx: message_size": 1}


def test_no_limit_is_without_something_that_hits_it() -> None:
    assert set(HIT) == set(Limit) - {Limit.CERTIFICATES}
    assert set(CROWDS) == set(Crowd)


def test_every_limit_of_the_configuration_has_a_name() -> None:
    names = set(limits(Document))
    assert {"connections", "message_size", "free_space", "messages_per_day"} <= names
    assert names <= {limit.value for limit in Limit}


def limits(kind: type[Table]) -> Iterator[str]:
    """Keys of a table, and of those within it, that turn somebody away who comes to us."""
    if kind in {DeliveryTable, RouteTable, ReportsTable}:
        return  # What others bear and what is kept of reports: nobody is turned away.
    for field in msgspec.structs.fields(kind):
        if table := table_of(field.type):
            yield from limits(table)
        elif kind in {LimitsTable, SubmissionTable}:
            if bare(field.type) is not bool:
                yield field.name
        elif any(meta in (OF_A_MESSAGE, CONNECTIONS, RATE) for meta in metas(field.type)):
            yield field.name
