"""What every `Queue` with its `Sites`, `Ledger`, `Desk` and the journal beside it does."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from merpati.journal.events import (
    Accepted,
    Attempt,
    Cancelled,
    Delivered,
    Expired,
    Failed,
    Held,
    Unnoticed,
)
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.mail.envelope import Body, DeliverBy, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Claim, Entry, Notice, Selection, Settlement, State
from merpati.queue.queue import Desk, Ledger, Queue, Sites
from merpati.queue.way import WAIVED
from merpati.storage.errors import StorageError

NOW = 1_800_000_000.0


class Engine(Queue, Sites, Ledger, Desk, Protocol):
    """All four in one."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine on trial. Its clock stands at NOW."""

    queue: Engine
    journal: Journal


Check = Callable[[Bench], Awaitable[None]]
ANN = Address("ann", "a.test")


def an_entry(
    number: int,
    *to: str,
    sender: Address | None = ANN,
    release_at: float | None = None,
    size: int = 5,
) -> Entry:
    """A message to these addresses."""
    addresses = [Address(*one.rsplit("@", 1)) for one in to or ("bob@b.test",)]
    recipients = tuple(Recipient(address) for address in addresses)
    envelope = Envelope(sender, recipients, release_at=release_at)
    return Entry(f"01J{number:023}", NOW, NOW + 86_400, envelope, Client("::1"), size)


def accepted(entry: Entry) -> Accepted:
    """Its first event."""
    to = tuple(str(one.address) for one in entry.envelope.recipients)
    return Accepted(
        at=NOW, message=entry.id, sender=str(entry.envelope.sender), recipients=to, size=5
    )


def becomes(claim: Claim, state: State, **more: object) -> list[Settlement]:
    """Every recipient of a claim with the same end."""
    return [Settlement(claim.entry.id, one.n, state, **more) for one in claim.recipients]  # type: ignore[arg-type]  # fields of Settlement


async def _put(bench: Bench, *entries: Entry) -> None:
    for entry in entries:
        await bench.queue.put(entry, Body((b"hel", b"lo")), [accepted(entry)])


async def _content(bench: Bench, entry: Entry) -> bytes:
    return b"".join([piece async for piece in bench.queue.read(entry.id)])


async def _is_gone(bench: Bench, entry: Entry) -> bool:
    try:
        await _content(bench, entry)
    except StorageError:
        return True
    return False


async def _waiting(bench: Bench, entry: Entry, due: float = NOW) -> None:
    """Put it and let its first attempt fail."""
    await _put(bench, entry)
    # What waits already may come with the second claim.
    for claim in await bench.queue.claim(NOW, 100) + await bench.queue.claim(NOW, 100):
        await bench.queue.settle(becomes(claim, State.WAITING, due=due, reply="450 no"))


async def _all(bench: Bench) -> list[Claim]:
    """Everything that is due."""
    claims: list[Claim] = []
    while more := await bench.queue.claim(NOW, 100):
        claims += more
    return claims


def _addresses(claims: list[Claim]) -> list[str]:
    return sorted(str(one.recipient.address) for claim in claims for one in claim.recipients)


async def what_is_put_is_in_hand_with_its_body(bench: Bench) -> None:
    entry = an_entry(1)
    await _put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry == entry
    assert claim.body is not None
    assert claim.body.octets() == b"hello"
    assert await _content(bench, entry) == b"hello"
    assert await bench.queue.claim(NOW, 10) == []


def _sent_by(login: str, first: int, count: int, *, is_bulk: bool = False) -> list[Entry]:
    client = Client("::1", login=login)
    entries = [an_entry(number) for number in range(first, first + count)]
    return [structs.replace(one, client=client, is_ours=True, is_bulk=is_bulk) for one in entries]


