"""Each rule by itself."""

import asyncio
from dataclasses import replace

import pytest

from merpati.directory.expansion import Expander
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.policy.judge import Judge
from merpati.policy.rule import Facts, Moment, Rule
from merpati.policy.rules.author import Author
from merpati.policy.rules.hops import Hops
from merpati.policy.rules.limits import Limits, LimitSettings
from merpati.policy.rules.magic import Magic
from merpati.policy.rules.recipients import Recipients
from merpati.policy.rules.relay import Relay
from merpati.policy.rules.sender import Sender
from merpati.testing.clock import VirtualClock
from merpati.testing.facts import some_facts
from merpati.testing.residents import Residents
from tests.cases import each


@pytest.fixture
def residents() -> Residents:
    """Ann lives at a.test, and sales@a.test leads to her."""
    residents = Residents()
    residents.move_in("ann@a.test")
    residents.alias("sales@a.test", "ann@a.test")
    return residents


@pytest.fixture
def expander(residents: Residents) -> Expander:
    return Expander(residents, "mx.a.test")


async def check(rule: Rule, moment: Moment, facts: Facts, expected: str) -> None:
    """`expected` is how the refusal begins, empty for none."""
    verdict = await Judge([rule]).ask(moment, facts)
    assert moment in rule.moments
    said = str(verdict.reply) if verdict else ""
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


async def test_a_stranger_relays_nothing(expander: Expander) -> None:
    await check(Relay(expander), Moment.RCPT, some_facts(to="x@c.test"), "550 5.7.1")


async def test_mail_for_us_is_taken_from_strangers(expander: Expander) -> None:
    await check(Relay(expander), Moment.RCPT, some_facts(to="nobody@a.test"), "")


async def test_a_submission_port_wants_a_login_first(expander: Expander) -> None:
    rule = Relay(expander, login_required=True)
    await check(rule, Moment.MAIL, some_facts(), "530 5.7.0")
    await check(rule, Moment.MAIL, some_facts(login="ann@a.test"), "")


async def test_a_listed_network_relays(expander: Expander) -> None:
    facts = some_facts(to="x@c.test")
    facts.trusted = True
    await check(Relay(expander, login_required=True), Moment.RCPT, facts, "")


async def test_nobody_here_is_refused_at_rcpt(expander: Expander) -> None:
    rule = Recipients(expander)
    await check(rule, Moment.RCPT, some_facts(to="nobody@a.test"), "550 5.1.1")
    await check(rule, Moment.RCPT, some_facts(to="sales@a.test"), "")
    await check(rule, Moment.RCPT, some_facts(to="x@elsewhere.test"), "")


async def test_guessing_names_ends_the_session(expander: Expander) -> None:
    facts = some_facts(to="nobody@a.test")
    facts.unknown_recipients = 20
    verdict = Recipients(expander).judge(Moment.RCPT, facts)
    assert verdict
    assert verdict.close
    assert verdict.reply.code == 421


async def test_a_list_with_some_stale_names_is_no_guessing(expander: Expander) -> None:
    facts = some_facts(to="nobody@a.test")
    facts.unknown_recipients, facts.different_recipients = 20, 400
    await check(Recipients(expander), Moment.RCPT, facts, "550 5.1.1")


async def test_damaged_aliases_are_a_temporary_refusal(residents: Residents) -> None:
    residents.damaged = True
    rule = Recipients(Expander(residents, "mx.a.test"))
    await check(rule, Moment.RCPT, some_facts(to="sales@a.test"), "451 4.3.5")


async def test_postmaster_is_known_in_every_domain_of_ours(residents: Residents) -> None:
    rule = Recipients(Expander(residents, "mx.a.test", Address.parse("ann@a.test")))
    await check(rule, Moment.RCPT, some_facts(to="PostMaster@a.test"), "")
    await check(rule, Moment.RCPT, some_facts(to="postmaster"), "")


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("ann@a.test", ""),
        ("sales@a.test", ""),
        ("", ""),
        ("bob@a.test", "553 5.7.1"),
        ("ann@b.test", "553 5.7.1"),
    ],
)
async def test_a_login_sends_as_itself(residents: Residents, sender: str, expected: str) -> None:
    facts = some_facts(sender=sender, login="ann@a.test")
    await check(Sender(residents), Moment.MAIL, facts, expected)


async def test_a_stranger_may_name_any_sender(residents: Residents) -> None:
    await check(Sender(residents), Moment.MAIL, some_facts(sender="ann@a.test"), "")


