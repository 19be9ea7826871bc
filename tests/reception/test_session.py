"""A session from the greeting to the end, over memory."""

import asyncio
from typing import cast

import pytest

from merpati.journal.events import Accepted, Refused
from merpati.policy.rules.limits import LimitSettings
from merpati.policy.rules.table import RuleSettings
from merpati.queue.entry import Entry
from merpati.reception.port import Network, Port, PortSettings, Role
from merpati.storage.errors import StorageError
from merpati.testing.doors import House, Talker, greeted, networks, talking
from merpati.testing.memory import MemoryDraft, MemoryQueue
from merpati.testing.pipes import Split, every, octet_by_octet, stream_pair, whole
from merpati.wire.connection import Connection
from merpati.wire.listen import Arrival, Crowd

MESSAGE = b"From: eve@b.test\r\nSubject: Hello\r\nMessage-ID: <1@b.test>\r\n\r\nHi.\r\n"


async def stored(house: House) -> tuple[Entry, bytes]:
    """The one message that lies in the queue."""
    [claim] = await house.queue.claim(house.clock.now(), 100)
    return claim.entry, b"".join([piece async for piece in house.queue.read(claim.entry.id)])


@pytest.mark.parametrize("split", [whole, octet_by_octet, every(7)])
async def test_mail_for_someone_here_is_queued_and_its_id_told(split: Split) -> None:
    house = House()
    async with greeted(house.port(), split=split) as client:
        reply = await client.send(MESSAGE, "ann@a.test")
    entry, octets = await stored(house)
    assert reply == f"250 2.0.0 queued as {entry.id}"
    assert octets.endswith(MESSAGE)
    assert b"from client.test ([192.0.2.7])\r\n\tby mx.a.test with ESMTP\r\n" in octets


