"""From the queue to the hosts and back, in virtual time."""

import asyncio

import pytest
from msgspec import structs

from merpati.delivery.dispatcher import DispatcherSettings
from merpati.delivery.ending import End, Ending
from merpati.delivery.flight import outgoing_of
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.route import parse_route
from merpati.delivery.transaction import Host, Switches
from merpati.diagnosis.replies import Meaning, Refusal, Stage
from merpati.journal.events import Deferred, Delivered, Expired, Failed, Lifecycle, SiteHeld
from merpati.mail.address import Address
from merpati.queue.entry import Selection
from merpati.testing.deliveries import (
    A_BODY,
    DAY,
    ScriptedDns,
    ScriptedHost,
    an_entry,
    delivered,
)
from merpati.testing.memory import MemoryQueue

SMARTHOST = "smtp://192.0.2.1:25"
HOST = Host("mx", "192.0.2.1")
_SELF = "certificate-self-signed"


async def test_messages_reach_a_smarthost_and_leave_the_queue(make_world):
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(n, f"ann@d{n}.test") for n in range(30)))
        await world.clock.advance(20)
    assert len(host.received) == 30
    assert len(await world.events(Delivered)) == 30
    assert await world.queue.next_due() is None


async def test_the_recipients_of_one_message_share_transactions_of_fifty(make_world):
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, *(f"u{n}@a.test" for n in range(120))))
        await world.clock.advance(10)
    assert sorted(len(one.recipients) for one in host.received) == [20, 50, 50]
    assert len(await world.events(Delivered)) == 120


@pytest.mark.slow
async def test_a_newsletter_does_not_stand_before_a_single_message(make_world):
    host = ScriptedHost(seconds=0.2)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    news = [structs.replace(an_entry(n, f"u{n}@a.test"), is_bulk=True) for n in range(300)]
    async with world.running():
        await world.put(*news)
        await world.clock.advance(1)
        await world.put(an_entry(300, "bob@a.test"))
        await world.clock.advance(30)
    order = [str(one.recipients[0].recipient.address) for one in host.received]
    assert len(order) == 301
    # Behind what had been taken out of the queue for the site by then, and no more.
    assert order.index("bob@a.test") < 150


@pytest.mark.slow
@pytest.mark.parametrize("cap", [2, 10])
async def test_a_single_message_waits_for_no_bulk_mail_that_has_every_connection(make_world, cap):
    """The host takes minutes over each message, and much bulk mail was taken out for it."""
    host = ScriptedHost(seconds=500.0)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), cap=cap)
    news = [structs.replace(an_entry(n, f"u{n}@a.test"), is_bulk=True) for n in range(300)]
    async with world.running() as dispatcher:
        await world.put(*news)
        await world.clock.advance(30)
        assert host.live == 1
        host.seconds = 0.5
        await world.put(an_entry(300, "bob@a.test"))
        await world.clock.advance(3)
        received = [str(one.recipients[0].recipient.address) for one in host.received]
        dispatcher.stop(0.0)
    assert received == ["bob@a.test"]


@pytest.mark.slow
async def test_bulk_mail_alone_leaves_a_quarter_of_the_connections(make_world):
    host = ScriptedHost(seconds=5.0)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    news = [structs.replace(an_entry(n, f"u{n}@a.test"), is_bulk=True) for n in range(600)]
    async with world.running() as dispatcher:
        await world.put(*news)
        await world.clock.advance(300)
        assert host.live == 7
        await world.put(*(an_entry(1000 + n, f"bob{n}@a.test") for n in range(200)))
        await world.clock.advance(30)
        assert host.live == 10
        dispatcher.stop(0.0)


async def test_domains_behind_the_same_hosts_share_a_connection(make_world):
    host = ScriptedHost()
    dns = ScriptedDns(
        mxs={f"d{n}.test": ((10, "mx.big.test"),) for n in range(3)},
        v4={"mx.big.test": ("192.0.2.1",)},
    )
    world = make_world(hosts={"192.0.2.1": host}, dns=dns)
    async with world.running():
        await world.put(*(an_entry(n, f"ann@d{n}.test") for n in range(3)))
        await world.clock.advance(2)
    assert (len(host.received), host.opened) == (3, 1)


class DeadNames(ScriptedDns):
    """Whatever lies in dead.test waits for an answer until it is cancelled."""

    async def mx(self, domain):
        if domain.endswith(".dead.test"):
            await asyncio.Event().wait()
        return await super().mx(domain)