async def _firsts(bench: Bench, *entries: Entry, waits: bool) -> "Counter[str]":
    """Whose mail is among the first twenty that are claimed."""
    if waits:
        await bench.queue.hold("b.test", NOW + 60, "full")
    await _put(bench, *entries)
    await bench.queue.hold("b.test", 0, "")
    claims = await bench.queue.claim(NOW, 20)
    return Counter(claim.entry.client.login for claim in claims)


async def a_newsletter_keeps_no_fresh_message_waiting(bench: Bench) -> None:
    news, shop = _sent_by("news", 1, 100, is_bulk=True), _sent_by("shop", 200, 5)
    assert await _firsts(bench, *news, *shop, waits=False) == {"news": 15, "shop": 5}


async def a_newsletter_keeps_no_message_waiting_that_was_put_off(bench: Bench) -> None:
    news, shop = _sent_by("news", 1, 100, is_bulk=True), _sent_by("shop", 200, 5)
    assert await _firsts(bench, *news, *shop, waits=True) == {"news": 15, "shop": 5}


async def a_newsletter_has_its_share_of_what_is_fresh(bench: Bench) -> None:
    shop, news = _sent_by("shop", 1, 100), _sent_by("news", 200, 10, is_bulk=True)
    assert (await _firsts(bench, *shop, *news, waits=False))["news"] >= 3


async def a_newsletter_has_its_share_of_what_was_put_off(bench: Bench) -> None:
    shop, news = _sent_by("shop", 1, 100), _sent_by("news", 200, 10, is_bulk=True)
    assert (await _firsts(bench, *shop, *news, waits=True))["news"] >= 3


async def tenants_take_turns_with_what_is_fresh(bench: Bench) -> None:
    mass, one = _sent_by("mass", 1, 100), _sent_by("one", 200, 5)
    assert await _firsts(bench, *mass, *one, waits=False) == {"mass": 15, "one": 5}


async def tenants_take_turns_with_what_was_put_off(bench: Bench) -> None:
    mass, one = _sent_by("mass", 1, 100), _sent_by("one", 200, 5)
    assert await _firsts(bench, *mass, *one, waits=True) == {"mass": 15, "one": 5}


async def tenants_take_turns_by_head_however_many_domains_one_writes_to(bench: Bench) -> None:
    mass = _sent_by("mass", 1, 40)
    mass = [structs.replace(one, envelope=_to(f"u@d{n}.test")) for n, one in enumerate(mass)]
    domains = ["b.test", *(f"d{n}.test" for n in range(40))]
    for domain in domains:
        await bench.queue.assign(domain, "smarthost")
    await bench.queue.hold("smarthost", NOW + 60, "full")
    await _put(bench, *mass, *_sent_by("one", 100, 40))
    await bench.queue.hold("smarthost", 0, "")
    claims = await bench.queue.claim(NOW, 20)
    firsts = Counter(claim.entry.client.login for claim in claims)
    assert firsts.total() == 20
    assert min(firsts["mass"], firsts["one"]) >= 8
    assert len(claims + await _all(bench)) == 80


def _to(address: str) -> Envelope:
    return Envelope(ANN, (Recipient(Address(*address.split("@"))),))


async def more_tenants_than_there_is_room_for_all_have_their_turn(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 60, "full")
    for number in range(12):
        await _put(bench, *_sent_by(f"login{number:02}", 10 * number, 3))
    await bench.queue.hold("b.test", 0, "")
    claims = [one for _ in range(3) for one in await bench.queue.claim(NOW, 4)]
    assert len({claim.entry.client.login for claim in claims}) == 12
    assert len(claims + await _all(bench)) == 36


async def of_a_site_full_of_bulk_mail_only_single_mail_is_taken(bench: Bench) -> None:
    news, shop = _sent_by("news", 1, 3, is_bulk=True), _sent_by("shop", 200, 2)
    await _put(bench, *news, *shop)
    claims = await bench.queue.claim(NOW, 20, (), {"b.test"})
    assert Counter(claim.entry.client.login for claim in claims) == {"shop": 2}
    for claim in await _all(bench):
        await bench.queue.settle(becomes(claim, State.WAITING, due=NOW, reply="450 no"))
    await bench.queue.settle(becomes(claims[0], State.WAITING, due=NOW, reply="450 no"))
    waiting = await bench.queue.claim(NOW, 20, (), {"b.test"})
    assert [claim.entry.client.login for claim in waiting] == ["shop"]
    assert await bench.queue.claim(NOW, 20, (), {"b.test"}) == []
    assert len(await bench.queue.claim(NOW, 20)) == 3


