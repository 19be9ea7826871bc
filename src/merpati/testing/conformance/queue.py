"""What every `Queue` does; with its `Sites`, `Ledger` and `Desk` and the journal beside it."""

from msgspec import structs

from merpati.journal.events import (
    Attempt,
    Delivered,
)
from merpati.queue.entry import Notice, Selection, Settlement, State
from merpati.queue.way import WAIVED
from merpati.testing.conformance import desk, ledger, sites, turns
from merpati.testing.conformance.bench import (
    NOW,
    Bench,
    Check,
    accepted,
    addresses_of,
    all_ready,
    an_entry,
    becomes,
    content_of,
    is_gone,
    put,
    waiting,
)


async def what_is_put_is_in_hand_with_its_body(bench: Bench) -> None:
    entry = an_entry(1)
    await put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry == entry
    assert claim.body is not None
    assert claim.body.octets() == b"hello"
    assert await content_of(bench, entry) == b"hello"
    assert await bench.queue.claim(NOW, 10) == []


async def what_waives_its_domains_demands_has_a_way_of_its_own(bench: Bench) -> None:
    strict, waives = an_entry(1), structs.replace(an_entry(2), waives_tls=True)
    await waiting(bench, strict)
    await waiting(bench, waives)
    await bench.queue.assign("b.test", "mx?sts=enforce")
    await bench.queue.assign("b.test", "mx", WAIVED)
    await bench.queue.hold("mx?sts=enforce", NOW + 60, "no valid certificate")
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.id == waives.id
    assert claim.recipients[0].route == ""
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW))
    fresh = structs.replace(an_entry(3), waives_tls=True)
    await put(bench, fresh)
    assert {one.entry.id for one in await all_ready(bench)} == {waives.id, fresh.id}
    lanes = {(lane.domain, lane.site, lane.waiting) for lane in await bench.queue.lanes()}
    assert ("b.test", "mx?sts=enforce", 1) in lanes
    listed = await bench.queue.search(Selection(), 10)
    assert {one.waiting.route for one in listed} == {""}


async def fresh_mail_goes_on_while_its_domains_demands_hold_the_rest(bench: Bench) -> None:
    strict, waives = an_entry(1), structs.replace(an_entry(2), waives_tls=True)
    await bench.queue.hold("mx?sts=enforce", NOW + 60, "no valid certificate")
    await put(bench, strict, waives)
    await bench.queue.assign("b.test", "mx?sts=enforce")
    assert [one.entry.id for one in await all_ready(bench)] == [waives.id]


async def a_domain_is_one_claim_and_room_is_kept(bench: Bench) -> None:
    await put(bench, an_entry(1, "a@x.test", "b@y.test", "c@x.test", "d@x.test"))
    claims = await bench.queue.claim(NOW, 2) + await bench.queue.claim(NOW, 10)
    assert all({one.recipient.address.domain for one in c.recipients} == {c.domain} for c in claims)
    assert addresses_of(claims) == ["a@x.test", "b@y.test", "c@x.test", "d@x.test"]
    assert len(claims[0].recipients) <= 2


async def what_is_delivered_is_gone(bench: Bench) -> None:
    entry = an_entry(1)
    await put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    told = Delivered(
        at=NOW, message=entry.id, address="bob@b.test", reply="250", attempt=Attempt(route="mx")
    )
    await bench.queue.settle(becomes(claim, State.DELIVERED), [told])
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}
    assert await is_gone(bench, entry)
    assert await bench.journal.story(entry.id) == [accepted(entry), told]
    assert await bench.queue.next_due() is None


async def what_failed_for_now_comes_back_when_it_is_due(bench: Bench) -> None:
    await waiting(bench, an_entry(1), due=NOW + 60)
    assert await bench.queue.claim(NOW + 59, 10) == []
    assert await bench.queue.next_due() == NOW + 60
    (claim,) = await bench.queue.claim(NOW + 60, 10)
    (row,) = claim.recipients
    assert (row.attempts, row.reply, row.due) == (1, "450 no", NOW + 60)
    assert claim.body is None
    await bench.queue.settle(
        becomes(claim, State.WAITING, due=NOW + 90, attempted=False, delay_told=True)
    )
    ((row,),) = [claim.recipients for claim in await bench.queue.claim(NOW + 90, 10)]
    assert (row.attempts, row.reply, row.delay_told) == (1, "450 no", True)


