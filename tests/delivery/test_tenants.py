"""Three refusals of a sender in an hour, and its mail waits; nobody else's does."""

from dataclasses import replace

import pytest
from msgspec import structs

from merpati.delivery.lesson import Setback
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.route import parse_route
from merpati.delivery.tenants import COUNTED, TenantHold, Tenants, TenantSettings, tenant_of
from merpati.delivery.transaction import Host
from merpati.diagnosis.replies import Meaning, Refusal, Stage, causes
from merpati.journal.events import Deferred, Delivered, Failed, SenderHeld
from merpati.queue.entry import Selection
from merpati.testing.deliveries import ScriptedHost, an_entry, delivered
from tests.cases import each

SMARTHOST = "smtp://192.0.2.1:25"
SITE = parse_route(SMARTHOST).site()
HOST = Host("mx", "192.0.2.1")
REPLY = "550 5.7.23 SPF validation failed"
HOUR = 3600.0


def a_setback(message, tenant="b.test", cause="spf-failed", refusal=Refusal.SENDER):
    meaning = Meaning(refusal, cause, permanent=True)
    return Setback(Stage.MAIL, meaning, REPLY, message, tenant)


def refused(tenants, *messages, now=0.0, **how):
    for message in messages:
        tenants.learn("site", a_setback(message, **how), now)


def test_three_refused_messages_begin_a_hold_that_is_told_once():
    tenants = Tenants()
    refused(tenants, "1", "2")
    assert tenants.news(0.0) == []
    refused(tenants, "3", "4")
    hold = TenantHold("site", "b.test", HOUR, REPLY)
    assert tenants.news(0.0) == [hold]
    assert tenants.news(1.0) == []
    assert tenants.hold_of("site", an_entry(1, "ann@a.test"), 1.0) == hold
    assert tenants.news(HOUR) == [replace(hold, until=0.0)]
    assert tenants.hold_of("site", an_entry(1, "ann@a.test"), HOUR) is None


def test_one_message_counts_once():
    tenants = Tenants()
    refused(tenants, "1", "1", "1", "2")
    assert tenants.holds() == ()


def test_an_hour_later_a_refusal_is_forgotten():
    tenants = Tenants()
    refused(tenants, "1", "2")
    refused(tenants, "3", now=HOUR)
    assert tenants.holds() == ()


@pytest.mark.parametrize("after", [HOUR - 1, HOUR])
def test_behind_a_hold_one_refusal_is_enough_for_an_hour(after):
    tenants = Tenants()
    refused(tenants, "1", "2", "3")
    tenants.news(HOUR)
    refused(tenants, "4", now=HOUR + after)
    assert len(tenants.holds()) == (after < HOUR)


@each("cause", sorted(causes() - COUNTED))
def test_what_does_not_lie_with_the_sender_is_not_counted(cause):
    tenants = Tenants()
    refused(tenants, "1", "2", "3", cause=cause)
    assert tenants.holds() == ()


def test_every_cause_that_counts_is_one_that_a_reply_can_have():
    assert causes() > COUNTED


def test_other_sites_other_tenants_and_nobodys_notices_go_on():
    tenants = Tenants()
    refused(tenants, "1", "2", "3")
    refused(tenants, "1", "2", "3", tenant="")
    assert len(tenants.holds()) == 1
    assert tenants.hold_of("other", an_entry(1, "ann@a.test"), 1.0) is None
    assert tenants.hold_of("site", an_entry(1, "ann@a.test", sender="x@c.test"), 1.0) is None
    assert tenants.hold_of("site", an_entry(1, "ann@a.test", sender=""), 1.0) is None


def test_a_login_is_the_tenant_whatever_it_sends_as():
    entry = an_entry(1, "ann@a.test")
    assert tenant_of(entry) == "b.test"
    assert tenant_of(
        structs.replace(entry, client=structs.replace(entry.client, login="bob@d.test"))
    ) == ("bob@d.test")