async def all_of_a_domain_hangs_on_one_site(bench: Bench) -> None:
    await _waiting(bench, _sent_by("one", 1, 1)[0])
    await bench.queue.assign("b.test", "mx.b.test")
    await _waiting(bench, _sent_by("two", 2, 1, is_bulk=True)[0])
    (lane,) = await bench.queue.lanes()
    assert (lane.domain, lane.site, lane.waiting) == ("b.test", "mx.b.test", 2)
    assert await bench.queue.claim(NOW, 10, {"mx.b.test"}) == []


async def what_waives_its_domains_demands_has_a_way_of_its_own(bench: Bench) -> None:
    strict, waives = an_entry(1), structs.replace(an_entry(2), waives_tls=True)
    await _waiting(bench, strict)
    await _waiting(bench, waives)
    await bench.queue.assign("b.test", "mx?sts=enforce")
    await bench.queue.assign("b.test", "mx", WAIVED)
    await bench.queue.hold("mx?sts=enforce", NOW + 60, "no valid certificate")
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.id == waives.id
    assert claim.recipients[0].route == ""
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW))
    fresh = structs.replace(an_entry(3), waives_tls=True)
    await _put(bench, fresh)
    assert {one.entry.id for one in await _all(bench)} == {waives.id, fresh.id}
    lanes = {(lane.domain, lane.site, lane.waiting) for lane in await bench.queue.lanes()}
    assert ("b.test", "mx?sts=enforce", 1) in lanes
    listed = await bench.queue.search(Selection(), 10)
    assert {one.waiting.route for one in listed} == {""}


async def fresh_mail_goes_on_while_its_domains_demands_hold_the_rest(bench: Bench) -> None:
    strict, waives = an_entry(1), structs.replace(an_entry(2), waives_tls=True)
    await bench.queue.hold("mx?sts=enforce", NOW + 60, "no valid certificate")
    await _put(bench, strict, waives)
    await bench.queue.assign("b.test", "mx?sts=enforce")
    assert [one.entry.id for one in await _all(bench)] == [waives.id]


async def a_domain_is_one_claim_and_room_is_kept(bench: Bench) -> None:
    await _put(bench, an_entry(1, "a@x.test", "b@y.test", "c@x.test", "d@x.test"))
    claims = await bench.queue.claim(NOW, 2) + await bench.queue.claim(NOW, 10)
    assert all({one.recipient.address.domain for one in c.recipients} == {c.domain} for c in claims)
    assert _addresses(claims) == ["a@x.test", "b@y.test", "c@x.test", "d@x.test"]
    assert len(claims[0].recipients) <= 2


async def what_is_delivered_is_gone(bench: Bench) -> None:
    entry = an_entry(1)
    await _put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    told = Delivered(
        at=NOW, message=entry.id, address="bob@b.test", reply="250", attempt=Attempt(route="mx")
    )
    await bench.queue.settle(becomes(claim, State.DELIVERED), [told])
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}
    assert await _is_gone(bench, entry)
    assert await bench.journal.story(entry.id) == [accepted(entry), told]
    assert await bench.queue.next_due() is None


async def what_failed_for_now_comes_back_when_it_is_due(bench: Bench) -> None:
    await _waiting(bench, an_entry(1), due=NOW + 60)
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
        await _waiting(bench, an_entry(number, f"u{number}@x.test"))
    first = await bench.queue.claim(NOW, 3)
    second = await bench.queue.claim(NOW, 10)
    assert len(_addresses(first)) == 3
    assert _addresses(first + second) == [f"u{number}@x.test" for number in range(5)]
    assert await bench.queue.claim(NOW, 10) == []
    await bench.queue.settle(becomes(second[0], State.WAITING, due=NOW))
    assert _addresses(await bench.queue.claim(NOW, 10)) == _addresses(second[:1])