@pytest.mark.slow
async def test_domains_that_no_server_answers_for_keep_no_others_waiting(make_world):
    host = ScriptedHost()
    dns = DeadNames(mxs={"a.test": ((10, "mx.a.test"),)}, v4={"mx.a.test": ("192.0.2.1",)})
    world = make_world(hosts={"192.0.2.1": host}, dns=dns)
    async with world.running():
        await world.put(*(an_entry(n, f"ann@d{n}.dead.test") for n in range(300)))
        await world.clock.advance(1)
        await world.put(an_entry(300, "ann@a.test"))
        await world.clock.advance(2)
        assert len(host.received) == 1
    assert await world.waiting() == 300


async def test_a_recipient_that_is_refused_fails_and_the_others_arrive(make_world):
    def verdict(transaction):
        return [
            Outcome(one.n, Result.FAILED, "550 5.1.1 no such user", "5.1.1", "unknown-user")
            if one.recipient.address.local == "nobody"
            else delivered(one.n, HOST)
            for one in transaction.recipients
        ]

    world = make_world(hosts={"192.0.2.1": ScriptedHost(verdict=verdict)}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test", "nobody@a.test"))
        await world.clock.advance(2)
    (failed,) = await world.events(Failed)
    (arrived,) = await world.events(Delivered)
    assert (failed.address, arrived.address) == ("nobody@a.test", "ann@a.test")
    (owed,) = await world.queue.owed(10)
    assert (owed.action, owed.status) == ("failed", "5.1.1")


async def test_a_limit_of_recipients_splits_the_rest_off_at_once(make_world):
    host = ScriptedHost(max_rcpt=7)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, *(f"u{n}@a.test" for n in range(30))))
        await world.clock.advance(3)
    assert len(await world.events(Delivered)) == 30
    assert max(len(one.recipients) for one in host.received[1:]) == 7


async def test_a_host_is_used_within_what_the_operator_says(make_world):
    host = ScriptedHost(seconds=1.0)
    switches = Switches(connections=1, max_recipients=7)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), switches=switches)
    async with world.running():
        await world.put(an_entry(1, *(f"u{n}@a.test" for n in range(30))))
        await world.clock.advance(30)
    assert len(await world.events(Delivered)) == 30
    assert max(len(one.recipients) for one in host.received) == 7
    assert host.opened == 1


async def test_a_dead_ipv6_family_costs_no_attempt(make_world):
    dns = ScriptedDns(
        mxs={"a.test": ((10, "mx.a.test"),)},
        v6={"mx.a.test": ("2001:db8::1",)},
        v4={"mx.a.test": ("192.0.2.1",)},
    )
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, dns=dns)
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
    assert world.talker.tried == ["2001:db8::1", "192.0.2.1"]
    assert len(host.received) == 1
    assert not await world.events(Deferred)


async def test_an_ipv6_that_leads_nowhere_is_not_tried_first_for_long(make_world):
    hosts = {f"192.0.2.{n}": ScriptedHost() for n in range(6)}
    dns = ScriptedDns(
        v6={f"d{n}.test": (f"2001:db8::{n}",) for n in range(6)},
        v4={f"d{n}.test": (f"192.0.2.{n}",) for n in range(6)},
    )
    world = make_world(hosts=hosts, dns=dns)
    async with world.running():
        for n in range(6):
            await world.put(an_entry(n, f"ann@d{n}.test"))
            await world.clock.advance(2)
        assert [":" in ip for ip in world.talker.tried] == [True, False] * 3 + [False] * 3
        await world.clock.advance(600)
        await world.put(an_entry(9, "ann@d5.test"))
        await world.clock.advance(2)
    assert world.talker.tried[-2:] == ["2001:db8::5", "192.0.2.5"]


@pytest.mark.slow
async def test_a_site_that_is_down_defers_its_cohort_without_trying_each(make_world):
    world = make_world(routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(400)))
        await world.clock.advance(5)
        assert len(world.talker.tried) <= 2
        assert len(await world.events(SiteHeld)) == 1
        assert len(await world.events(Deferred)) <= 250
        assert await world.waiting() == 400
        await world.clock.advance(25)
        assert len(world.talker.tried) <= 2


async def test_a_site_that_comes_back_gets_its_cohort(make_world):
    hosts = {}
    world = make_world(hosts=hosts, routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(50)))
        await world.clock.advance(5)
        hosts["192.0.2.1"] = ScriptedHost()
        await world.clock.advance(400)
        assert len(hosts["192.0.2.1"].received) == 50


@pytest.mark.slow
async def test_a_host_that_bears_two_connections_is_not_pestered(make_world):
    host = ScriptedHost(seconds=0.2, connections=2)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(300)))
        await world.clock.advance(60)
    assert len(host.received) == 300
    assert host.turned_away <= 3