def test_what_is_remembered_is_bounded_and_what_is_forgotten_is_told_to_end():
    tenants = Tenants(TenantSettings(remembered=2))
    for tenant in ("a", "b", "c"):
        refused(tenants, "1", "2", "3", tenant=tenant)
    assert [hold.tenant for hold in tenants.holds()] == ["b", "c"]
    assert [(one.tenant, one.until > 0) for one in tenants.news(1.0)] == [
        ("a", True), ("b", True), ("c", True), ("a", False),
    ]  # fmt: skip
    for number in range(5):
        refused(tenants, "1", "2", tenant=f"d{number}")
    refused(tenants, "3", tenant="d2")
    assert len(tenants.holds()) == 2


def test_a_lifted_hold_leaves_nothing_behind():
    tenants = Tenants()
    refused(tenants, "1", "2", "3")
    tenants.lift("site")
    refused(tenants, "4", "5", now=1.0)
    tenants.lift("site")
    refused(tenants, "6", now=2.0)
    assert tenants.holds() == ()
    assert [one.until for one in tenants.news(2.0)] == [HOUR, 0.0]


def suspicious():
    """A host that refuses b.test for its SPF record."""

    def is_refused(transaction):
        return tenant_of(transaction.entry) == "b.test"

    def setback(transaction):
        return a_setback(transaction.entry.id) if is_refused(transaction) else None

    def verdict(transaction):
        return [
            Outcome(one.n, Result.FAILED, REPLY, "5.7.23", "spf-failed")
            if is_refused(transaction)
            else delivered(one.n, HOST)
            for one in transaction.recipients
        ]

    return ScriptedHost(setback=setback, verdict=verdict)


async def test_a_site_that_refuses_a_sender_is_asked_three_times_and_others_mail_goes_on(
    make_world,
):
    host = suspicious()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running() as dispatcher:
        for number in range(3):
            await world.put(an_entry(number, "ann@a.test"))
            await world.clock.advance(2)
        await world.put(*(an_entry(number, "ann@a.test") for number in range(10, 40)))
        await world.put(an_entry(50, "ann@a.test", sender="eve@c.test"))
        await world.clock.advance(600)
        assert len(host.received) == 4
        assert [one.site for one in dispatcher.held_tenants()] == [SITE]
    assert len(await world.events(Failed)) == 3
    assert len(await world.events(Delivered)) == 1
    deferred = await world.events(Deferred)
    assert len(deferred) == 30
    assert {one.cause for one in deferred} == {"sender-held"}
    assert all(one.due == pytest.approx(one.at + HOUR, abs=60) for one in deferred)
    (held,) = await world.events(SenderHeld)
    assert (held.site, held.sender, held.why) == (SITE, "b.test", REPLY)


async def test_what_waits_in_memory_when_the_hold_begins_is_not_tried_either(make_world):
    host = suspicious()
    host.seconds = 1.0
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(number, "ann@a.test") for number in range(30)))
        await world.clock.advance(60)
        # Two connections: one more may have begun when the third refusal came.
        assert len(host.received) <= 4
        assert await world.waiting() == 30 - len(host.received)


@pytest.mark.slow
async def test_an_hour_later_it_is_tried_again_and_one_refusal_holds_the_rest(make_world):
    host = suspicious()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        for number in range(8):
            await world.put(an_entry(number, "ann@a.test"))
            await world.clock.advance(2)
        assert len(host.received) == 3
        await world.clock.advance(HOUR + 60)
        # As above.
        assert 3 < len(host.received) <= 5
        held = await world.events(SenderHeld)
        assert [one.until > 0 for one in held] == [True, False, True]


async def test_mended_and_resumed_everything_arrives(make_world):
    host = suspicious()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running() as dispatcher:
        for number in range(8):
            await world.put(an_entry(number, "ann@a.test"))
            await world.clock.advance(2)
        host.verdict = host.setback = None
        dispatcher.resume(SITE)
        assert dispatcher.held_tenants() == []
        await world.queue.alter(Selection(), "retry", "operator")
        await world.clock.advance(5)
        assert len(await world.events(Delivered)) == 5
        assert [one.until > 0 for one in await world.events(SenderHeld)] == [True, False]