async def a_site_with_much_leaves_room_for_one_with_little(bench: Bench) -> None:
    for number in range(8):
        await _waiting(bench, an_entry(number, f"u{number}@big.test"))
    await _waiting(bench, an_entry(9, "one@small.test"))
    assert "one@small.test" in _addresses(await bench.queue.claim(NOW, 4))


async def busy_sites_are_passed_over(bench: Bench) -> None:
    await _put(bench, an_entry(1, "a@x.test"), an_entry(2, "b@y.test"))
    assert _addresses(await bench.queue.claim(NOW, 10, {"x.test"})) == ["b@y.test"]
    assert _addresses(await bench.queue.claim(NOW, 10)) == ["a@x.test"]


async def a_release_time_is_kept(bench: Bench) -> None:
    await _put(bench, an_entry(1, release_at=NOW + 500))
    assert await bench.queue.claim(NOW + 499, 10) == []
    assert len(await bench.queue.claim(NOW + 500, 10)) == 1


async def a_streamed_message_is_one_like_any_other(bench: Bench) -> None:
    entry, octets = an_entry(1, size=768_000), bytes(range(256)) * 3000
    draft = bench.queue.draft()
    for start in range(0, len(octets), 100_000):
        await draft.write(octets[start : start + 100_000])
    await bench.queue.put(entry, draft, [accepted(entry)])
    await draft.discard()
    assert await _content(bench, entry) == octets
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await _is_gone(bench, entry)


async def what_is_known_at_the_end_stands_on_top(bench: Bench) -> None:
    head, octets = b"X: y\r\n", bytes(range(256)) * 3000
    entry = structs.replace(an_entry(1, size=len(head) + len(octets)), head=head)
    draft = bench.queue.draft()
    await draft.write(octets)
    await bench.queue.put(entry, draft, [accepted(entry)])
    assert await _content(bench, entry) == head + octets
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.head == head


async def a_discarded_draft_leaves_nothing(bench: Bench) -> None:
    draft = bench.queue.draft()
    await draft.write(bytes(600_000))
    await draft.discard()
    await draft.discard()
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}


async def a_whole_cohort_is_held_and_resumed(bench: Bench) -> None:
    await bench.queue.assign("x.test", "mx.shared.test")
    await bench.queue.assign("y.test", "mx.shared.test")
    await _waiting(bench, an_entry(1, "a@x.test", "b@y.test"))
    await _put(bench, an_entry(2, "c@x.test"))
    await bench.queue.hold("mx.shared.test", NOW + 600, "down")
    await _put(bench, an_entry(3, "d@y.test", "e@z.test"))
    assert [(lane.domain, lane.site, lane.waiting) for lane in await bench.queue.lanes()] == [
        ("x.test", "mx.shared.test", 2),
        ("y.test", "mx.shared.test", 2),
        ("z.test", "z.test", 0),
    ]
    assert _addresses(await _all(bench)) == ["e@z.test"]
    assert await bench.queue.held() == {"mx.shared.test": (NOW + 600, "down")}
    assert await bench.queue.next_due() == NOW + 600
    await bench.queue.hold("mx.shared.test", 0, "")
    assert _addresses(await bench.queue.claim(NOW, 10)) == [
        "a@x.test",
        "b@y.test",
        "c@x.test",
        "d@y.test",
    ]


async def mail_that_comes_to_a_held_site_waits_with_its_cohort(bench: Bench) -> None:
    await bench.queue.hold("mx.shared.test", NOW + 600, "down")
    await _put(bench, an_entry(1, "a@x.test"), an_entry(2, "b@y.test"))
    await bench.queue.assign("x.test", "mx.shared.test")
    assert _addresses(await bench.queue.claim(NOW, 10)) == ["b@y.test"]
    assert await bench.queue.count() == {"waiting": 1, "in_hand": 1, "held": 0}
    assert _addresses(await bench.queue.claim(NOW + 600, 10)) == ["a@x.test"]