async def test_a_pipelined_transaction_is_answered_in_one_write() -> None:
    house = House()
    async with greeted(house.port()) as client:
        client.stream.write(
            b"MAIL FROM:<eve@b.test>\r\nRCPT TO:<ann@a.test>\r\nRCPT TO:<x@a.test>\r\nDATA\r\n"
        )
        replies = [await client.reply() for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["250", "250", "550", "354"]
        assert not client.stream.pending


async def test_chunks_make_one_message() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test> BODY=BINARYMIME", "RCPT TO:<ann@a.test>")
        client.stream.write(b"BDAT 9\r\nSubject: ")
        assert (await client.reply()).startswith("250")
        client.stream.write(b"BDAT 10 LAST\r\nHi\r\n\r\na\nb\0")
        assert (await client.reply()).startswith("250 2.0.0 queued as ")
    entry, octets = await stored(house)
    assert octets.endswith(b"Subject: Hi\r\n\r\na\nb\0")
    assert entry.envelope.body.value == "BINARYMIME"


@pytest.mark.parametrize(
    "content", [b"Subject: Hi\r\n\r\nbare\nline\r\n", b"Subject: Hi\r\n\r\na\r.\r\nb\r\n"]
)
async def test_bare_newlines_are_refused_and_nothing_is_kept(content: bytes) -> None:
    house = House()
    async with greeted(house.port()) as client:
        assert (await client.send(content, "ann@a.test")).startswith("550 5.5.2")
        assert (await client.send(MESSAGE, "ann@a.test")).startswith("250")
    assert len(await house.events(Accepted)) == 1
    [refused] = await house.events(Refused)
    assert (refused.stage, refused.rule, refused.sender) == ("data", "content", "eve@b.test")


class StrictQueue(MemoryQueue):
    """Keeps the drafts that were opened, and how large the pieces were."""

    largest = 0
    error: StorageError | None = None
    kept: list[MemoryDraft]

    def draft(self) -> MemoryDraft:
        queue = self

        class Draft(MemoryDraft):
            async def write(self, octets: bytes) -> None:
                if queue.error is not None:
                    raise queue.error
                queue.largest = max(queue.largest, len(octets))
                await super().write(octets)

        draft = Draft()
        self.kept = [*getattr(self, "kept", []), draft]
        return draft


async def test_a_large_message_is_streamed_in_small_pieces() -> None:
    house = House()
    house.queue = StrictQueue(house.clock, house.journal)
    line = b"x" * 76 + b"\r\n"
    large = MESSAGE + line * 40_000 + b"\xc3\xa4\r\n"
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        for at in range(0, len(large), 65_536):
            client.stream.write(large[at : at + 65_536])
            await client.stream.drain()
        client.stream.write(b".\r\n")
        assert (await client.reply()).startswith("250")
    entry, octets = await stored(house)
    assert octets.endswith(large)
    assert entry.size == len(octets)
    assert entry.eight_bit
    assert house.queue.largest < 2 * 256 * 1024


async def test_a_draft_that_cannot_be_written_is_refused_at_the_end_and_forgotten() -> None:
    house = House()
    house.queue = StrictQueue(house.clock, house.journal)
    house.queue.error = StorageError("no space", is_full=True)
    async with greeted(house.port()) as client:
        reply = await client.send(MESSAGE + b"x\r\n" * 200_000, "ann@a.test")
    assert reply.startswith("452 4.3.1")
    assert [bytes(draft.octets) for draft in house.queue.kept] == [b""]


async def test_a_connection_lost_within_the_content_leaves_nothing() -> None:
    house = House()
    house.queue = StrictQueue(house.clock, house.journal)
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        client.stream.write(MESSAGE + b"x\r\n" * 200_000)
        await client.stream.drain()
    assert await house.events(Accepted) == []
    assert [bytes(draft.octets) for draft in house.queue.kept] == [b""]


async def test_a_header_section_without_end_is_refused() -> None:
    house = House()
    async with greeted(house.port()) as client:
        reply = await client.send(b"X: y\r\n" * 60_000 + b"\r\n", "ann@a.test")
    assert reply.startswith("552 5.3.4")


async def test_a_message_with_too_many_hops_is_a_loop() -> None:
    house = House()
    hops = b"Received: from a by b; Fri, 15 Jan 2027 08:00:00 +0000\r\n" * 51
    async with greeted(house.port()) as client:
        assert (await client.send(hops + MESSAGE, "ann@a.test")).startswith("554 5.4.6")


@pytest.mark.parametrize("role", [Role.MX, Role.LMTP])
async def test_a_message_that_comes_back_is_refused_and_not_bounced(role: Role) -> None:
    house = House()
    async with greeted(house.port(role)) as client:
        reply = await client.send(b"Delivered-To: ann@a.test\r\n" + MESSAGE, "ann@a.test")
        assert reply.startswith("554 5.4.6")
    assert await house.queue.claim(house.clock.now(), 100) == []


async def test_what_is_larger_than_the_limit_is_refused_when_it_is_declared() -> None:
    async with greeted(House().port(max_size=1000)) as client:
        assert (await client.say("MAIL FROM:<eve@b.test> SIZE=1001")).startswith("552 5.3.4")


async def test_lmtp_answers_for_each_recipient_that_it_took() -> None:
    house = House()
    async with greeted(house.port(Role.LMTP), ip="") as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        assert (await client.say("RCPT TO:<nobody@a.test>")).startswith("550 5.1.1")
        await client.say("RCPT TO:<bob@a.test>", "DATA")
        client.stream.write(MESSAGE + b".\r\n")
        first, second = await client.reply(), await client.reply()
    assert first.startswith("250 2.0.0 queued as ")
    assert first == second
    entry, octets = await stored(house)
    assert b" with LMTP\r\n" in octets
    assert len(entry.envelope.recipients) == 2


async def test_starttls_forgets_what_was_said_before() -> None:
    house = House()
    async with greeted(house.port()) as client:
        assert (await client.say("STARTTLS")).startswith("220")
        await client.stream.secure(object())
        assert (await client.say("MAIL FROM:<eve@b.test>")).startswith("503")
        assert "STARTTLS" not in await client.say("EHLO secret.test")
        await client.send(MESSAGE, "ann@a.test")
    _, octets = await stored(house)
    assert b"from secret.test ([192.0.2.7])\r\n\tby mx.a.test with ESMTPS\r\n" in octets
    assert b"tls TLS_AES_256_GCM_SHA384;" in octets


async def test_commands_behind_starttls_are_never_run() -> None:
    house = House()
    async with greeted(house.port()) as client:
        client.stream.write(b"STARTTLS\r\nMAIL FROM:<eve@b.test>\r\n")
        assert (await client.reply())[:3] in {"421", "554"}
        assert await client.reply() == ""


async def test_implicit_tls_comes_before_the_greeting() -> None:
    house = House()
    async with talking(house.port(Role.SUBMISSIONS)) as client:
        await client.stream.secure(object())
        assert (await client.reply()).startswith("220")
        hello = await client.say("EHLO client.test")
        assert "STARTTLS" not in hello
        assert "AUTH " in hello


async def test_a_crowd_is_turned_away_with_421() -> None:
    house = House()
    async with talking(house.port(), crowd=Crowd.PER_IP) as client:
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.reply() == ""
    [refused] = await house.events(Refused)
    assert (refused.stage, refused.ip) == ("connect", "192.0.2.7")


async def test_a_rule_may_end_the_connection() -> None:
    house = House(rules=RuleSettings(max_unknown=2))
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>")
        replies = [await client.say(f"RCPT TO:<guess{n}@a.test>") for n in range(3)]
        assert [reply[:3] for reply in replies] == ["550", "550", "421"]
        assert await client.reply() == ""
    refused = await house.events(Refused)
    assert [event.address for event in refused] == [f"guess{n}@a.test" for n in range(3)]


@pytest.mark.parametrize("again", ["ann@a.test", "ANN@a.test", "ann+{n}@a.test"])
async def test_naming_one_user_often_earns_no_more_guesses(again: str) -> None:
    house = House(rules=RuleSettings(max_unknown=2))
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>")
        for n in range(10):
            # Directories that know details and capitals find the one user under all of these.
            house.residents.move_in(again.format(n=n))
            reply = await client.say(f"RCPT TO:<{again.format(n=n)}>")
            assert reply.startswith("250")
        replies = [await client.say(f"RCPT TO:<guess{n}@a.test>") for n in range(3)]
        assert [reply[:3] for reply in replies] == ["550", "550", "421"]


async def test_what_a_list_found_counts_for_the_whole_session() -> None:
    house = House(rules=RuleSettings(max_unknown=2))
    for n in range(4):
        house.residents.move_in(f"user{n}@a.test")
    async with greeted(house.port()) as client:
        for n in range(4):
            reply = await client.send(MESSAGE, f"user{n}@a.test")
            assert "queued as" in reply
        await client.say("MAIL FROM:<eve@b.test>")
        replies = [await client.say(f"RCPT TO:<stale{n}@a.test>") for n in range(5)]
        assert [reply[:3] for reply in replies] == ["550"] * 4 + ["421"]


async def test_guesses_before_tls_are_not_forgotten() -> None:
    house = House(rules=RuleSettings(max_unknown=2))
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<x@a.test>", "RCPT TO:<y@a.test>")
        await client.say("RSET")
        await client.start_tls()
        await client.say("MAIL FROM:<eve@b.test>")
        assert (await client.say("RCPT TO:<z@a.test>")).startswith("421")


async def test_vrfy_and_expn_tell_nothing() -> None:
    async with greeted(House().port()) as client:
        known, unknown = await client.say("VRFY ann@a.test"), await client.say("VRFY x@a.test")
        assert known == unknown
        assert known.startswith("252")
        assert (await client.say("EXPN sales@a.test")).startswith("502")


async def test_idle_commands_do_not_hold_a_slot_for_ever() -> None:
    async with greeted(House().port(idle_commands=3)) as client:
        replies = [await client.say("NOOP") for _ in range(3)]
        assert [reply[:3] for reply in replies] == ["250", "250", "421"]


async def test_whoever_is_refused_again_and_again_gets_no_mail_further_either() -> None:
    async with greeted(House().port(Role.SUBMISSION, idle_commands=3)) as client:
        replies = [await client.say("MAIL FROM:<eve@b.test>") for _ in range(3)]
        assert [reply[:3] for reply in replies] == ["530", "530", "421"]
    async with greeted(House().port(idle_commands=3)) as client:
        await client.say("MAIL FROM:<eve@b.test>")
        replies = [await client.say("RCPT TO:<x@c.test>") for _ in range(3)]
        assert [reply[:3] for reply in replies] == ["550", "550", "421"]


async def test_mail_that_is_refused_gets_no_mail_further_either() -> None:
    looping = b"Delivered-To: ann@a.test\r\n" + MESSAGE
    async with greeted(House().port(idle_commands=3)) as client:
        for _ in range(2):
            assert (await client.send(looping, "ann@a.test")).startswith("554 5.4.6")
        assert "queued as" in await client.send(MESSAGE, "ann@a.test")
        for _ in range(4):
            assert (await client.send(looping, "ann@a.test")).startswith("554 5.4.6")
        assert await client.reply() == "", "the last was judged, and the session ended"


async def test_mail_that_is_refused_for_now_is_no_fault_of_the_client() -> None:
    house = House()
    house.queue = StrictQueue(house.clock, house.journal)
    house.queue.error = StorageError("no space", is_full=True)
    async with greeted(house.port(idle_commands=3)) as client:
        for _ in range(5):
            reply = await client.send(MESSAGE + b"x\r\n" * 200_000, "ann@a.test")
            assert reply.startswith("452 4.3.1")


async def test_chunks_of_nothing_do_not_hold_a_slot_either() -> None:
    async with greeted(House().port(idle_commands=3)) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        replies = [await client.say("BDAT 0") for _ in range(3)]
        assert [reply[:3] for reply in replies] == ["250", "250", "421"]


async def test_quit_is_answered_and_closes() -> None:
    async with greeted(House().port()) as client:
        assert (await client.say("QUIT")).startswith("221")
        assert await client.reply() == ""


async def drip(client: Talker, house: House, octet: bytes, seconds: float, times: int) -> None:
    """Send one octet every so many seconds."""
    for _ in range(times):
        client.stream.write(octet)
        await house.clock.advance(seconds)


async def test_silence_ends_in_421_after_five_minutes() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await house.clock.advance(299)
        assert not client.stream.pending
        await house.clock.advance(2)
        assert (await client.reply()).startswith("421 4.4.2")


async def test_a_command_that_drips_in_ends_after_five_minutes() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await drip(client, house, b"X", 60, 6)
        assert (await client.reply()).startswith("421 4.4.2")


async def test_content_that_drips_in_ends_though_it_never_stops() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        await drip(client, house, b"X\r\n", 60, 7)
        assert (await client.reply()).startswith("421 4.4.2")
    assert await house.events(Accepted) == []


async def test_patience_is_short_when_slots_are() -> None:
    house = House()
    async with greeted(house.port(connections=1)) as client:
        await house.clock.advance(11)
        assert (await client.reply()).startswith("421 4.4.2")


async def test_shutdown_ends_an_idle_session_and_lets_a_transaction_finish() -> None:
    house = House()
    port = house.port()
    async with greeted(port) as idle, greeted(port) as busy:
        await busy.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "DATA")
        waiting = asyncio.ensure_future(busy.reply())
        port.stop()
        busy.stream.write(MESSAGE + b".\r\n")
        assert (await waiting).startswith("250 2.0.0 queued as ")
        assert (await busy.say("MAIL FROM:<eve@b.test>")).startswith("421 4.3.2")
        await house.clock.advance(1)
        assert (await idle.reply()).startswith("421 4.3.2")


