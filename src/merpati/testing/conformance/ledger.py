"""What every `Ledger` does."""

from msgspec import structs

from merpati.journal.events import (
    Expired,
    Unnoticed,
)
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Recipient
from merpati.queue.entry import Notice, State
from merpati.testing.conformance.bench import (
    NOW,
    Bench,
    Check,
    an_entry,
    becomes,
    content_of,
    is_gone,
    put,
    waiting,
)


async def a_debt_keeps_the_message_until_it_is_discharged(bench: Bench) -> None:
    entry = an_entry(1)
    await put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    notice = Notice("failed", "5.1.1", "550 who?", "mx.b.test")
    await bench.queue.settle(becomes(claim, State.FAILED, notice=notice))
    (owed,) = await bench.queue.owed(10)
    assert (owed.entry, owed.action, owed.status, owed.reply) == (
        entry,
        "failed",
        "5.1.1",
        "550 who?",
    )
    assert await content_of(bench, entry) == b"hello"
    await bench.queue.put(
        an_entry(2, "ann@a.test", sender=None, size=3), Body((b"dsn",)), (), [owed.id]
    )
    assert await bench.queue.owed(10) == []
    assert await is_gone(bench, entry)


async def a_forgiven_debt_is_gone(bench: Bench) -> None:
    entry = an_entry(1)
    await put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.settle(becomes(claim, State.FAILED, notice=Notice("failed", "5.0.0")))
    await bench.queue.forgive([owed.id for owed in await bench.queue.owed(10)])
    assert await bench.queue.owed(10) == []
    assert await is_gone(bench, entry)


async def a_cause_is_kept_until_a_debt_needs_it(bench: Bench) -> None:
    await put(bench, an_entry(1))
    (claim,) = await bench.queue.claim(NOW, 10)
    waits = becomes(claim, State.WAITING, due=NOW, reply="452 full", cause="mailbox-full")
    await bench.queue.settle(waits)
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.recipients[0].cause == "mailbox-full"
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW, attempted=False))
    await bench.queue.expire(NOW + 100_000, 10)
    (owed,) = await bench.queue.owed(10)
    assert (owed.status, owed.reply, owed.cause) == ("4.4.7", "452 full", "mailbox-full")


async def an_expanded_alias_is_owed_a_notice_from_the_start(bench: Bench) -> None:
    sales = Recipient(Address("sales", "a.test"), original="rfc822;sales@a.test")
    await put(bench, structs.replace(an_entry(1), expanded=(sales,)))
    (owed,) = await bench.queue.owed(10)
    assert (owed.action, owed.status, owed.final_address) == ("expanded", "2.0.0", "sales@a.test")
    for claim in await bench.queue.claim(NOW, 10):
        await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await content_of(bench, an_entry(1)) == b"hello"
    await bench.queue.forgive([owed.id])
    assert await is_gone(bench, an_entry(1))


async def a_delay_is_told_once_for_what_no_attempt_comes_near(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 80_000, "nobody answers")
    await put(bench, an_entry(1), an_entry(2, sender=None))
    assert await bench.queue.remind(NOW + 99, 100.0, 10) == 2
    assert await bench.queue.owed(10) == []
    assert await bench.queue.remind(NOW + 100, 100.0, 10) == 1
    assert await bench.queue.remind(NOW + 101, 100.0, 10) == 0
    (owed,) = await bench.queue.owed(10)
    assert (owed.action, owed.reply, owed.cause) == ("delayed", "nobody answers", "site-suspended")
    await bench.queue.hold("b.test", 0.0, "")
    told = [one for claim in await bench.queue.claim(NOW, 10) for one in claim.recipients]
    assert sorted(one.delay_told for one in told) == [False, True]


async def a_delay_is_left_to_the_attempt_that_has_it(bench: Bench) -> None:
    await waiting(bench, an_entry(1))
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.remind(NOW + 100, 100.0, 10)
    assert await bench.queue.owed(10) == []
    await bench.queue.settle(becomes(claim, State.DELIVERED))


async def an_end_that_nobody_can_be_told_of_is_in_the_journal(bench: Bench) -> None:
    entry = an_entry(1, sender=None)
    await waiting(bench, entry)
    assert await bench.queue.expire(NOW + 100_000, 10) == 1
    assert await bench.queue.owed(10) == []
    expired, unsaid = (await bench.journal.story(entry.id))[-2:]
    assert isinstance(expired, Expired)
    assert isinstance(unsaid, Unnoticed)


CHECKS: tuple[Check, ...] = (
    a_debt_keeps_the_message_until_it_is_discharged,
    a_forgiven_debt_is_gone,
    a_cause_is_kept_until_a_debt_needs_it,
    an_expanded_alias_is_owed_a_notice_from_the_start,
    a_delay_is_told_once_for_what_no_attempt_comes_near,
    a_delay_is_left_to_the_attempt_that_has_it,
    an_end_that_nobody_can_be_told_of_is_in_the_journal,
)