async def a_hold_ends_by_itself(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 60, "busy")
    await _put(bench, an_entry(1))
    assert await bench.queue.claim(NOW + 59, 10) == []
    assert len(await bench.queue.claim(NOW + 60, 10)) == 1


async def a_debt_keeps_the_message_until_it_is_discharged(bench: Bench) -> None:
    entry = an_entry(1)
    await _put(bench, entry)
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
    assert await _content(bench, entry) == b"hello"
    await bench.queue.put(
        an_entry(2, "ann@a.test", sender=None, size=3), Body((b"dsn",)), (), [owed.id]
    )
    assert await bench.queue.owed(10) == []
    assert await _is_gone(bench, entry)


async def a_forgiven_debt_is_gone(bench: Bench) -> None:
    entry = an_entry(1)
    await _put(bench, entry)
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.settle(becomes(claim, State.FAILED, notice=Notice("failed", "5.0.0")))
    await bench.queue.forgive([owed.id for owed in await bench.queue.owed(10)])
    assert await bench.queue.owed(10) == []
    assert await _is_gone(bench, entry)


async def time_ends_what_waits_and_what_is_held(bench: Bench) -> None:
    await _waiting(bench, an_entry(1), due=NOW + 90_000)
    await _waiting(bench, an_entry(2, sender=None), due=NOW + 90_000)
    await bench.queue.alter(Selection(ids=[an_entry(1).id]), "hold", "root")
    await bench.queue.hold("b.test", NOW + 900_000, "down")
    assert await bench.queue.expire(NOW + 86_399, 10) == 0
    assert await bench.queue.expire(NOW + 86_400, 10) == 2
    assert [owed.entry.id for owed in await bench.queue.owed(10)] == [an_entry(1).id]
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 0}


async def a_cause_is_kept_until_a_debt_needs_it(bench: Bench) -> None:
    await _put(bench, an_entry(1))
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
    await _put(bench, structs.replace(an_entry(1), expanded=(sales,)))
    (owed,) = await bench.queue.owed(10)
    assert (owed.action, owed.status, owed.final_address) == ("expanded", "2.0.0", "sales@a.test")
    for claim in await bench.queue.claim(NOW, 10):
        await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await _content(bench, an_entry(1)) == b"hello"
    await bench.queue.forgive([owed.id])
    assert await _is_gone(bench, an_entry(1))


async def a_delay_is_told_once_for_what_no_attempt_comes_near(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 80_000, "nobody answers")
    await _put(bench, an_entry(1), an_entry(2, sender=None))
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
    await _waiting(bench, an_entry(1))
    (claim,) = await bench.queue.claim(NOW, 10)
    await bench.queue.remind(NOW + 100, 100.0, 10)
    assert await bench.queue.owed(10) == []
    await bench.queue.settle(becomes(claim, State.DELIVERED))


async def an_end_that_nobody_can_be_told_of_is_in_the_journal(bench: Bench) -> None:
    entry = an_entry(1, sender=None)
    await _waiting(bench, entry)
    assert await bench.queue.expire(NOW + 100_000, 10) == 1
    assert await bench.queue.owed(10) == []
    expired, unsaid = (await bench.journal.story(entry.id))[-2:]
    assert isinstance(expired, Expired)
    assert isinstance(unsaid, Unnoticed)


async def a_missed_deadline_is_a_failure(bench: Bench) -> None:
    entry = an_entry(1)
    wish = DeliverBy(NOW + 50, must_return=True)
    envelope = structs.replace(entry.envelope, deliver_by=wish)
    await _waiting(bench, structs.replace(entry, envelope=envelope, expires=NOW + 50))
    assert await bench.queue.expire(NOW + 50, 10) == 1
    (owed,) = await bench.queue.owed(10)
    assert (owed.action, owed.status) == ("failed", "5.4.7")
    (event,) = [one for one in await bench.journal.story(entry.id) if isinstance(one, Failed)]
    assert (event.cause, event.status) == ("deliver-by-missed", "5.4.7")