async def test_what_a_client_asks_of_the_transport_is_kept() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say(
            "MAIL FROM:<eve@b.test> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb BY=600;N"
        )
        await client.say("RCPT TO:<ann@a.test> NOTIFY=SUCCESS ORCPT=rfc822;x@c.test", "DATA")
        client.stream.write(MESSAGE + b".\r\n")
        await client.reply()
    entry, octets = await stored(house)
    envelope = entry.envelope
    assert envelope.smtputf8
    assert envelope.envelope_id == "a+b"
    assert envelope.deliver_by
    assert envelope.deliver_by.deadline == house.clock.now() + 600
    [recipient] = envelope.recipients
    assert recipient.original == "rfc822;x@c.test"
    assert recipient.named_notify
    assert b" with UTF8SMTP\r\n" in octets


async def test_a_stranger_cannot_push_ahead() -> None:
    house = House()
    async with greeted(house.port()) as client:
        reply = await client.say("MAIL FROM:<eve@b.test> MT-PRIORITY=9")
        assert reply.startswith("250 2.3.6 0 ")
        await client.say("RCPT TO:<ann@a.test>", "DATA")
        client.stream.write(MESSAGE + b".\r\n")
        await client.reply()
    assert (await stored(house))[0].envelope.priority == 0


@pytest.mark.parametrize(("said", "trusted"), [(-4, ()), (4, networks("192.0.2.0/24"))])
async def test_whoever_may_ask_for_a_priority_gets_it(
    said: int, trusted: tuple[Network, ...]
) -> None:
    house = House()
    async with greeted(house.port(trusted=trusted)) as client:
        reply = await client.say(f"MAIL FROM:<eve@b.test> MT-PRIORITY={said}")
        assert reply.startswith("250 2.1.0 ")
        await client.say("RCPT TO:<ann@a.test>", "DATA")
        client.stream.write(MESSAGE + b".\r\n")
        await client.reply()
    assert (await stored(house))[0].envelope.priority == said


