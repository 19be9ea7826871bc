"""A stolen password is noticed, whichever worker it is used at, and nobody else is."""

from dataclasses import replace

import pytest

from merpati.directory.directory import Quotas, Suspension, User
from merpati.directory.usage import DAY, Sent
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.trace import Client
from merpati.node.table import Table, TableSettings
from merpati.policy.guard import Guard, GuardSettings
from merpati.policy.rule import MAIL, MESSAGE, RCPT, Facts
from merpati.policy.rules.account import Account, not_stored
from merpati.testing.clock import VirtualClock
from merpati.testing.memory_directory import MemoryDirectory, MemoryUsage

ANN = Address("ann", "a.test")
NOON = 20_000.5 * DAY
SETTINGS = GuardSettings(messages=3, recipients=5, strangers=2, unknown=2)


class Node:
    """Some workers of one node, each with its own guard over what they share."""

    def __init__(self, workers: int = 1, settings: GuardSettings = SETTINGS) -> None:
        self.clock = VirtualClock(NOON)
        self.directory = MemoryDirectory()
        self.usage = MemoryUsage(self.directory)
        self.settings = settings
        self.start(workers)

    def start(self, workers: int = 1) -> None:
        """As after a restart: what was in memory is gone."""
        table = Table(TableSettings(workers=workers))
        books = (self.directory, self.usage)
        self.guards = [
            Guard(self.settings, books, self.clock, b"secret", table) for _ in range(workers)
        ]

    async def settle(self) -> None:
        await self.directory.add_domain("a.test")
        await self.directory.add_user(ANN, None)

    def send(self, *to: str, worker: int = 0) -> str:
        """Everything that a session asks; the first refusal, or nothing."""
        rule = Account(self.guards[worker])
        recipients = tuple(Recipient(Address.parse(one)) for one in to)
        facts = Facts(Client("192.0.2.1"), login=ANN, envelope=Envelope(ANN, ()))
        answers = [rule.judge(MAIL, facts)]
        for recipient in recipients:
            facts.recipient = recipient.address
            answers.append(rule.judge(RCPT, facts))
            facts.known_recipients += 1
        facts.envelope = Envelope(ANN, recipients)
        if not any(answers):
            answers.append(rule.judge(MESSAGE, facts))
        return next((str(answer.reply) for answer in answers if answer), "")


@pytest.fixture
async def node() -> Node:
    node = Node(2)
    await node.settle()
    return node


async def test_the_day_has_so_many_messages_over_all_workers_and_the_next_as_many(
    node: Node,
) -> None:
    assert [node.send("bob@a.test", worker=n % 2) for n in range(3)] == ["", "", ""]
    for worker in (0, 1):
        assert node.send("bob@a.test", worker=worker) == (
            "452 4.7.1 ann@a.test may send no more than 3 messages a day; go on at "
            "2024-10-05 00:00 UTC or ask the postmaster"
        )
    node.clock.jump(DAY / 2)
    assert node.send("bob@a.test") == ""


@pytest.mark.slow
async def test_a_row_that_gave_way_is_looked_for_again(node: Node) -> None:
    assert [node.send("bob@a.test") for _ in range(2)] == ["", ""]
    table = node.guards[0]._table
    for n in range(60_000):
        table.row(f"other {n}", node.clock.monotonic() + n)
    answers = [node.send("bob@a.test", worker=worker) for worker in (1, 0, 1, 0)]
    assert [answer[:3] for answer in answers] == ["", "", "", "452"]


async def test_who_was_removed_sends_no_more_in_a_session_that_still_stands(node: Node) -> None:
    await node.directory.remove_user(ANN)
    assert node.send("bob@b.test").startswith("550 5.7.13")


async def test_recipients_are_counted_each_time_and_within_a_message(node: Node) -> None:
    assert node.send(*["bob@a.test"] * 3) == ""
    assert node.send(*["bob@a.test"] * 3, worker=1).startswith(
        "452 4.5.3 ann@a.test may send to no more than 5 recipients a day"
    )
    assert node.send(*["bob@a.test"] * 2) == ""


async def test_one_new_recipient_too_many_is_refused_and_makes_a_suspect(node: Node) -> None:
    assert node.send("one@b.test") == ""
    assert node.send("two@b.test", "one@b.test", worker=1) == ""
    refusal = node.send("three@b.test", worker=1)
    assert refusal.startswith("550 5.7.13 ann@a.test may not send: more than 2 recipients in a day")
    assert node.guards[1].suspects() == {ANN: "more than 2 recipients in a day that were new to it"}
    assert node.guards[0].suspects() == {}