async def time_does_not_end_what_an_attempt_has(bench: Bench) -> None:
    await _put(bench, an_entry(1))
    (claim,) = await bench.queue.claim(NOW, 10)
    assert await bench.queue.expire(NOW + 90_000, 10) == 0
    await bench.queue.settle(becomes(claim, State.WAITING, due=NOW + 1))
    assert await bench.queue.expire(NOW + 90_000, 10) == 1


async def an_operator_holds_and_releases(bench: Bench) -> None:
    entry = an_entry(1)
    await _waiting(bench, entry, due=NOW + 60)
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
    await _put(bench, claimed)
    (claim,) = await bench.queue.claim(NOW, 10)
    await _waiting(bench, ours, due=NOW + 60)
    await _waiting(bench, other, due=NOW + 60)
    await _put(bench, fresh)
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
    await _put(bench, held)
    assert await bench.queue.alter(Selection(), "hold", "root") == 1
    await _put(bench, stopped)
    assert await bench.queue.stop_senders(frozenset({"ann@a.test"})) == 1
    assert await bench.queue.stop_senders(frozenset({"eve@a.test"})) == 1
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.entry.id == stopped.id


async def mail_of_a_suspended_login_that_is_removed_stays_held(bench: Bench) -> None:
    ours = replace_client(an_entry(1), "ann@a.test")
    await _put(bench, ours)
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
    await _put(bench, replace_client(an_entry(1), login))
    assert await bench.queue.stop_senders(frozenset({login})) == 1
    assert await bench.queue.stop_senders(frozenset({login})) == 0
    assert await bench.queue.claim(NOW, 10) == []


def replace_client(entry: Entry, login: str) -> Entry:
    """The same message, of somebody who logged in."""
    return structs.replace(entry, client=Client("::1", login=login), is_ours=True)


async def fresh_mail_can_be_held_until_it_is_claimed(bench: Bench) -> None:
    await _put(bench, an_entry(1), an_entry(2))
    (claim,) = await bench.queue.claim(NOW, 1)
    assert await bench.queue.alter(Selection(), "hold", "root") == 1
    assert await bench.queue.claim(NOW, 10) == []
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 1, "held": 1}
    await bench.queue.settle(becomes(claim, State.DELIVERED))
    assert await bench.queue.count() == {"waiting": 0, "in_hand": 0, "held": 1}


async def a_cancelled_recipient_ends_with_an_event(bench: Bench) -> None:
    entry = an_entry(1, "a@x.test", "b@y.test")
    await _waiting(bench, entry)
    assert await bench.queue.alter(Selection(recipient="A@x.test"), "cancel", "root") == 1
    assert _addresses(await bench.queue.claim(NOW, 10)) == ["b@y.test"]
    told = await bench.journal.story(entry.id)
    assert Cancelled(at=NOW, message=entry.id, address="a@x.test", by="root") in told


async def a_late_settlement_of_what_is_gone_is_no_error(bench: Bench) -> None:
    await bench.queue.settle(
        [Settlement("01JNOBODY", 0, State.FAILED, notice=Notice("failed", "5.0.0"))]
    )
    assert await bench.queue.owed(10) == []


async def a_rerouted_recipient_leaves_its_held_site(bench: Bench) -> None:
    await _waiting(bench, an_entry(1), due=NOW + 60)
    await bench.queue.hold("b.test", NOW + 600, "down")
    assert await bench.queue.alter(Selection(), "reroute", "root", "smtp://else.test:25") == 1
    (claim,) = await bench.queue.claim(NOW, 10)
    assert claim.recipients[0].route == "smtp://else.test:25"


