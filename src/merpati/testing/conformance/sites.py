"""What every `Sites` does."""

from merpati.queue.entry import Selection, State
from merpati.testing.conformance.bench import (
    NOW,
    Bench,
    Check,
    addresses_of,
    all_ready,
    an_entry,
    becomes,
    put,
    sent_by,
    waiting,
)


async def all_of_a_domain_hangs_on_one_site(bench: Bench) -> None:
    await waiting(bench, sent_by("one", 1, 1)[0])
    await bench.queue.assign("b.test", "mx.b.test")
    await waiting(bench, sent_by("two", 2, 1, is_bulk=True)[0])
    (lane,) = await bench.queue.lanes()
    assert (lane.domain, lane.site, lane.waiting) == ("b.test", "mx.b.test", 2)
    assert await bench.queue.claim(NOW, 10, {"mx.b.test"}) == []


async def a_site_with_much_leaves_room_for_one_with_little(bench: Bench) -> None:
    for number in range(8):
        await waiting(bench, an_entry(number, f"u{number}@big.test"))
    await waiting(bench, an_entry(9, "one@small.test"))
    assert "one@small.test" in addresses_of(await bench.queue.claim(NOW, 4))


async def busy_sites_are_passed_over(bench: Bench) -> None:
    await put(bench, an_entry(1, "a@x.test"), an_entry(2, "b@y.test"))
    assert addresses_of(await bench.queue.claim(NOW, 10, {"x.test"})) == ["b@y.test"]
    assert addresses_of(await bench.queue.claim(NOW, 10)) == ["a@x.test"]


async def a_whole_cohort_is_held_and_resumed(bench: Bench) -> None:
    await bench.queue.assign("x.test", "mx.shared.test")
    await bench.queue.assign("y.test", "mx.shared.test")
    await waiting(bench, an_entry(1, "a@x.test", "b@y.test"))
    await put(bench, an_entry(2, "c@x.test"))
    await bench.queue.hold("mx.shared.test", NOW + 600, "down")
    await put(bench, an_entry(3, "d@y.test", "e@z.test"))
    assert [(lane.domain, lane.site, lane.waiting) for lane in await bench.queue.lanes()] == [
        ("x.test", "mx.shared.test", 2),
        ("y.test", "mx.shared.test", 2),
        ("z.test", "z.test", 0),
    ]
    assert addresses_of(await all_ready(bench)) == ["e@z.test"]
    assert await bench.queue.held() == {"mx.shared.test": (NOW + 600, "down")}
    assert await bench.queue.next_due() == NOW + 600
    await bench.queue.hold("mx.shared.test", 0, "")
    assert addresses_of(await bench.queue.claim(NOW, 10)) == [
        "a@x.test",
        "b@y.test",
        "c@x.test",
        "d@y.test",
    ]


async def mail_that_comes_to_a_held_site_waits_with_its_cohort(bench: Bench) -> None:
    await bench.queue.hold("mx.shared.test", NOW + 600, "down")
    await put(bench, an_entry(1, "a@x.test"), an_entry(2, "b@y.test"))
    await bench.queue.assign("x.test", "mx.shared.test")
    assert addresses_of(await bench.queue.claim(NOW, 10)) == ["b@y.test"]
    assert await bench.queue.count() == {"waiting": 1, "in_hand": 1, "held": 0}
    assert addresses_of(await bench.queue.claim(NOW + 600, 10)) == ["a@x.test"]


async def a_hold_ends_by_itself(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 60, "busy")
    await put(bench, an_entry(1))
    assert await bench.queue.claim(NOW + 59, 10) == []
    assert len(await bench.queue.claim(NOW + 60, 10)) == 1


async def a_rerouted_recipient_leaves_its_held_site(bench: Bench) -> None:
    await waiting(bench, an_entry(1), due=NOW + 60)
    await bench.queue.hold("b.test", NOW + 600, "down")
    assert await bench.queue.alter(Selection(), "reroute", "root", "smtp://else.test:25") == 1
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.recipients[0].route == "smtp://else.test:25"


async def what_waits_on_a_way_is_hastened(bench: Bench) -> None:
    await waiting(bench, an_entry(1, "a@x.test", "b@y.test"), due=NOW + 30)
    await waiting(bench, an_entry(2, "c@x.test"), due=NOW + 31)
    await waiting(bench, an_entry(3, "d@y.test"))
    assert addresses_of(await bench.queue.claim(NOW, 10)) == ["d@y.test"]
    await bench.queue.hasten("x.test", NOW - 5, (NOW + 29, NOW + 30))
    assert await bench.queue.next_due() == NOW - 5
    (claim,) = await all_ready(bench)
    assert [(str(one.recipient.address), one.due) for one in claim.recipients] == [
        ("a@x.test", NOW - 5)
    ]
    assert claim.recipients[0].attempts == 1
    assert await bench.queue.next_due() == NOW + 30
    assert addresses_of(await bench.queue.claim(NOW + 31, 10)) == ["b@y.test", "c@x.test"]


async def what_is_hastened_comes_before_what_was_due_since(bench: Bench) -> None:
    for number in range(3):
        await waiting(bench, an_entry(number, f"u{number}@d{number}.test"), due=NOW - 3 + number)
    await waiting(bench, an_entry(8, "a@x.test"), due=NOW + 30)
    await bench.queue.hasten("x.test", NOW - 5, (NOW + 29, NOW + 30))
    assert addresses_of(await bench.queue.claim(NOW, 1)) == ["a@x.test"]


async def nothing_else_is_hastened(bench: Bench) -> None:
    """What is held, on hold with its site, sent another way, due before the span, or already."""
    await waiting(bench, an_entry(4, "d@w.test"), due=NOW + 28)
    await bench.queue.hasten("w.test", NOW - 5, (NOW + 29, NOW + 30))
    assert await all_ready(bench) == []
    await bench.queue.alter(Selection(), "cancel", "root")
    await waiting(bench, an_entry(1, "a@x.test"), due=NOW + 30)
    await bench.queue.alter(Selection(), "hold", "root")
    await waiting(bench, an_entry(2, "b@x.test"), due=NOW + 30)
    await bench.queue.alter(Selection(recipient="b@x.test"), "reroute", "root", "smtp://else:25")
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW + 30))
    await bench.queue.hasten("x.test", NOW, (NOW, NOW + 60))
    assert await all_ready(bench) == []
    assert (await bench.queue.count())["held"] == 1
    await waiting(bench, an_entry(3, "c@z.test"), due=NOW + 30)
    await bench.queue.hold("z.test", NOW + 600, "down")
    await bench.queue.hasten("z.test", NOW, (NOW, NOW + 60))
    assert await all_ready(bench) == []
    await bench.queue.hasten("unknown.test", NOW, (NOW, NOW + 60))


CHECKS: tuple[Check, ...] = (
    all_of_a_domain_hangs_on_one_site,
    a_site_with_much_leaves_room_for_one_with_little,
    busy_sites_are_passed_over,
    a_whole_cohort_is_held_and_resumed,
    mail_that_comes_to_a_held_site_waits_with_its_cohort,
    a_hold_ends_by_itself,
    a_rerouted_recipient_leaves_its_held_site,
    what_waits_on_a_way_is_hastened,
    what_is_hastened_comes_before_what_was_due_since,
    nothing_else_is_hastened,
)