async def test_who_was_written_to_before_is_no_stranger(node: Node) -> None:
    known = node.guards[0].hash_of(ANN, Address("old", "b.test"))
    await node.usage.add(0, 1, [Sent(ANN, NOON - 9 * DAY, 1, (known,))])
    for _ in range(2):
        assert node.send("old@b.test") == ""
    assert node.send("one@b.test", "two@b.test") == ""


async def test_without_suspensions_what_is_too_much_may_come_the_next_day() -> None:
    node = Node(settings=replace(SETTINGS, suspends=False))
    await node.settle()
    assert node.send("1@b.test", "2@b.test", "3@b.test").startswith("452 4.7.1")
    assert node.guards[0].suspects() == {}


async def test_an_application_has_no_quotas(node: Node) -> None:
    await node.directory.set_quotas(ANN, Quotas(0, 0, 0))
    for n in range(9):
        assert node.send(f"{n}@b.test", f"{n}@c.test") == ""
        node.guards[0].failed(ANN)
    assert node.guards[0].suspects() == {}


async def test_a_restart_goes_on_with_what_the_journals_had(node: Node) -> None:
    await node.usage.add(0, 1, [Sent(ANN, NOON, 1), Sent(ANN, NOON, 1)])
    assert node.send("bob@a.test") == ""
    assert node.send("bob@a.test").startswith("452")


async def test_what_is_counted_in_storage_raises_what_a_worker_believes(node: Node) -> None:
    assert node.send("bob@a.test") == ""
    await node.usage.add(0, 1, [Sent(ANN, NOON, 1)] * 3)
    node.guards[1].learn(ANN)
    assert node.send("bob@a.test").startswith("452")


async def test_storage_that_lags_behind_takes_nothing_back(node: Node) -> None:
    for _ in range(3):
        assert node.send("bob@a.test") == ""
    node.guards[0].learn(ANN)
    assert node.send("bob@a.test").startswith("452")


async def test_what_could_not_be_stored_is_not_counted(node: Node) -> None:
    for _ in range(9):
        assert node.send("bob@a.test", "bob@a.test") == ""
        to = (Recipient(ANN), Recipient(ANN))
        facts = Facts(Client("192.0.2.1"), login=ANN, envelope=Envelope(ANN, to))
        not_stored(node.guards[0], facts)


@pytest.mark.parametrize("leap", [-DAY, DAY])
async def test_a_clock_that_leaps_over_midnight_and_back_finds_each_day_as_it_was(
    node: Node, leap: float
) -> None:
    for _ in range(3):
        assert node.send("bob@a.test") == ""
    node.clock.jump(leap)
    assert node.send("one@b.test") == ""
    node.clock.jump(-leap)
    assert node.send("bob@a.test").startswith("452 4.7.1")
    assert all(guard.suspects() == {} for guard in node.guards)


async def test_many_unknown_recipients_within_an_hour_make_a_suspect(node: Node) -> None:
    node.guards[0].failed(ANN)
    node.guards[1].failed(ANN)
    assert not node.guards[0].suspects() | node.guards[1].suspects()
    node.guards[1].failed(ANN)
    assert node.guards[1].suspects() == {ANN: "more than 2 unknown recipients in an hour"}


async def test_a_few_unknown_recipients_an_hour_are_nothing(node: Node) -> None:
    for _ in range(20):
        node.guards[0].failed(ANN)
        await _pass(node.clock, 1800)
    assert node.guards[0].suspects() == {}


async def _pass(clock: VirtualClock, seconds: float) -> None:
    async with clock.running():
        await clock.sleep(seconds)


async def test_who_is_suspended_is_told_why_at_every_step_and_resumed_begins_anew(
    node: Node,
) -> None:
    assert node.send("1@b.test", "2@b.test") == ""
    await node.directory.suspend(ANN, Suspension(NOON, "its password is known"))
    assert node.send("bob@a.test") == (
        "550 5.7.13 ann@a.test may not send: its password is known. If that was not you, change "
        "your password; then ask the postmaster to let you go on"
    )
    rule, facts = Account(node.guards[0]), Facts(Client("192.0.2.1"), login=ANN)
    assert all(rule.judge(moment, facts) for moment in (MAIL, RCPT, MESSAGE))
    await node.directory.resume(ANN, NOON + 1)
    assert node.send("1@b.test", "3@b.test", "4@b.test") == ""


async def test_who_did_not_log_in_is_nobodys_account(node: Node) -> None:
    rule, facts = Account(node.guards[0]), Facts(Client("192.0.2.1"))
    assert [rule.judge(moment, facts) for moment in (MAIL, RCPT, MESSAGE)] == [None] * 3
    assert node.guards[0].quotas(User(ANN)) == (3, 5, 2)