async def test_connections_that_break_at_once_are_not_opened_in_a_circle(make_world):
    host = ScriptedHost(dies=True)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(600)
        assert host.opened <= 8
        assert await world.waiting() + (await world.queue.count())["in_hand"] == 1


async def test_a_defect_while_connecting_pauses_the_site_and_not_the_worker(make_world):
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=(SMARTHOST,))
    honest, calls = world.talker.talk, []

    def broken(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise ValueError("a defect")
        return honest(*arguments)

    world.talker.talk = broken
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(30)
        assert len(calls) == 1
        await world.clock.advance(60)
    assert len(await world.events(Delivered)) == 1


async def test_a_domain_that_does_not_exist_fails_with_5_1_2(make_world):
    world = make_world()
    async with world.running():
        await world.put(an_entry(1, "ann@gone.test"))
        await world.clock.advance(2)
    (failed,) = await world.events(Failed)
    assert (failed.status, failed.cause) == ("5.1.2", "no-such-domain")


async def test_a_dns_that_fails_defers(make_world):
    world = make_world(dns=ScriptedDns(broken={"a.test"}))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
    (deferred,) = await world.events(Deferred)
    assert deferred.cause == "dns-failing"


async def test_a_stop_releases_what_was_not_sent_untouched(make_world):
    host = ScriptedHost(seconds=3.0)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(20)))
        await world.clock.advance(1)
    assert 1 <= len(host.received) <= 10
    assert await world.waiting() == 20 - len(host.received)
    assert not await world.events(Deferred)


async def test_what_is_over_expires_without_an_attempt(make_world):
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    entry = structs.replace(an_entry(1, "ann@a.test"), expires=world.clock.now() - 1)
    async with world.running():
        await world.put(entry)
        await world.clock.advance(2)
    assert (len(await world.events(Expired)), host.received) == (1, [])


@pytest.mark.slow
async def test_what_is_in_hand_is_bounded(make_world):
    world = make_world(
        hosts={"192.0.2.1": ScriptedHost(seconds=1.0)},
        routes=(SMARTHOST,),
        settings=DispatcherSettings(recipients=15, claim=10),
    )
    async with world.running() as dispatcher:
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(100)))
        for _ in range(20):
            await world.clock.advance(0.5)
            assert dispatcher._in_hand.count <= 15
        await world.clock.advance(120)
        assert (dispatcher._in_hand.count, dispatcher._in_hand.octets) == (0, 0)


class SickQueue(MemoryQueue):
    """Commits nothing before it is healed."""

    def __init__(self, clock):
        super().__init__(clock)
        self.healed = asyncio.Event()

    async def settle(self, settlements, events=()):
        await self.healed.wait()
        await super().settle(settlements, events)


async def test_no_more_bodies_leave_than_there_are_permits_while_nothing_is_committed(make_world):
    host = ScriptedHost()
    settings = DispatcherSettings(permits=3)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), settings=settings)
    world.queue = SickQueue(world.clock)
    world.journal = world.queue.journal
    async with world.running():
        await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(40)))
        await world.clock.advance(30)
        assert len(host.received) == 3
        world.queue.healed.set()
        await world.clock.advance(30)
    assert len(host.received) == 40


async def test_a_conversation_with_a_defect_is_journaled_and_mail_goes_on(make_world):
    host = ScriptedHost()
    calls = []

    def verdict(transaction):
        calls.append(transaction)
        if len(calls) == 1:
            raise ValueError("a defect")
        return [delivered(one.n, HOST) for one in transaction.recipients]

    host.verdict = verdict
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running() as dispatcher:
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
        assert dispatcher.permits.all._value == 64
        await world.put(an_entry(2, "bob@a.test"))
        await world.clock.advance(2000)
    assert [event.what for event in await world.events(Lifecycle)] == ["delivery-defect"]
    (deferred,) = await world.events(Deferred)
    assert (deferred.cause, deferred.in_doubt) == ("delivery-defect", True)
    assert len(await world.events(Delivered)) == 2