async def what_is_claimed_from_storage_is_not_claimed_again(bench: Bench) -> None:
    for number in range(5):
        await waiting(bench, an_entry(number, f"u{number}@x.test"))
    first = await bench.queue.claim(NOW, 3)
    second = await bench.queue.claim(NOW, 10)
    assert len(addresses_of(first)) == 3
    assert addresses_of(first + second) == [f"u{number}@x.test" for number in range(5)]
    assert await bench.queue.claim(NOW, 10) == []
    await bench.queue.settle(becomes(second[0], State.WAITING, due=NOW))
    assert addresses_of(await bench.queue.claim(NOW, 10)) == addresses_of(second[:1])


async def a_release_time_is_kept(bench: Bench) -> None:
    await put(bench, an_entry(1, release_at=NOW + 500))
    assert await bench.queue.claim(NOW + 499, 10) == []
    assert len(await bench.queue.claim(NOW + 500, 10)) == 1


async def a_streamed_message_is_one_like_any_other(bench: Bench) -> None:
    entry, octets = an_entry(1, size=768_000), bytes(range(256)) * 3000
    draft = bench.queue.draft()
    for start in range(0, len(octets), 100_000):
        await draft.write(octets[start : start + 100_000])
    await bench.queue.put(entry, draft, [accepted(entry)])
    await draft.discard()
    assert await content_of(bench, entry) == octets
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await is_gone(bench, entry)


async def what_is_known_at_the_end_stands_on_top(bench: Bench) -> None:
    head, octets = b"X: y\r\n", bytes(range(256)) * 3000
    entry = structs.replace(an_entry(1, size=len(head) + len(octets)), head=head)
    draft = bench.queue.draft()
    await draft.write(octets)
    await bench.queue.put(entry, draft, [accepted(entry)])
    assert await content_of(bench, entry) == head + octets
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.head == head


async def a_discarded_draft_leaves_nothing(bench: Bench) -> None:
    draft = bench.queue.draft()
    await draft.write(bytes(600_000))
    await draft.discard()
    await draft.discard()
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}


async def fresh_mail_can_be_held_until_it_is_claimed(bench: Bench) -> None:
    await put(bench, an_entry(1), an_entry(2))
    (claim,) = await bench.queue.claim(NOW, 1)
    assert await bench.queue.alter(Selection(), "hold", "root") == 1
    assert await bench.queue.claim(NOW, 10) == []
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 1, "held": 1}
    await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 1}


async def a_late_settlement_of_what_is_gone_is_no_error(bench: Bench) -> None:
    await bench.queue.settle(
        [Settlement("01JNOBODY", 0, State.FAILED, notice=Notice("failed", "5.0.0"))]
    )
    assert await bench.queue.owed(10) == []


async def a_wake_tells_of_new_mail(bench: Bench) -> None:
    woken: list[bool] = []
    bench.queue.on_ready(lambda: woken.append(True))
    await put(bench, an_entry(1))
    assert woken


CHECKS: tuple[Check, ...] = (
    what_is_put_is_in_hand_with_its_body,
    a_domain_is_one_claim_and_room_is_kept,
    what_waives_its_domains_demands_has_a_way_of_its_own,
    fresh_mail_goes_on_while_its_domains_demands_hold_the_rest,
    what_is_delivered_is_gone,
    what_failed_for_now_comes_back_when_it_is_due,
    what_is_claimed_from_storage_is_not_claimed_again,
    a_release_time_is_kept,
    a_streamed_message_is_one_like_any_other,
    what_is_known_at_the_end_stands_on_top,
    a_discarded_draft_leaves_nothing,
    fresh_mail_can_be_held_until_it_is_claimed,
    a_late_settlement_of_what_is_gone_is_no_error,
    a_wake_tells_of_new_mail,
    *turns.CHECKS,
    *sites.CHECKS,
    *ledger.CHECKS,
    *desk.CHECKS,
)