async def test_future_release_is_for_submission() -> None:
    house = House()
    async with greeted(house.port()) as client:
        assert (await client.say("MAIL FROM:<eve@b.test> HOLDFOR=60")).startswith("5")


async def test_helo_is_plain_smtp() -> None:
    house = House()
    async with talking(house.port()) as client:
        await client.reply()
        assert await client.say("HELO old.test") == "250 mx.a.test"
        await client.send(MESSAGE, "ann@a.test")
    _, octets = await stored(house)
    assert b"from old.test ([192.0.2.7])\r\n\tby mx.a.test with SMTP\r\n" in octets


@pytest.mark.parametrize("group", [b"DATA\r\nSubject: Hi\r\n\r\n.\r\n", b"EHLO a.test\r\nNOOP\r\n"])
async def test_who_speaks_where_it_must_wait_is_cut_off(group: bytes) -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        client.stream.write(group)
        assert (await client.reply())[:3] in {"421", "554"}
        assert await client.reply() == ""
    assert await house.events(Accepted) == []


async def test_rset_forgets_the_transaction() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>", "RSET")
        await client.send(MESSAGE, "bob@a.test")
    [accepted] = await house.events(Accepted)
    assert accepted.recipients == ("bob@a.test",)


async def test_a_link_local_peer_is_known_without_our_name_for_its_network() -> None:
    house = House()
    async with greeted(house.port(), "fe80::1%eth0") as client:
        await client.send(MESSAGE, "ann@a.test")
    _, octets = await stored(house)
    assert b"([IPv6:fe80::1])" in octets