async def test_a_host_that_takes_no_mail_at_all_fails_what_waits_for_it(make_world):
    meaning = Meaning(Refusal.RECIPIENT, "null-mx", permanent=True)
    end = End(Ending.TURNED_AWAY, "521 no mail here", Stage.CONNECT, meaning)
    world = make_world(hosts={"192.0.2.1": ScriptedHost(fails=end)}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
    (failed,) = await world.events(Failed)
    assert (failed.reply, failed.cause) == ("521 no mail here", "null-mx")


@pytest.mark.parametrize(
    ("ending", "why", "cause"),
    [
        (Ending.AUTH_FAILED, "535 5.7.8 no", "auth-failed"),
        (Ending.TLS_FAILED, "the certificate was not accepted: self-signed certificate", _SELF),
        (Ending.TLS_FAILED, "TLS is not offered", "tls-unavailable"),
        (Ending.TLS_FAILED, "454 4.7.0 not now", "tls-failed"),
        (Ending.UNREACHABLE, "the connection was refused", "route-unreachable"),
    ],
)
async def test_a_connection_that_never_stood_is_named_with_its_cause(
    make_world, ending, why, cause
):
    end = End(ending, why, connection="c1", tls="TLSv1.3 X")
    world = make_world(hosts={"192.0.2.1": ScriptedHost(fails=end)}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
    (deferred,) = await world.events(Deferred)
    assert (deferred.cause, deferred.attempt.connection) == (cause, "c1")
    assert deferred.attempt.tls == "TLSv1.3 X"


async def test_a_hold_keeps_the_reason_of_the_failure_that_began_it(make_world):
    end = End(Ending.UNREACHABLE, "the connection was refused", connection="c1")
    world = make_world(hosts={"192.0.2.1": ScriptedHost(fails=end)}, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(2)
        # What was accepted before the queue knew of the hold comes to the pool all the same.
        (site,) = await world.queue.held()
        await world.queue.hold(site, 0.0, "", [])
        await world.put(an_entry(2, "bob@a.test"))
        await world.clock.advance(2)
        held = await world.queue.held()
    assert {why for _, why in held.values()} == {"the connection was refused"}


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_suspended_host_gets_nothing_from_a_domain_that_comes_later(make_world, restarts):
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=(SMARTHOST,))
    until = world.clock.now() + 600
    site = parse_route(SMARTHOST).site()
    await world.queue.hold(site, until, "repairs", [])
    async with world.running() as dispatcher:
        if not restarts:
            dispatcher.suspend(site, until, "repairs")
        await world.put(an_entry(1, "ann@new.test"))
        await world.clock.advance(500)
        assert world.talker.tried == []
        assert await world.queue.held() == {site: (pytest.approx(until, abs=1), "repairs")}
        assert await world.events(SiteHeld) == []
        await world.clock.advance(110)
        assert len(await world.events(Delivered)) == 1


async def test_a_suspended_host_gets_its_mail_when_it_is_resumed(make_world):
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=(SMARTHOST,))
    site = parse_route(SMARTHOST).site()
    async with world.running() as dispatcher:
        dispatcher.suspend(site, world.clock.now() + 600, "repairs")
        await world.put(an_entry(1, "ann@new.test"))
        await world.clock.advance(5)
        await world.queue.hold(site, 0.0, "", [])
        dispatcher.resume(site)
        await world.clock.advance(5)
        assert len(await world.events(Delivered)) == 1


async def test_a_resume_wins_over_a_hold_that_is_being_written(make_world):
    world = make_world(hosts={"192.0.2.1": ScriptedHost()}, routes=(SMARTHOST,))
    site = parse_route(SMARTHOST).site()
    written, hold = asyncio.Event(), world.queue.hold

    async def slow(name, until, why, events=()):
        if until:
            await written.wait()
        await hold(name, until, why, events)

    world.queue.hold = slow
    async with world.running() as dispatcher:
        dispatcher.suspend(site, world.clock.now() + 600, "repairs")
        await world.put(an_entry(1, "ann@new.test"))
        await world.clock.advance(5)
        await world.queue.hold(site, 0.0, "", [])
        dispatcher.resume(site)
        written.set()
        await world.clock.advance(5)
        assert await world.queue.held() == {}
        assert len(await world.events(Delivered)) == 1


async def test_mail_for_a_user_here_lies_in_the_maildir(make_world):
    world = make_world()
    world.directory.move_in("ann@here.test", "secret")
    async with world.running():
        await world.put(an_entry(1, "ann@here.test"))
        new = world.path / "mail" / "here.test" / "ann" / "new"
        await world.until(lambda: new.is_dir() and list(new.iterdir()))
        await world.until(lambda: not world.queue._messages)
    (file,) = new.iterdir()
    text = file.read_text()
    assert text == (
        "Return-Path: <eve@b.test>\nDelivered-To: ann@here.test\nSubject: hello\n\nhi\n"
    )


async def test_mail_for_a_user_who_left_fails_with_5_1_1(make_world):
    world = make_world()
    world.directory.domains.add("here.test")
    async with world.running():
        await world.put(an_entry(1, "gone@here.test"))
        await world.clock.advance(1)
    (failed,) = await world.events(Failed)
    assert failed.status == "5.1.1"


async def test_the_developers_inbox_keeps_everything_and_sends_nothing(make_world):
    world = make_world(keep_all=True, routes=(SMARTHOST,))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test", "bob@b.test"))
        new = world.path / "inbox" / "new"
        await world.until(lambda: new.is_dir() and list(new.iterdir()))
        await world.until(lambda: not world.queue._messages)
    text = "".join(file.read_text() for file in new.iterdir())
    assert text.startswith("X-Envelope-From: <eve@b.test>\nX-Envelope-To: ann@a.test\n")
    assert "X-Envelope-To: bob@b.test" in text
    assert world.talker.tried == []


async def test_a_forced_route_wins_over_the_configured_one(make_world):
    other = ScriptedHost()
    world = make_world(hosts={"192.0.2.9": other}, routes=(SMARTHOST,))
    await world.queue.put(an_entry(1, "ann@a.test"), A_BODY)
    await world.queue.alter(Selection(), "reroute", "root", "smtp://192.0.2.9:25")
    async with world.running():
        await world.clock.advance(2)
    assert len(other.received) == 1


async def test_each_transaction_has_one_sender(make_world):
    host = ScriptedHost()
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    entry = an_entry(1, *(f"u{n}@b.test" for n in range(4)), "u4@c.test")
    paths = [None, *map(Address.parse, ("srs0=1@a.test", "srs0=2@a.test"))] * 2
    recipients = tuple(
        structs.replace(one, return_path=path)
        for one, path in zip(entry.envelope.recipients, paths, strict=False)
    )
    async with world.running():
        await world.put(structs.replace(entry, envelope=entry.envelope.addressed_to(recipients)))
        await world.clock.advance(2)
    told = {
        str(one.return_path): [str(waiting.recipient.address) for waiting in one.recipients]
        for one in host.received
    }
    assert told == {
        "None": ["u0@b.test", "u3@b.test"],
        "srs0=1@a.test": ["u1@b.test", "u4@c.test"],
        "srs0=2@a.test": ["u2@b.test"],
    }
    senders = {str(outgoing_of(one, one.recipients, 0.0).envelope.sender) for one in host.received}
    assert senders == {"eve@b.test", "srs0=1@a.test", "srs0=2@a.test"}


@pytest.mark.slow
async def test_days_of_failure_end_in_a_delay_notice_and_an_expiry(make_world):
    world = make_world(routes=(SMARTHOST,), settings=DispatcherSettings(sweep=60.0))
    async with world.running():
        await world.put(an_entry(1, "ann@a.test"))
        await world.clock.advance(5 * DAY + 3700)
    actions = [owed.action for owed in await world.queue.owed(10)]
    assert actions == ["delayed", "failed"]
    assert len(await world.events(Expired)) == 1


@pytest.mark.slow
async def test_ten_thousand_for_a_site_that_is_down_cost_one_hold_and_two_connections(make_world):
    world = make_world(routes=(SMARTHOST,))
    await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(10_000)))
    async with world.running():
        await world.clock.advance(30)
        assert len(world.talker.tried) <= 2
        assert len(await world.events(SiteHeld)) == 1
        assert len(await world.events(Deferred)) <= 250
        assert await world.waiting() == 10_000


