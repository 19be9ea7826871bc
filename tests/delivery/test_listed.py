"""A site that refuses this server for who it is: how long mail waits for it."""

import pytest

from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import Setback
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Switches
from merpati.diagnosis.own_words import cause_of, translated
from merpati.diagnosis.replies import Meaning, Refusal, Stage
from merpati.journal.events import Delivered, Failed, SiteHeld
from merpati.testing.deliveries import UNREACHABLE, ScriptedHost, an_entry

SMARTHOST = "smtp://192.0.2.1:25"
HOUR = 3600.0
WORDS = "554 5.7.1 192.0.2.7 is on our blocklist"
LISTED = Meaning(Refusal.REPUTATION, "ip-listed", permanent=True)
TURNED_AWAY = End(Ending.TURNED_AWAY, WORDS, Stage.CONNECT, LISTED)
REPLY = f"given up, since this site goes on refusing this server: {WORDS}"

pytestmark = pytest.mark.slow


async def failures(world, hours):
    """When mail was returned, in hours from now on."""
    async with world.running():
        for _ in range(round(hours * 4)):
            await world.clock.advance(900)
        return await world.events(Failed)


async def test_without_a_word_of_the_operator_mail_waits_like_any_other(make_world):
    world = make_world(hosts={"192.0.2.1": ScriptedHost(fails=TURNED_AWAY)}, routes=(SMARTHOST,))
    await world.put(an_entry(1, "ann@a.test"))
    assert await failures(world, 24) == []
    assert await world.waiting() == 1


@pytest.mark.parametrize("by_route", [True, False])
async def test_mail_that_is_old_enough_is_returned_with_the_words_of_the_site(make_world, by_route):
    """A route's own word counts more than the general one."""
    world = make_world(
        hosts={"192.0.2.1": ScriptedHost(fails=TURNED_AWAY)},
        routes=(SMARTHOST,),
        bounce_listed_after=1000 * HOUR if by_route else 6 * HOUR,
        switches=Switches(bounce_listed_after=6 * HOUR) if by_route else Switches(),
    )
    began = world.clock.now()
    await world.put(*(an_entry(n, f"u{n}@a.test") for n in range(500)))
    assert await failures(world, 5.5) == []
    assert len(await world.events(SiteHeld)) >= 1
    young = an_entry(1000, "young@a.test", now=world.clock.now())
    await world.put(young)
    failed = await failures(world, 6)
    assert len(failed) == 500
    assert all(6 * HOUR <= one.at - began <= 10.1 * HOUR for one in failed)
    assert {(one.reply, one.cause, one.status) for one in failed} == {(REPLY, "ip-listed", "5.7.1")}
    assert young.id not in {one.message for one in failed}
    assert len([owed for owed in await world.queue.owed(1000) if owed.action == "failed"]) == 500


async def test_what_is_refused_behind_its_content_is_returned_as_well(make_world):
    def setback(transaction):
        return Setback(Stage.BODY, LISTED, WORDS, transaction.entry.id, "")

    def verdict(transaction):
        return [Outcome(one.n, Result.UNTOUCHED, WORDS) for one in transaction.recipients]

    host = ScriptedHost(setback=setback, verdict=verdict)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), bounce_listed_after=HOUR)
    await world.put(an_entry(1, "ann@a.test"))
    (failed,) = await failures(world, 6)
    assert (failed.cause, failed.reply) == ("ip-listed", REPLY)


async def test_a_site_that_thinks_better_of_it_gets_what_is_old(make_world):
    host = ScriptedHost(fails=TURNED_AWAY)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), bounce_listed_after=HOUR)
    await world.put(an_entry(1, "ann@a.test"))
    async with world.running():
        await world.clock.advance(1)
        host.fails = None
        for _ in range(20):
            await world.clock.advance(900)
    assert await world.events(Failed) == []
    assert len(await world.events(Delivered)) == 1


async def test_a_site_that_has_gone_silent_meanwhile_has_not_refused_us_again(make_world):
    host = ScriptedHost(fails=TURNED_AWAY)
    world = make_world(hosts={"192.0.2.1": host}, routes=(SMARTHOST,), bounce_listed_after=HOUR)
    await world.put(an_entry(1, "ann@a.test"))
    async with world.running():
        await world.clock.advance(1)
        host.fails = UNREACHABLE
        for _ in range(20):
            await world.clock.advance(900)
    assert await world.events(Failed) == []


def test_our_words_are_known_and_translated():
    assert cause_of(REPLY) == "ip-listed"
    assert translated(REPLY, "id").startswith("dihentikan")
