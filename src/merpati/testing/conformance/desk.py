"""What every `Desk` does."""

from msgspec import structs

from merpati.journal.events import (
    Cancelled,
    Failed,
    Held,
)
from merpati.mail.envelope import DeliverBy
from merpati.mail.trace import Client
from merpati.queue.entry import Entry, Selection, State
from merpati.testing.conformance.bench import (
    NOW,
    Bench,
    Check,
    addresses_of,
    an_entry,
    becomes,
    put,
    waiting,
)


async def time_ends_what_waits_and_what_is_held(bench: Bench) -> None:
    await waiting(bench, an_entry(1), due=NOW + 90_000)
    await waiting(bench, an_entry(2, sender=None), due=NOW + 90_000)
    await bench.queue.alter(Selection(ids=[an_entry(1).id]), "hold", "root")
    await bench.queue.hold("b.test", NOW + 900_000, "down")
    assert await bench.queue.expire(NOW + 86_399, 10) == 0
    assert await bench.queue.expire(NOW + 86_400, 10) == 2
    assert [owed.entry.id for owed in await bench.queue.owed(10)] == [an_entry(1).id]
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}


async def a_missed_deadline_is_a_failure(bench: Bench) -> None:
    entry = an_entry(1)
    wish = DeliverBy(NOW + 50, must_return=True)
    envelope = structs.replace(entry.envelope, deliver_by=wish)
    await waiting(bench, structs.replace(entry, envelope=envelope, expires=NOW + 50))
    assert await bench.queue.expire(NOW + 50, 10) == 1
    (owed,) = await bench.queue.owed(10)
    assert (owed.action, owed.status) == ("failed", "5.4.7")
    (event,) = [one for one in await bench.journal.story(entry.id) if isinstance(one, Failed)]
    assert (event.cause, event.status) == ("deliver-by-missed", "5.4.7")


async def time_does_not_end_what_an_attempt_has(bench: Bench) -> None:
    await put(bench, an_entry(1))
    (claim,) = await bench.queue.claim(NOW, 10)
    assert await bench.queue.expire(NOW + 90_000, 10) == 0
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW + 1))
    assert await bench.queue.expire(NOW + 90_000, 10) == 1


async def an_operator_holds_and_releases(bench: Bench) -> None:
    entry = an_entry(1)
    await waiting(bench, entry, due=NOW + 60)
    assert await bench.queue.alter(Selection(domain="b.test"), "hold", "root") == 1
    assert await bench.queue.claim(NOW + 60, 10) == []
    assert (await bench.queue.count())["held"] == 1
    assert await bench.queue.alter(Selection(), "release", "root") == 1
    assert len(await bench.queue.claim(NOW, 10)) == 1
    assert Held(
        at=NOW, message=entry.id, address="bob@b.test", by="root"
    ) in await bench.journal.story(entry.id)


async def mail_of_a_suspended_login_is_held_and_goes_on_with_it(bench: Bench) -> None:
    ours, other, claimed = (
        replace_client(an_entry(1), "Ann@a.test"),
        replace_client(an_entry(2), "bob@a.test"),
        replace_client(an_entry(3, "far@c.test"), "ann@a.test"),
    )
    fresh = replace_client(an_entry(4), "ann@a.test")
    await put(bench, claimed)
    (claim,) = await bench.queue.claim(NOW, 10)
    await waiting(bench, ours, due=NOW + 60)
    await waiting(bench, other, due=NOW + 60)
    await put(bench, fresh)
    logins = frozenset({"ann@a.test"})
    assert await bench.queue.stop_senders(logins) == 2
    assert await bench.queue.stop_senders(logins) == 0
    assert [one.entry for one in await bench.queue.claim(NOW + 60, 10)] == [other]
    assert Held(
        at=NOW, message=fresh.id, address="bob@b.test", by="the suspension of ann@a.test"
    ) in await bench.journal.story(fresh.id)
    # What an attempt had is held when it comes back.
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW + 60))
    assert await bench.queue.stop_senders(logins) == 1
    assert await bench.queue.stop_senders(frozenset()) == 3
    found = {one.entry.id for one in await bench.queue.claim(NOW, 10)}
    assert found == {ours.id, claimed.id, fresh.id}
    assert await bench.queue.stop_senders(frozenset()) == 0