async def test_a_strangers_connections_are_limited_by_the_minute() -> None:
    limits = LimitSettings(connections_per_minute=1)
    port = House(rules=RuleSettings(limits)).port()
    async with greeted(port):
        pass
    async with talking(port) as client:
        assert (await client.reply()).startswith("421 4.7.0")
    async with greeted(port, "198.51.100.1"):
        pass


async def test_a_port_that_stops_greets_nobody() -> None:
    port = House().port()
    port.stop()
    async with talking(port) as client:
        assert (await client.reply()).startswith("421 4.3.2")


async def test_a_flaw_in_a_chunk_ends_the_transaction_at_once() -> None:
    async with greeted(House().port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        client.stream.write(b"BDAT 4\r\na\nb\n")
        assert (await client.reply()).startswith("550 5.5.2")
        assert (await client.say("MAIL FROM:<eve@b.test>")).startswith("250")


async def test_chunks_that_cannot_be_stored_are_refused_when_that_is_known() -> None:
    house = House()
    house.queue = StrictQueue(house.clock, house.journal)
    house.queue.error = StorageError("broken")
    async with greeted(house.port()) as client:
        await client.say("MAIL FROM:<eve@b.test>", "RCPT TO:<ann@a.test>")
        client.stream.write(b"BDAT 300000\r\n" + b"x\r\n" * 100_000)
        assert (await client.reply()).startswith("451 4.3.0")


async def test_without_a_certificate_no_tls_is_offered() -> None:
    house = House()
    port = Port(PortSettings(Role.MX, "mx.a.test"), house.intake(), house.clock)
    async with talking(port) as client:
        await client.reply()
        assert "STARTTLS" not in await client.say("EHLO client.test")
        assert (await client.say("STARTTLS"))[:1] == "5"


async def test_help_is_given() -> None:
    async with greeted(House().port()) as client:
        assert (await client.say("HELP")).startswith("214")


class BrokenQueue(MemoryQueue):
    """Has a defect."""

    async def put(self, *_: object, **__: object) -> None:
        raise ZeroDivisionError


async def test_a_defect_here_is_told_as_a_temporary_end_and_passed_on() -> None:
    house = House()
    house.queue = BrokenQueue(house.clock, house.journal)
    ours, theirs = stream_pair(house.clock)
    arrival = Arrival(cast(Connection, ours), ours.peer, ours.local)
    serving = asyncio.ensure_future(house.port().serve(arrival))
    client = Talker(theirs, house.clock)
    await client.reply()
    await client.say("EHLO client.test")
    assert await client.send(MESSAGE, "ann@a.test") == "421 4.3.0 mx.a.test Local error, closing"
    with pytest.raises(ZeroDivisionError):
        await serving