async def doubt_one_of_ten(world):
    """The first of ten messages is lost behind its last octets; the site is paused."""
    await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(10)))
    await world.clock.advance(5)


async def test_a_connection_lost_behind_the_last_octets_leaves_doubt_about_one_alone(make_world):
    host = ScriptedHost(doubts=1)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running() as dispatcher:
        await doubt_one_of_ten(world)
        (deferred,) = await world.events(Deferred)
        assert (deferred.in_doubt, deferred.attempts) == (True, 1)
        assert dispatcher.permits.all._value == 64
        listed = await world.queue.search(Selection(), 20)
        assert {line.site_why for line in listed} == {"the connection was reset"}
        assert sum(line.waiting.attempts for line in listed) == 1
        await world.clock.advance(120)
        assert len(host.received) == 9
        await world.clock.advance(900)
        assert len(host.received) == 10


async def test_a_resumed_site_gets_its_mail_at_once_and_what_is_in_doubt_when_told(make_world):
    host = ScriptedHost(doubts=1)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,))
    async with world.running() as dispatcher:
        await doubt_one_of_ten(world)
        ((site, _),) = (await world.queue.held()).items()
        await world.queue.hold(site, 0.0, "")
        dispatcher.resume(site)
        await world.clock.advance(5)
        assert len(host.received) == 9
        await world.queue.alter(Selection(), "retry", "root")
        await world.clock.advance(2)
        assert len(host.received) == 10
