"""The one door into the queue (RFC 6409)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from merpati.intake import Intake, Receipt, has_bare_newlines
from merpati.journal.events import Accepted, Noticed, Refused, Reported
from merpati.mail.address import Address
from merpati.mail.envelope import Body, DeliverBy, Envelope, Notify, Recipient
from merpati.mail.trace import Client
from merpati.policy.rule import Facts
from merpati.queue.entry import Entry, Owed
from merpati.storage.errors import StorageError
from merpati.testing.doors import House
from merpati.testing.memory import MemoryQueue

MESSAGE = (
    b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <1@b.test>\r\nSubject: Hi\r\n\r\n.\r\n"
)
LOCAL = Client("", role="local", protocol="", login="ann@a.test")


def an_envelope(*to: str, sender: str = "ann@a.test") -> Envelope:
    recipients = tuple(Recipient(Address.parse(address)) for address in to)
    return Envelope(Address.parse(sender) if sender else None, recipients)


async def submit(
    intake: Intake, envelope: Envelope, content: bytes = MESSAGE, role: str = "local"
) -> Receipt:
    facts = Facts(Client("", role=role, protocol=""), login=Address.parse("ann@a.test"))
    return await intake.submit(facts, envelope, Body((content,)))


async def stored(house: House) -> tuple[Entry, bytes]:
    """The one message that lies in the queue."""
    claims = await house.queue.claim(house.clock.now(), 100)
    [entry] = {claim.entry.id: claim.entry for claim in claims}.values()
    octets = b"".join([piece async for piece in house.queue.read(entry.id)])
    return entry, octets


@pytest.mark.parametrize(
    ("field", "is_bulk"),
    [
        (b"Precedence: Bulk\r\n", True),
        (b"precedence: list\r\n", True),
        (b"Precedence: first-class\r\n", False),
        (b"List-Unsubscribe: <https://a.test/u>\r\n", True),
        (b"List-ID: <news.a.test>\r\n", True),
        (b"X-List-Id: none\r\n", False),
        (b"", False),
    ],
)
async def test_what_a_message_says_of_itself_makes_it_bulk_mail(
    field: bytes, is_bulk: bool
) -> None:
    house = House()
    await submit(house.intake(), an_envelope("bob@a.test"), field + MESSAGE)
    entry, _ = await stored(house)
    assert entry.is_bulk is is_bulk


@pytest.mark.parametrize(
    ("field", "require_tls", "waives"),
    [
        (b"TLS-Required: No\r\n", False, True),
        (b"tls-required:\r\n no\r\n", False, True),
        (b"TLS-Required: No\r\n", True, False),
        (b"TLS-Required: Yes\r\n", False, False),
        (b"TLS-Required: No\r\nTLS-Required: No\r\n", False, False),
        (b"", False, False),
    ],
)
async def test_a_message_says_itself_that_it_waives_tls_unless_its_envelope_requires_it(
    field: bytes, require_tls: bool, waives: bool
) -> None:
    house = House()
    envelope = structs.replace(an_envelope("bob@a.test"), require_tls=require_tls)
    await submit(house.intake(), envelope, field + MESSAGE)
    entry, _ = await stored(house)
    assert entry.waives_tls is waives


@pytest.mark.parametrize(("priority", "is_bulk"), [(-1, True), (0, False), (3, False)])
async def test_a_low_priority_makes_it_bulk_mail(priority: int, is_bulk: bool) -> None:
    house = House()
    envelope = structs.replace(an_envelope("bob@a.test"), priority=priority)
    await submit(house.intake(), envelope)
    entry, _ = await stored(house)
    assert entry.is_bulk is is_bulk


@pytest.mark.parametrize(
    ("facts", "is_ours"),
    [
        (Facts(Client("192.0.2.1")), False),
        (Facts(Client("192.0.2.1"), trusted=True), True),
        (Facts(Client("192.0.2.1"), login=Address.parse("ann@a.test")), True),
    ],
)
async def test_what_was_sent_by_whoever_may_send_is_ours(facts: Facts, is_ours: bool) -> None:
    house = House()
    await house.intake().submit(facts, an_envelope("bob@a.test"), Body((MESSAGE,)))
    entry, _ = await stored(house)
    assert entry.is_ours is is_ours


async def test_a_notice_is_ours() -> None:
    house = House()
    await house.intake().accept_notice(an_envelope("bob@a.test", sender=""), Body((MESSAGE,)))
    entry, _ = await stored(house)
    assert entry.is_ours


async def test_the_answer_ends_in_the_id_of_what_was_stored() -> None:
    house = House()
    receipt = await submit(house.intake(), an_envelope("bob@a.test"))
    entry, octets = await stored(house)
    assert str(receipt.reply) == f"250 2.0.0 queued as {entry.id}"
    assert receipt.id == entry.id
    assert octets.endswith(MESSAGE)
    assert octets.startswith(b"Received: by mx.a.test\r\n\tid " + entry.id.encode())
    assert entry.size == len(octets)


async def test_the_journal_has_what_people_search_for() -> None:
    house = House()
    receipt = await submit(house.intake(), an_envelope("bob@a.test", "x@c.test"))
    [accepted] = await house.events(Accepted)
    assert accepted.message == receipt.id
    assert accepted.sender == "ann@a.test"
    assert accepted.recipients == ("bob@a.test", "x@c.test")
    assert (accepted.message_id, accepted.subject) == ("<1@b.test>", "Hi")


async def test_submission_adds_date_and_message_id_where_they_are_missing() -> None:
    house = House()
    receipt = await submit(house.intake(), an_envelope("bob@a.test"), b"Subject: Hi\r\n\r\n")
    _, octets = await stored(house)
    assert b"\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n" in octets
    assert f"\r\nMessage-ID: <{receipt.id}@mx.a.test>\r\n".encode() in octets
    [accepted] = await house.events(Accepted)
    assert accepted.message_id == f"<{receipt.id}@mx.a.test>"


async def test_a_relay_completes_nothing() -> None:
    house = House()
    await submit(house.intake(), an_envelope("bob@a.test"), b"Subject: Hi\r\n\r\n", role="mx")
    _, octets = await stored(house)
    assert b"Message-ID" not in octets
    assert b"\r\nDate" not in octets


async def test_what_has_both_keeps_its_own() -> None:
    house = House()
    await submit(house.intake(), an_envelope("bob@a.test"))
    _, octets = await stored(house)
    assert octets.count(b"Message-ID:") == octets.count(b"Date:") == 1


async def test_an_alias_reaches_all_its_targets_once_and_is_remembered() -> None:
    house = House()
    house.residents.alias("sales@a.test", "ann@a.test", "bob@a.test", "x@c.test")
    await submit(house.intake(), an_envelope("bob@a.test", "sales@a.test"))
    entry, _ = await stored(house)
    to = {str(each.address): each for each in entry.envelope.recipients}
    assert list(to) == ["bob@a.test", "ann@a.test", "x@c.test"]
    assert to["bob@a.test"].original is None
    assert to["x@c.test"].original == "rfc822;sales@a.test"
    [accepted] = await house.events(Accepted)
    assert ("sales@a.test", "x@c.test") in accepted.aliases


async def test_the_senders_own_orcpt_and_wishes_go_through_an_alias() -> None:
    house = House()
    house.residents.alias("sales@a.test", "x@c.test")
    wish = Recipient(Address.parse("sales@a.test"), Notify.SUCCESS, "rfc822;first@d.test", True)
    await submit(house.intake(), Envelope(Address.parse("ann@a.test"), (wish,)))
    entry, _ = await stored(house)
    address = Address.parse("x@c.test")
    expected = Recipient(address, Notify.SUCCESS, "rfc822;first@d.test", named_notify=True)
    assert entry.envelope.recipients == (expected,)


@pytest.mark.parametrize(
    ("targets", "sender", "told", "passed_on"),
    [
        (("x@c.test", "y@c.test"), "ann@a.test", ["expanded"], Notify.FAILURE),
        (("x@c.test", "y@c.test"), "", [], Notify.FAILURE),
        (("x@c.test",), "ann@a.test", [], Notify.SUCCESS | Notify.FAILURE),
    ],
)
async def test_success_is_told_where_an_alias_leads_to_several(
    targets: tuple[str, ...], sender: str, told: list[str], passed_on: Notify
) -> None:
    house = House()
    house.residents.alias("sales@a.test", *targets)
    wish = Recipient(Address.parse("sales@a.test"), notify=Notify.SUCCESS | Notify.FAILURE)
    envelope = structs.replace(an_envelope(sender=sender), recipients=(wish,))
    await submit(house.intake(), envelope)
    entry, _ = await stored(house)
    assert {one.notify for one in entry.envelope.recipients} == {passed_on}
    owed = await house.queue.owed(10)
    assert [one.action for one in owed] == told
    assert [one.final_address for one in owed] == ["sales@a.test"] * len(told)


async def test_an_internationalised_alias_is_kept_as_a_utf8_orcpt() -> None:
    house = House()
    house.residents.alias("penjuälan@a.test", "x@c.test")
    await submit(house.intake(), an_envelope("penjuälan@a.test"))
    entry, _ = await stored(house)
    assert entry.envelope.recipients[0].original == "utf-8;penjuälan@a.test"


async def test_a_catch_all_takes_every_name() -> None:
    house = House()
    house.residents.alias("*@a.test", "ann@a.test")
    await submit(house.intake(), an_envelope("whoever@a.test"))
    entry, _ = await stored(house)
    assert [str(each.address) for each in entry.envelope.recipients] == ["ann@a.test"]


@pytest.mark.parametrize("address", ["postmaster", "postmaster@a.test"])
async def test_the_postmasters_mail_has_a_home(address: str) -> None:
    house = House(postmaster=Address.parse("ann@a.test"))
    await submit(house.intake(), an_envelope(address))
    entry, _ = await stored(house)
    assert [str(each.address) for each in entry.envelope.recipients] == ["ann@a.test"]


@pytest.mark.parametrize("address", ["postmaster", "Postmaster@a.test"])
async def test_the_first_user_reads_it_where_nobody_is_named(address: str) -> None:
    house = House()
    await submit(house.intake(), an_envelope(address))
    entry, _ = await stored(house)
    assert [str(each.address) for each in entry.envelope.recipients] == ["ann@a.test"]


async def test_a_host_without_users_has_no_postmaster_to_offer() -> None:
    house = House()
    house.residents.passwords.clear()
    receipt = await submit(house.intake(), an_envelope("postmaster@a.test"))
    assert receipt.reply.code == 550


class FullQueue(MemoryQueue):
    """Refuses everything."""

    error = StorageError("no space", is_full=True)

    async def put(self, *_: object, **__: object) -> None:
        raise self.error


@pytest.mark.parametrize(("is_full", "reply"), [(True, "452 4.3.1"), (False, "451 4.3.0")])
async def test_what_is_not_stored_is_not_acknowledged(is_full: bool, reply: str) -> None:
    house = House()
    house.queue = FullQueue(house.clock, house.journal)
    house.queue.error = StorageError("it broke", is_full=is_full)
    receipt = await submit(house.intake(), an_envelope("bob@a.test"))
    assert str(receipt.reply).startswith(reply)
    assert receipt.id == ""
    [refused] = await house.events(Refused)
    assert (refused.stage, refused.rule) == ("message", "storage")


async def test_damaged_aliases_refuse_for_now() -> None:
    house = House()
    intake = house.intake()
    house.residents.damaged = True
    facts = Facts(LOCAL, envelope=an_envelope("bob@a.test"))
    receipt = await intake.accept(facts, Body((MESSAGE,)))
    assert str(receipt.reply).startswith("451 4.3.5")


@pytest.mark.parametrize(
    ("envelope", "content", "reply"),
    [
        (an_envelope("bob@a.test", sender="bob@a.test"), MESSAGE, "553 5.7.1"),
        (an_envelope("bob@a.test", "nobody@a.test"), MESSAGE, "550 5.1.1"),
        (an_envelope("bob@a.test"), b"Subject: a\nb: c\r\n\r\n", "554 5.6.0"),
        (an_envelope("bob@a.test"), b"Subject: a\r\n\r\nbare\r", "554 5.6.0"),
        (an_envelope("bob@a.test"), b"X: y\r\n" * 25_000 + b"\r\n", "552 5.3.4"),
    ],
)
async def test_a_door_without_a_conversation_is_judged_as_a_whole(
    envelope: Envelope, content: bytes, reply: str
) -> None:
    house = House()
    receipt = await submit(house.intake(), envelope, content)
    assert str(receipt.reply).startswith(reply)
    assert await house.queue.claim(house.clock.now(), 100) == []
    assert len(await house.events(Refused)) == 1


async def test_nothing_is_held_for_longer_than_is_said() -> None:
    house = House()
    envelope = an_envelope("bob@a.test")
    late = structs.replace(envelope, release_at=house.clock.now() + 7 * 86400 + 1)
    assert str((await submit(house.intake(), late)).reply).startswith("501 5.5.4")


@pytest.mark.parametrize(
    ("to", "content", "needed"),
    [
        ("bob@a.test", MESSAGE, False),
        ("bób@c.test", MESSAGE, True),
        ("bob@a.test", "Subject: Häppy\r\n\r\n".encode(), True),
        ("bob@a.test", "Subject: Hi\r\n\r\nHäppy\r\n".encode(), False),
    ],
)
async def test_smtputf8_is_declared_where_it_is_needed(
    to: str, content: bytes, needed: bool
) -> None:
    house = House()
    await submit(house.intake(), an_envelope(to), content)
    entry, _ = await stored(house)
    assert entry.envelope.smtputf8 is needed


async def test_a_message_lives_five_days_from_its_release() -> None:
    house = House()
    release = house.clock.now() + 3600
    envelope = Envelope(
        Address.parse("ann@a.test"), (Recipient(Address.parse("x@c.test")),), release_at=release
    )
    await submit(house.intake(), envelope)
    await house.clock.advance(3601)
    entry, _ = await stored(house)
    assert entry.expires == release + 5 * 86400


@pytest.mark.parametrize(("must_return", "life"), [(True, 600), (False, 5 * 86400)])
async def test_deliver_by_ends_a_life_only_where_it_must_return(
    must_return: bool, life: float
) -> None:
    house = House()
    by = DeliverBy(house.clock.now() + 600, must_return)
    envelope = Envelope(
        Address.parse("ann@a.test"), (Recipient(Address.parse("x@c.test")),), deliver_by=by
    )
    await submit(house.intake(), envelope)
    entry, _ = await stored(house)
    assert entry.expires - entry.received == life


async def test_a_notice_is_not_judged_and_names_the_debts_it_answers() -> None:
    house = House()
    intake = house.intake()
    await submit(intake, an_envelope("x@c.test"))
    entry, _ = await stored(house)
    owed = Owed(7, entry, entry.envelope.recipients[0], "failed", 0.0, "5.1.1", "", "")
    notice = await intake.accept_notice(
        an_envelope("nobody@a.test", sender=""), Body((b"Subject: Failed\r\n\r\n",)), [owed]
    )
    [noticed] = await house.events(Noticed)
    assert (noticed.message, noticed.notice, noticed.action) == (entry.id, notice, "failed")
    [claim] = await house.queue.claim(house.clock.now(), 100)
    assert claim.entry.is_notice
    assert claim.entry.client.role == "local"


@given(st.binary(max_size=60), st.integers(0, 60))
def test_bare_newlines_are_seen_wherever_parts_are_cut(octets: bytes, cut: int) -> None:
    stripped = octets.replace(b"\r\n", b"")
    expected = b"\r" in stripped or b"\n" in stripped
    assert has_bare_newlines((octets[:cut], octets[cut:])) == expected


async def test_a_report_has_the_id_that_was_promised_and_its_event_comes_with_it() -> None:
    house = House()
    told = Reported(at=1.0, message="R", report="tls", domain="b.test", day="d", outcome="mailed")
    await house.intake().accept_report(an_envelope("x@b.test"), Body((MESSAGE,)), "R", told)
    entry, _ = await stored(house)
    assert entry.id == "R"
    assert entry.is_notice
    assert entry.expires == entry.received + 86_400
    assert await house.events(Reported) == [told]
    assert [event.message for event in await house.events(Accepted)] == ["R"]