@each(
    ("author", "expected"),
    [
        ("ann@a.test", ""),
        ("Ann <ann@A.test>", ""),
        ("sales@a.test", ""),
        ("eve@elsewhere.test", ""),
        ("root", ""),
        ("Budi <budi@a.test>", "550 5.7.1 ann@a.test may not write as budi@a.test, as From says"),
        ("ann@a.test, budi@a.test", "550 5.7.1"),
        ("us: ann@a.test, budi@a.test;", "550 5.7.1"),
        ("budi@a.test (ann@a.test)", "550 5.7.1"),
        ("ann@a.test\r\nFrom: budi@a.test", "550 5.7.1"),
        ("ann@a.test,\r\n budi@a.test", "550 5.7.1"),
        ("ceo@mail.a.test", "550 5.7.1"),
        ("<budi@a.test> <ann@a.test>", "550 5.7.1"),
        ("<ann@a.test> <budi@a.test>", "550 5.7.1"),
        ("budi@a.test ann@a.test", "550 5.7.1"),
        (f"<ann@a.test> {'x' * 300} <budi@a.test", "550 5.7.1"),
        ("\r\nFrom: ".join(["ann@a.test"] * 101), "550 5.7.1 From holds"),
        ("\r\nFrom: ".join(["ann@a.test"] * 100), ""),
        (f'"{"x" * 17_000}" <ann@a.test>', "550 5.7.1 From holds"),
    ],
)
def test_a_login_writes_as_itself(author: str, expected: str) -> None:
    residents = Residents()
    residents.move_in("ann@a.test")
    residents.alias("sales@a.test", "ann@a.test")
    facts = some_facts(sender="ann@a.test", login="ann@a.test")
    facts.headers = Headers.scan(f"From: {author}\r\n\r\n".encode())
    verdict = Author(residents).judge(Moment.MESSAGE, facts)
    said = str(verdict.reply) if verdict else ""
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


async def test_who_has_no_login_may_name_any_author(residents: Residents) -> None:
    facts = some_facts(sender="ann@a.test")
    facts.headers = Headers.scan(b"From: budi@a.test\r\n\r\n")
    await check(Author(residents), Moment.MESSAGE, facts, "")


async def test_the_hop_too_many_is_a_loop(expander: Expander) -> None:
    hop = b"Received: from a by b; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
    facts = some_facts()
    facts.headers = Headers.scan(hop * 50 + b"\r\n")
    await check(Hops(expander), Moment.MESSAGE, facts, "")
    facts.headers = Headers.scan(hop * 51 + b"\r\n")
    await check(Hops(expander), Moment.MESSAGE, facts, "554 5.4.6")


@pytest.mark.parametrize("to", ["ann@a.test", "sales@a.test"])
async def test_mail_that_was_in_the_mailbox_before_is_a_loop(expander: Expander, to: str) -> None:
    facts = some_facts(to=to)
    facts.headers = Headers.scan(b"Delivered-To: bob@b.test\r\n\r\n")
    await check(Hops(expander), Moment.MESSAGE, facts, "")
    facts.headers = Headers.scan(b"Delivered-To: bob@b.test\r\nDelivered-To: Ann@A.test\r\n\r\n")
    await check(Hops(expander), Moment.MESSAGE, facts, "554 5.4.6")


async def test_where_it_was_elsewhere_is_the_business_of_others(expander: Expander) -> None:
    facts = some_facts(to="bob@b.test")
    facts.headers = Headers.scan(b"Delivered-To: bob@b.test\r\n\r\n")
    await check(Hops(expander), Moment.MESSAGE, facts, "")


def limits(clock: VirtualClock | None = None, **settings: int) -> Limits:
    return Limits(LimitSettings(**settings), clock or VirtualClock())


async def test_what_is_too_large_is_refused_when_declared_and_when_it_came() -> None:
    rule = limits(max_size=100)
    for moment in (Moment.MAIL, Moment.MESSAGE):
        await check(rule, moment, some_facts(size=100), "")
        await check(rule, moment, some_facts(size=101), "552 5.3.4")


async def test_one_recipient_too_many_goes_into_another_transaction() -> None:
    facts = some_facts(to="x@a.test")
    facts.known_recipients = 3
    await check(limits(max_recipients=3), Moment.RCPT, facts, "452 4.5.3")


