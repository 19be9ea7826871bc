"""Whose turn it is in every `Queue`."""

from collections import Counter

from msgspec import structs

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.queue.entry import Entry, State
from merpati.testing.conformance.bench import (
    ANN,
    NOW,
    Bench,
    Check,
    all_ready,
    becomes,
    put,
    sent_by,
)


async def _firsts(bench: Bench, *entries: Entry, waits: bool) -> "Counter[str]":
    """Whose mail is among the first twenty that are claimed."""
    if waits:
        await bench.queue.hold("b.test", NOW + 60, "full")
    await put(bench, *entries)
    await bench.queue.hold("b.test", 0, "")
    claims = await bench.queue.claim(NOW, 20)
    return Counter(claim.entry.client.login for claim in claims)


async def a_newsletter_keeps_no_fresh_message_waiting(bench: Bench) -> None:
    news, shop = sent_by("news", 1, 100, is_bulk=True), sent_by("shop", 200, 5)
    assert await _firsts(bench, *news, *shop, waits=False) == {"news": 15, "shop": 5}


async def a_newsletter_keeps_no_message_waiting_that_was_put_off(bench: Bench) -> None:
    news, shop = sent_by("news", 1, 100, is_bulk=True), sent_by("shop", 200, 5)
    assert await _firsts(bench, *news, *shop, waits=True) == {"news": 15, "shop": 5}


async def a_newsletter_has_its_share_of_what_is_fresh(bench: Bench) -> None:
    shop, news = sent_by("shop", 1, 100), sent_by("news", 200, 10, is_bulk=True)
    assert (await _firsts(bench, *shop, *news, waits=False))["news"] >= 3


async def a_newsletter_has_its_share_of_what_was_put_off(bench: Bench) -> None:
    shop, news = sent_by("shop", 1, 100), sent_by("news", 200, 10, is_bulk=True)
    assert (await _firsts(bench, *shop, *news, waits=True))["news"] >= 3


async def tenants_take_turns_with_what_is_fresh(bench: Bench) -> None:
    mass, one = sent_by("mass", 1, 100), sent_by("one", 200, 5)
    assert await _firsts(bench, *mass, *one, waits=False) == {"mass": 15, "one": 5}


async def tenants_take_turns_with_what_was_put_off(bench: Bench) -> None:
    mass, one = sent_by("mass", 1, 100), sent_by("one", 200, 5)
    assert await _firsts(bench, *mass, *one, waits=True) == {"mass": 15, "one": 5}


async def tenants_take_turns_by_head_however_many_domains_one_writes_to(bench: Bench) -> None:
    mass = sent_by("mass", 1, 40)
    mass = [structs.replace(one, envelope=_to(f"u@d{n}.test")) for n, one in enumerate(mass)]
    domains = ["b.test", *(f"d{n}.test" for n in range(40))]
    for domain in domains:
        await bench.queue.assign(domain, "smarthost")
    await bench.queue.hold("smarthost", NOW + 60, "full")
    await put(bench, *mass, *sent_by("one", 100, 40))
    await bench.queue.hold("smarthost", 0, "")
    claims = await bench.queue.claim(NOW, 20)
    firsts = Counter(claim.entry.client.login for claim in claims)
    assert firsts.total() == 20
    assert min(firsts["mass"], firsts["one"]) >= 8
    assert len(claims + await all_ready(bench)) == 80


def _to(address: str) -> Envelope:
    return Envelope(ANN, (Recipient(Address(*address.split("@"))),))


async def more_tenants_than_there_is_room_for_all_have_their_turn(bench: Bench) -> None:
    await bench.queue.hold("b.test", NOW + 60, "full")
    for number in range(12):
        await put(bench, *sent_by(f"login{number:02}", 10 * number, 3))
    await bench.queue.hold("b.test", 0, "")
    claims = [one for _ in range(3) for one in await bench.queue.claim(NOW, 4)]
    assert len({claim.entry.client.login for claim in claims}) == 12
    assert len(claims + await all_ready(bench)) == 36


async def of_a_site_full_of_bulk_mail_only_single_mail_is_taken(bench: Bench) -> None:
    news, shop = sent_by("news", 1, 3, is_bulk=True), sent_by("shop", 200, 2)
    await put(bench, *news, *shop)
    claims = await bench.queue.claim(NOW, 20, (), {"b.test"})
    assert Counter(claim.entry.client.login for claim in claims) == {"shop": 2}
    for claim in await all_ready(bench):
        await bench.queue.settle(becomes(claim, State.WAITING, due=NOW, reply="450 no"))
    await bench.queue.settle(becomes(claims[0], State.WAITING, due=NOW, reply="450 no"))
    waiting = await bench.queue.claim(NOW, 20, (), {"b.test"})
    assert [claim.entry.client.login for claim in waiting] == ["shop"]
    assert await bench.queue.claim(NOW, 20, (), {"b.test"}) == []
    assert len(await bench.queue.claim(NOW, 20)) == 3


CHECKS: tuple[Check, ...] = (
    a_newsletter_keeps_no_fresh_message_waiting,
    a_newsletter_keeps_no_message_waiting_that_was_put_off,
    a_newsletter_has_its_share_of_what_is_fresh,
    a_newsletter_has_its_share_of_what_was_put_off,
    tenants_take_turns_with_what_is_fresh,
    tenants_take_turns_with_what_was_put_off,
    tenants_take_turns_by_head_however_many_domains_one_writes_to,
    more_tenants_than_there_is_room_for_all_have_their_turn,
    of_a_site_full_of_bulk_mail_only_single_mail_is_taken,
)