async def a_retry_is_due_at_once(bench: Bench) -> None:
    await _waiting(bench, an_entry(1), due=NOW + 6000)
    assert await bench.queue.alter(Selection(sender="ann@a.test"), "retry", "root") == 1
    assert len(await bench.queue.claim(NOW, 10)) == 1


async def a_search_pages_in_order(bench: Bench) -> None:
    for number in range(3):
        await _waiting(bench, an_entry(number, "a@x.test", "b@y.test"))
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
    await _waiting(bench, an_entry(1, "a@x.test"))
    await _waiting(bench, an_entry(2, "b@y.test"))
    await bench.queue.claim(NOW, 10, {"y.test"})
    (mine,) = await bench.queue.search(Selection(state=State.IN_HAND), 10)
    (other,) = await bench.queue.search(Selection(state=State.WAITING), 10)
    assert (mine.site, other.site) == ("x.test", "y.test")


async def a_wake_tells_of_new_mail(bench: Bench) -> None:
    woken: list[bool] = []
    bench.queue.on_ready(lambda: woken.append(True))
    await _put(bench, an_entry(1))
    assert woken


CHECKS: tuple[Check, ...] = (
    what_is_put_is_in_hand_with_its_body,
    a_domain_is_one_claim_and_room_is_kept,
    a_newsletter_keeps_no_fresh_message_waiting,
    a_newsletter_keeps_no_message_waiting_that_was_put_off,
    a_newsletter_has_its_share_of_what_is_fresh,
    a_newsletter_has_its_share_of_what_was_put_off,
    tenants_take_turns_with_what_is_fresh,
    tenants_take_turns_with_what_was_put_off,
    tenants_take_turns_by_head_however_many_domains_one_writes_to,
    more_tenants_than_there_is_room_for_all_have_their_turn,
    of_a_site_full_of_bulk_mail_only_single_mail_is_taken,
    all_of_a_domain_hangs_on_one_site,
    what_waives_its_domains_demands_has_a_way_of_its_own,
    fresh_mail_goes_on_while_its_domains_demands_hold_the_rest,
    what_is_delivered_is_gone,
    what_failed_for_now_comes_back_when_it_is_due,
    what_is_claimed_from_storage_is_not_claimed_again,
    a_site_with_much_leaves_room_for_one_with_little,
    busy_sites_are_passed_over,
    a_release_time_is_kept,
    a_streamed_message_is_one_like_any_other,
    what_is_known_at_the_end_stands_on_top,
    a_discarded_draft_leaves_nothing,
    a_whole_cohort_is_held_and_resumed,
    mail_that_comes_to_a_held_site_waits_with_its_cohort,
    a_hold_ends_by_itself,
    a_debt_keeps_the_message_until_it_is_discharged,
    a_forgiven_debt_is_gone,
    time_ends_what_waits_and_what_is_held,
    a_cause_is_kept_until_a_debt_needs_it,
    an_expanded_alias_is_owed_a_notice_from_the_start,
    a_delay_is_told_once_for_what_no_attempt_comes_near,
    a_delay_is_left_to_the_attempt_that_has_it,
    an_end_that_nobody_can_be_told_of_is_in_the_journal,
    a_missed_deadline_is_a_failure,
    time_does_not_end_what_an_attempt_has,
    an_operator_holds_and_releases,
    mail_of_a_suspended_login_is_held_and_goes_on_with_it,
    a_resumed_login_leaves_what_an_operator_holds,
    mail_of_a_suspended_login_that_is_removed_stays_held,
    a_login_beyond_ascii_is_held_like_any_other,
    fresh_mail_can_be_held_until_it_is_claimed,
    a_cancelled_recipient_ends_with_an_event,
    a_late_settlement_of_what_is_gone_is_no_error,
    a_rerouted_recipient_leaves_its_held_site,
    a_retry_is_due_at_once,
    a_search_pages_in_order,
    a_search_knows_what_is_in_hand,
    a_wake_tells_of_new_mail,
)