@pytest.mark.parametrize(
    ("moment", "settings", "refusal"),
    [
        (Moment.CONNECT, {"connections_per_minute": 2}, "421 4.7.0"),
        (Moment.MAIL, {"messages_per_minute": 2}, "450 4.7.0"),
    ],
)
async def test_a_strangers_rate_is_limited_and_recovers(
    moment: Moment, settings: dict[str, int], refusal: str
) -> None:
    clock = VirtualClock()
    rule = limits(clock, **settings)
    for _ in range(2):
        await check(rule, moment, some_facts(), "")
    await check(rule, moment, some_facts(), refusal)
    await check(rule, moment, some_facts(ip="198.51.100.1"), "")
    await check(rule, moment, some_facts(ip="127.0.0.1"), "")
    await clock.advance(30)
    await check(rule, moment, some_facts(), "")


async def test_a_stolen_login_sends_only_so_much() -> None:
    rule = limits(recipients_per_hour=2)
    facts = some_facts(to="x@c.test", login="ann@a.test")
    for _ in range(2):
        await check(rule, Moment.RCPT, facts, "")
    await check(rule, Moment.RCPT, facts, "450 4.7.0")
    await check(rule, Moment.RCPT, some_facts(to="x@c.test", login="bob@a.test"), "")


def trusted(ip: str) -> Facts:
    return replace(some_facts(to="x@c.test", ip=ip), trusted=True)


async def test_a_host_that_is_trusted_sends_only_so_much_where_the_operator_says_so() -> None:
    rule = limits(trusted_recipients_per_hour=2)
    facts = trusted("10.0.0.1")
    for _ in range(2):
        await check(rule, Moment.RCPT, facts, "")
    await check(rule, Moment.RCPT, facts, "450 4.7.0")
    others = [
        trusted("10.0.0.2"),
        some_facts(to="x@c.test", ip="10.0.0.1", login="ann@a.test"),
        some_facts(to="ann@a.test", ip="10.0.0.1"),
    ]
    for other in others:
        await check(rule, Moment.RCPT, other, "")


@pytest.mark.parametrize(
    ("to", "at_rcpt", "after_data"),
    [
        ("ann@x.test", "", ""),
        ("tempfail@x.test", "451 4.7.1", ""),
        ("REJECT-552@x.test", "552 5.2.2", ""),
        ("reject-550+why@x.test", "550 5.1.1", ""),
        ("reject-999@x.test", "", ""),
        ("reject-data-554@x.test", "", "554 5.0.0"),
        ("tempfail-data@x.test", "", "451 4.7.1"),
        ("drop@x.test", "421 4.0.0", ""),
    ],
)
async def test_magic_names_fail_as_they_say(to: str, at_rcpt: str, after_data: str) -> None:
    rule = Magic(VirtualClock())
    await check(rule, Moment.RCPT, some_facts(to=to), at_rcpt)
    await check(rule, Moment.MESSAGE, some_facts(to=to), after_data)


async def test_slow_takes_its_time() -> None:
    clock = VirtualClock()
    judging = asyncio.create_task(Magic(clock).judge(Moment.RCPT, some_facts(to="slow@x.test")))
    await clock.advance(4.9)
    assert not judging.done()
    await clock.advance(0.2)
    assert await judging is None


async def test_the_first_refusal_wins(expander: Expander) -> None:
    judge = Judge([Relay(expander), Recipients(expander)])
    verdict = await judge.ask(Moment.RCPT, some_facts(to="x@c.test"))
    assert verdict
    assert verdict.rule == "relay"
    assert await judge.ask(Moment.RCPT, some_facts(to="ann@a.test")) is None


async def test_roots_mail_at_our_own_name_goes_to_the_postmaster(residents: Residents) -> None:
    expander = Expander(residents, "mx.a.test", Address.parse("ann@a.test"))
    for local in ("root", "Postmaster"):
        found = expander.find(Address.parse(f"{local}@MX.a.test"))
        assert found is not None
        assert found.mailboxes == (Address.parse("ann@a.test"),)
    assert expander.is_here(Address.parse("root@mx.a.test"))
    assert not expander.is_here(Address.parse("www-data@mx.a.test"))
    assert expander.find(Address.parse("root@a.test")) is None


async def test_roots_mail_goes_to_the_first_user_when_no_postmaster_is_named(
    expander: Expander,
) -> None:
    found = expander.find(Address.parse("root@mx.a.test"))
    assert found is not None
    assert found.mailboxes == (Address.parse("ann@a.test"),)


async def test_where_nobody_lives_roots_mail_is_not_ours() -> None:
    expander = Expander(Residents(), "mx.a.test")
    assert not expander.is_here(Address.parse("root@mx.a.test"))