async def a_resumed_login_leaves_what_an_operator_holds(bench: Bench) -> None:
    held, stopped = (replace_client(an_entry(n), "ann@a.test") for n in (1, 2))
    await put(bench, held)
    assert await bench.queue.alter(Selection(), "hold", "root") == 1
    await put(bench, stopped)
    assert await bench.queue.stop_senders(frozenset({"ann@a.test"})) == 1
    assert await bench.queue.stop_senders(frozenset({"eve@a.test"})) == 1
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.id == stopped.id


async def mail_of_a_suspended_login_that_is_removed_stays_held(bench: Bench) -> None:
    ours = replace_client(an_entry(1), "ann@a.test")
    await put(bench, ours)
    assert await bench.queue.stop_senders(frozenset({"ann@a.test"})) == 1
    times = {"ann@a.test": None}
    assert await bench.queue.stop_senders(frozenset(), times.get) == 0
    # Made anew, it has nothing to do with that mail.
    assert await bench.queue.stop_senders(frozenset(), lambda _: NOW + 1) == 0
    assert await bench.queue.claim(NOW, 10) == []
    assert await bench.queue.alter(Selection(), "release", "root") == 1
    assert len(await bench.queue.claim(NOW, 10)) == 1


async def a_login_beyond_ascii_is_held_like_any_other(bench: Bench) -> None:
    login = "\u00dcnal@a.test"
    await put(bench, replace_client(an_entry(1), login))
    assert await bench.queue.stop_senders(frozenset({login})) == 1
    assert await bench.queue.stop_senders(frozenset({login})) == 0
    assert await bench.queue.claim(NOW, 10) == []


def replace_client(entry: Entry, login: str) -> Entry:
    """The same message, of somebody who logged in."""
    return structs.replace(entry, client=Client("::1", login=login), is_ours=True)


async def a_cancelled_recipient_ends_with_an_event(bench: Bench) -> None:
    entry = an_entry(1, "a@x.test", "b@y.test")
    await waiting(bench, entry)
    assert await bench.queue.alter(Selection(recipient="A@x.test"), "cancel", "root") == 1
    assert addresses_of(await bench.queue.claim(NOW, 10)) == ["b@y.test"]
    told = await bench.journal.story(entry.id)
    assert Cancelled(at=NOW, message=entry.id, address="a@x.test", by="root") in told


async def a_retry_is_due_at_once(bench: Bench) -> None:
    await waiting(bench, an_entry(1), due=NOW + 6000)
    assert await bench.queue.alter(Selection(sender="ann@a.test"), "retry", "root") == 1
    assert len(await bench.queue.claim(NOW, 10)) == 1


async def a_search_pages_in_order(bench: Bench) -> None:
    for number in range(3):
        await waiting(bench, an_entry(number, "a@x.test", "b@y.test"))
    first = await bench.queue.search(Selection(), 4)
    last = first[-1]
    rest = await bench.queue.search(Selection(), 10, (last.entry.id, last.waiting.n))
    assert [(one.entry.id, one.waiting.n) for one in first + rest] == [
        (an_entry(number).id, n) for number in range(3) for n in (0, 1)
    ]
    assert len(await bench.queue.search(Selection(domain="y.test"), 10)) == 3
    assert len(await bench.queue.search(Selection(sender="@a.test"), 10)) == 6
    assert await bench.queue.search(Selection(sender="<>"), 10) == []
    assert (
        len(await bench.queue.search(Selection(ids=[an_entry(1).id], recipient="@x.test"), 10)) == 1
    )
    assert await bench.queue.search(Selection(older_than=NOW), 10) == []


async def a_search_knows_what_is_in_hand(bench: Bench) -> None:
    await waiting(bench, an_entry(1, "a@x.test"))
    await waiting(bench, an_entry(2, "b@y.test"))
    await bench.queue.claim(NOW, 10, {"y.test"})
    (mine,) = await bench.queue.search(Selection(state=State.IN_HAND), 10)
    (other,) = await bench.queue.search(Selection(state=State.WAITING), 10)
    assert (mine.site, other.site) == ("x.test", "y.test")


CHECKS: tuple[Check, ...] = (
    time_ends_what_waits_and_what_is_held,
    a_missed_deadline_is_a_failure,
    time_does_not_end_what_an_attempt_has,
    an_operator_holds_and_releases,
    mail_of_a_suspended_login_is_held_and_goes_on_with_it,
    a_resumed_login_leaves_what_an_operator_holds,
    mail_of_a_suspended_login_that_is_removed_stays_held,
    a_login_beyond_ascii_is_held_like_any_other,
    a_cancelled_recipient_ends_with_an_event,
    a_retry_is_due_at_once,
    a_search_pages_in_order,
    a_search_knows_what_is_in_hand,
)
