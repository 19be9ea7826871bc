"""One connection from its first octet to its last, with servers that do as they should."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trustme
from msgspec import structs

from merpati.delivery.backing import UNBACKED, Backing, StsMode
from merpati.delivery.conversation import Conversation
from merpati.delivery.dane import Tlsa, Tlsas
from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import RecipientLimit, SiteMemory, Waive
from merpati.delivery.outcome import Outcome, Result
from merpati.delivery.transaction import Host, Switches, TlsDemand, Transaction, Way
from merpati.diagnosis.own_words import cause_of
from merpati.diagnosis.replies import Refusal, Stage
from merpati.errors import MerpatiError
from merpati.mail.envelope import Body, DeliverBy, Notify, Recipient
from merpati.mail.trace import Tls
from merpati.queue.entry import State, Waiting
from merpati.smtp.rung import Rung
from merpati.storage.errors import StorageError
from merpati.testing import broken
from merpati.testing.conversations import WAY, ListSource, Scene, a_message
from merpati.testing.pipes import HIGH_MARK, PipeStream, every, octet_by_octet, whole
from merpati.testing.plain_server import HangUp, PlainServer
from merpati.wire.errors import CertificateError, TlsError, WireRefused
from merpati.wire.stream import Stream

D, F, L, U, X = (
    Result.DELIVERED,
    Result.FAILED,
    Result.DEFERRED,
    Result.UNTOUCHED,
    Result.UNKNOWN,
)
MIB = 1024 * 1024


def offering(*offers: str) -> type[PlainServer]:
    return type("Server", (PlainServer,), {"offers": offers})


def outcome_of(scene: Scene, n: int = 1) -> Outcome:
    (outcome,) = scene.source.outcomes[a_message(n).entry.id]
    return outcome


@pytest.mark.parametrize("offers", [(), ("CHUNKING",)])
@pytest.mark.parametrize("size", [19, 2 * MIB])
async def test_what_goes_on_top_of_a_message_leaves_with_it(
    offers: tuple[str, ...], size: int
) -> None:
    scene = Scene(server=offering("PIPELINING", "SIZE", *offers))
    body = b"Subject: hi\r\n\r\n" + b"x" * (size - 17) + b"\r\n"
    top = b"DKIM-Signature: v=1\r\n"
    signed = [structs.replace(a_message(n, body=body), top=top) for n in (1, 2)]
    await scene.play(*signed)
    assert [one.content for one in scene.ledger.received] == [top + body] * 2
    assert f"MAIL FROM:<eve@b.test> SIZE={len(top + body)}" in scene.ledger.commands


async def test_what_is_told_of_a_delivery() -> None:
    scene = Scene()
    await scene.play(a_message(1))
    outcome = outcome_of(scene)
    assert (outcome.reply, outcome.status) == ("250 2.0.0 queued", "2.0.0")
    assert outcome.attempt is not None
    assert [(one.sent, one.reply) for one in outcome.attempt.dialogue] == [
        ("MAIL FROM:<eve@b.test> SIZE=19", "250 2.1.0 sender ok"),
        ("RCPT TO:<bob1@b.test>", "250 2.1.5 recipient ok"),
        ("BDAT 19 LAST", "250 2.0.0 queued"),
    ]
    assert outcome.attempt.connection == scene.opening.connection
    assert (outcome.attempt.host, outcome.attempt.ip) == ("mx.b.test", "192.0.2.1")


async def test_what_is_noted_of_the_opening() -> None:
    scene = Scene()
    await scene.play()
    opening = scene.opening
    assert (opening.site, opening.host, opening.ip, opening.port) == (
        "b.test",
        "mx.b.test",
        "192.0.2.1",
        25,
    )
    assert (opening.tls, opening.verified, opening.error) == ("", False, "")
    assert [one.sent for one in opening.dialogue] == ["", "EHLO"]


@pytest.mark.parametrize("split", [whole, octet_by_octet, every(7)])
@pytest.mark.parametrize("rung", list(Rung))
async def test_every_rung_delivers_the_same(rung: Rung, split: object) -> None:
    scene = Scene(memory=SiteMemory(rung), split=split)  # type: ignore[arg-type]  # of the three
    body = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n"
    await scene.play(*[a_message(n, body=body) for n in range(3)], a_message(3, "no@b.test"))
    assert scene.source.results() == [[D]] * 3 + [[F]]
    assert [one.content for one in scene.ledger.received] == [body] * 3
    assert ("BDAT" in scene.ledger.verbs()) == (rung is Rung.BDAT_LOOKAHEAD)
    assert ("DATA" in scene.ledger.verbs()) == (rung is not Rung.BDAT_LOOKAHEAD)


async def test_lookahead_is_one_write_a_message() -> None:
    scene = Scene()
    await scene.play(*[a_message(n) for n in range(10)])
    # EHLO, the first envelope, ten bodies with what stands behind them, QUIT.
    assert len(scene.ledger.segments) == 1 + 1 + 10 + 1
    assert scene.ledger.segments[2].startswith(b"BDAT 19 LAST\r\nSubject")
    assert b"\r\nRSET\r\nMAIL FROM:<eve@b.test> SIZE=19\r\nRCPT TO:" in scene.ledger.segments[2]


async def test_data_lookahead_is_one_write_a_message_too() -> None:
    scene = Scene(memory=SiteMemory(Rung.DATA_LOOKAHEAD))
    await scene.play(*[a_message(n) for n in range(10)])
    assert len(scene.ledger.segments) == 1 + 1 + 10 + 1
    assert scene.ledger.segments[2].endswith(b"DATA\r\n")


@pytest.mark.parametrize(
    ("rung", "each"), [(Rung.NO_LOOKAHEAD, 2), (Rung.LOCKSTEP, 5), (Rung.HELO, 5)]
)
async def test_the_plainer_the_more_writes(rung: Rung, each: int) -> None:
    scene = Scene(memory=SiteMemory(rung))
    await scene.play(*[a_message(n) for n in range(10)])
    first = each - 1 if each == 5 else each  # no RSET
    assert len(scene.ledger.segments) == 1 + first + 9 * each + 1


async def test_a_large_body_goes_alone_and_in_bounded_memory() -> None:
    seen: list[int] = []
    pulled: list[int] = []

    def large() -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(64):
                seen.append(scene.clock.streams[1].pending)
                pulled.append(1)
                yield (b"x" * 62 + b"\r\n") * 1024

        return pieces()

    scene = Scene()
    first = a_message(1, size=4 * MIB)
    await scene.play(Transaction(first.entry, first.recipients, large), a_message(2))
    assert scene.source.results() == [[D], [D]]
    assert len(scene.ledger.received[0].content) == 4 * MIB
    assert len(pulled) == 64
    assert max(seen) <= HIGH_MARK + 256 * 1024
    # Nothing stood behind it: the server had answered before RSET came.
    (behind,) = [one for one in scene.ledger.segments if b"RSET" in one]
    assert behind.startswith(b"RSET\r\n")


async def test_a_body_of_large_parts_is_cut() -> None:
    body = (b"x" * 62 + b"\r\n") * (2 * MIB // 64)
    scene = Scene()
    await scene.play(a_message(1, body=body))
    assert scene.source.results() == [[D]]
    assert max(map(len, scene.ledger.segments)) <= 256 * 1024 + 100


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
@pytest.mark.parametrize("size", [19, 2 * MIB])
async def test_the_permit_is_there_before_the_final_octets_leave(rung: Rung, size: int) -> None:
    scene = Scene(memory=SiteMemory(rung))
    body = (b"x" * 62 + b"\r\n") * (size // 64) + b"the very end\r\n"
    message = a_message(1, body=body)
    half = len(body) // 2
    parts = Transaction(message.entry, message.recipients, Body((body[:half], body[half:])))
    scene.source = source = ListSource(scene.clock, [parts])
    source.permits = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:

        async def watch() -> None:
            while not source.taken:
                await asyncio.sleep(0)
            for _ in range(500):
                await asyncio.sleep(0)
            so_far = b"".join(scene.ledger.segments)
            assert b"the very end" not in so_far
            assert scene.ledger.received == []
            source.permits.release()

        group.create_task(watch())
        end = await scene.during(lambda conversation: conversation.run(source))
    assert end is not None
    assert source.results() == [[D]]
    assert source.permits_taken == 1


async def test_no_permit_is_taken_for_who_is_refused() -> None:
    scene = Scene()
    await scene.play(a_message(1, "no@b.test"))
    assert scene.source.permits_taken == 0


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_cancelled_in_flight_is_doubt(rung: Rung) -> None:
    scene = Scene(type("Server", (PlainServer,), {"take": _never}), memory=SiteMemory(rung))
    scene.source = source = ListSource(scene.clock, [a_message(1), a_message(2), a_message(3)])

    async def run_and_cancel() -> None:
        task = asyncio.create_task(conversation.run(source))
        while len(source.taken) < 2:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with asyncio.TaskGroup() as scene.servers:
        conversation = scene.conversation()
        assert await conversation.open() is None
        await run_and_cancel()
    assert source.results() == [[X], [U]]


async def _never(server: PlainServer, content: bytes) -> None:
    await server.silence()


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    scene = Scene()
    end = await scene.play(a_message(1))
    assert end == End(Ending.IDLE, transactions=1)
    assert 5 <= scene.clock.monotonic() < 10
    assert scene.ledger.verbs()[-1] == "QUIT"


async def test_an_old_connection_is_closed_though_there_is_work() -> None:
    class Slow(PlainServer):
        async def take(self, content: bytes) -> None:
            await scene.clock.sleep(40)
            await super().take(content)

    scene = Scene(Slow)
    end = await scene.play(*[a_message(n) for n in range(20)])
    assert end is not None
    assert end.ending is Ending.AGE
    assert scene.ledger.verbs()[-1] == "QUIT"
    assert scene.source.results() == [[D]] * len(scene.source.taken)
    assert 300 < scene.clock.monotonic() < 400


@pytest.mark.parametrize(
    ("reply", "resets"), [("421 4.4.2 idle too long", False), ("421 bye", True), (None, False)]
)
async def test_a_server_that_closes_an_idle_connection_uses_up_no_attempt(
    reply: str | None, resets: bool
) -> None:
    class Impatient(PlainServer):
        async def quit(self, line: str) -> None:
            raise AssertionError("it had gone")

    scene = Scene(Impatient)
    scene.source = source = ListSource(scene.clock, [a_message(1)])

    async def run(conversation: Conversation) -> End:
        task = asyncio.create_task(conversation.run(source))
        while not source.outcomes:
            await asyncio.sleep(0)
        theirs = scene.clock.streams[1]
        if reply is not None:
            theirs.write(f"{reply}\r\n".encode())
        if resets:
            theirs.abort()
        await theirs.close()
        source.waiting.append(a_message(2))
        return await task

    end = await scene.during(run)
    assert end is not None
    assert end.ending is Ending.IDLE
    assert source.results()[1:] in ([], [[U]])
    assert scene.lessons == []


@pytest.mark.parametrize(
    ("limits", "memory"),
    [("LIMITS MAILMAX=3", SiteMemory()), ("X", SiteMemory(max_messages=3))],
)
async def test_no_more_messages_than_a_connection_takes(limits: str, memory: SiteMemory) -> None:
    scene = Scene(offering("PIPELINING", "CHUNKING", limits), memory=memory)
    # RFC 9422 §4.1: a refused one counts.
    end = await scene.play(
        a_message(1), a_message(2, "no@b.test"), *[a_message(n) for n in range(3, 6)]
    )
    assert end is not None
    assert end.ending is Ending.QUOTA
    assert scene.ledger.verbs().count("MAIL") == 3
    assert scene.source.results() == [[D], [F], [D]]
    assert scene.ledger.verbs()[-1] == "QUIT"


async def test_no_more_recipients_than_a_transaction_takes() -> None:
    scene = Scene(offering("PIPELINING", "CHUNKING", "LIMITS RCPTMAX=2"))
    await scene.play(a_message(1, *[f"{name}@b.test" for name in "abc"]))
    assert scene.source.results() == [[D, D, U]]
    assert scene.ledger.verbs().count("RCPT") == 2
    assert scene.lessons == [RecipientLimit(2)]


async def test_recipients_are_judged_each_by_its_own_reply() -> None:
    scene = Scene()
    await scene.play(a_message(1, "a@b.test", "no@b.test", "later@b.test"))
    assert scene.source.results() == [[D, F, L]]
    outcomes = scene.source.outcomes[a_message(1).entry.id]
    assert [one.cause for one in outcomes] == ["", "unknown-user", "server-error"]
    assert scene.ledger.received[0].recipients == ("a@b.test",)


async def test_lmtp_delivers_to_some() -> None:
    class Lmtp(PlainServer):
        lmtp = True
        offers = ("PIPELINING", "CHUNKING")

    scene = Scene(Lmtp, replace(WAY, lmtp=True))
    await scene.play(a_message(1, "a@b.test", "no@b.test", "full@b.test", "d@b.test"), a_message(2))
    assert scene.source.results() == [[D, F, L, D], [D]]
    assert scene.ledger.verbs()[0] == "LHLO"
    assert "BDAT" not in scene.ledger.verbs()
    assert scene.opening.dialogue[1].sent == "LHLO"


async def test_a_refused_message_does_not_stop_the_next() -> None:
    scene = Scene(memory=SiteMemory(Rung.DATA_LOOKAHEAD))
    await scene.play(a_message(1, body=b"Subject: spam\r\n\r\n"), a_message(2))
    assert scene.source.results() == [[F], [D]]
    assert outcome_of(scene).cause in ("spam-content", "content-refused")


async def test_after_a_refused_chunk_the_connection_is_not_trusted() -> None:
    scene = Scene()
    end = await scene.play(a_message(1, body=b"Subject: spam\r\n\r\n"), a_message(2))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert scene.source.results() == [[F], [U]]
    assert scene.lessons == []


@pytest.mark.parametrize(
    ("offers", "changes", "status"),
    [
        (("SIZE 10",), {}, "5.3.4"),
        (("PIPELINING",), {"utf8_headers": True}, "5.6.7"),
    ],
)
async def test_what_a_server_cannot_have_is_not_sent(
    offers: tuple[str, ...], changes: dict[str, object], status: str
) -> None:
    scene = Scene(offering(*offers))
    await scene.play(a_message(1, **changes))
    assert scene.source.results() == [[F]]
    assert outcome_of(scene).status == status
    assert "MAIL" not in scene.ledger.verbs()


async def test_eight_bit_content_goes_to_who_does_not_offer_it() -> None:
    scene = Scene(offering("PIPELINING"))
    await scene.play(a_message(1, eight_bit=True))
    assert scene.source.results() == [[D]]


async def test_an_extension_that_the_operator_rules_out_is_not_used() -> None:
    switches = Switches(ehlo_ignore=frozenset({"CHUNKING", "SIZE"}))
    scene = Scene(offering("PIPELINING", "CHUNKING", "SIZE"), replace(WAY, switches=switches))
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    said = " ".join(scene.ledger.commands)
    assert "BDAT" not in said
    assert "SIZE=" not in said


async def test_deliver_by_is_passed_on_as_what_is_left() -> None:
    scene = Scene(offering("PIPELINING", "DELIVERBY"))
    message = a_message(1)
    by = DeliverBy(scene.clock.now() + 100, must_return=True)
    envelope = structs.replace(message.entry.envelope, deliver_by=by)
    await scene.play(a_message(1, envelope=envelope))
    assert scene.source.results() == [[D]]
    assert any(line.endswith("BY=100;R") for line in scene.ledger.commands)


@pytest.mark.parametrize("offers", [("PIPELINING",), ("DELIVERBY",)])
async def test_a_host_that_does_not_know_of_deadlines_is_remembered(offers: tuple[str]) -> None:
    scene = Scene(offering(*offers))
    message = a_message(1)
    wish = DeliverBy(scene.clock.now() + 100, must_return=False)
    envelope = structs.replace(message.entry.envelope, deliver_by=wish)
    await scene.play(a_message(1, envelope=envelope))
    assert outcome_of(scene).result is D
    assert outcome_of(scene).relayed_without_deadline is ("DELIVERBY" not in offers)


async def test_a_success_notice_is_ours_to_send_where_dsn_is_not_offered() -> None:
    for offers, ours in ((("DSN",), False), (("PIPELINING",), True)):
        scene = Scene(offering(*offers))
        message = a_message(1)
        address = message.recipients[0].recipient.address
        recipient = Recipient(address, Notify.SUCCESS, named_notify=True)
        wished = structs.replace(message, recipients=(Waiting(0, recipient, State.IN_HAND, 0.0),))
        await scene.play(wished)
        assert outcome_of(scene).relayed_without_dsn is ours
        assert any("NOTIFY=SUCCESS" in line for line in scene.ledger.commands) is not ours


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\r", b"\0\r\n"])
@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_content_that_must_not_leave_is_given_up(body: bytes, rung: Rung) -> None:
    scene = Scene(memory=SiteMemory(rung))
    end = await scene.play(a_message(1, body=body), a_message(2))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert scene.source.results() == [[F]]
    assert scene.ledger.received == []


async def test_content_that_cannot_be_read_is_tried_later() -> None:
    async def unreadable() -> AsyncIterator[bytes]:
        raise StorageError("the disk is sick")
        yield b""

    scene = Scene()
    message = a_message(1)
    end = await scene.play(Transaction(message.entry, message.recipients, unreadable))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert scene.source.results() == [[L]]


@pytest.mark.parametrize("size", [64 * 1024, 4 * MIB])
@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_damaged_content_is_never_sent_to_its_end(rung: Rung, size: int) -> None:
    async def damaged() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield (b"x" * 62 + b"\r\n") * (size // 128)
        raise StorageError("its checksum does not match", is_damaged=True)

    scene = Scene(memory=SiteMemory(rung))
    message = a_message(1, size=size)
    end = await scene.play(Transaction(message.entry, message.recipients, damaged))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert (outcome_of(scene).result, outcome_of(scene).cause) == (Result.DAMAGED, "damaged-here")
    assert scene.ledger.received == []


async def test_a_size_that_does_not_hold_is_our_defect_and_no_fault_of_the_message() -> None:
    scene = Scene()
    await scene.play(a_message(1, size=5))
    assert scene.source.results() == [[L]]
    assert outcome_of(scene).cause == "delivery-defect"


async def test_small_content_is_streamed_from_the_queue_in_one_write() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"Subject: hi\r\n"
        yield b"\r\nhi\r\n"

    scene = Scene()
    message = a_message(1)
    await scene.play(Transaction(message.entry, message.recipients, pieces))
    assert scene.source.results() == [[D]]
    assert len(scene.ledger.segments) == 4


async def test_nobody_answers_the_dial() -> None:
    scene = Scene(refuses=WireRefused("the connection was refused"))
    assert await scene.play(a_message(1)) is None
    assert scene.opened == End(Ending.UNREACHABLE, "the connection was refused", Stage.CONNECT)
    assert scene.opening.error == "the connection was refused"


async def test_a_server_without_a_greeting() -> None:
    class Mute(PlainServer):
        async def greet(self) -> None:
            await self.silence()

    scene = Scene(Mute)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.UNREACHABLE
    assert scene.clock.monotonic() == pytest.approx(300)


async def test_silence_to_mail_is_no_verdict() -> None:
    class Mute(PlainServer):
        async def mail(self, line: str) -> None:
            await self.silence()

    scene = Scene(Mute)
    end = await scene.play(a_message(1))
    assert end is not None
    assert (end.ending, end.stage) == (Ending.LOST, Stage.MAIL)
    assert scene.source.results() == [[U]]


async def test_helo_where_ehlo_is_not_known() -> None:
    class Old(PlainServer):
        async def hello(self, line: str) -> None:
            self.say("250 mx.b.test" if line.startswith("HELO") else "500 what?")

    scene = Scene(Old)
    await scene.play(a_message(1), a_message(2))
    assert scene.source.results() == [[D], [D]]
    assert scene.ledger.verbs()[:3] == ["EHLO", "HELO", "MAIL"]
    assert scene.ledger.commands[2] == "MAIL FROM:<eve@b.test>"


async def test_a_refused_hello_turns_away() -> None:
    class Strict(PlainServer):
        async def hello(self, line: str) -> None:
            self.say("554 5.7.1 your address is listed at a block list")

    scene = Scene(Strict)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.meaning is not None
    assert (scene.opened.ending, scene.opened.meaning.refusal) == (
        Ending.TURNED_AWAY,
        Refusal.REPUTATION,
    )


async def test_tls_is_used_where_it_is_offered() -> None:
    scene = Scene(offering("STARTTLS", "PIPELINING"), replace(WAY, tls=TlsDemand.OPPORTUNISTIC))
    end = await scene.play(a_message(1))
    assert end is not None
    assert scene.ledger.verbs()[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert scene.opening.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    attempt = outcome_of(scene).attempt
    assert attempt is not None
    assert attempt.tls == scene.opening.tls
    assert scene.clock.monotonic() >= 15  # It idles longer: a handshake is dear.


async def test_implicit_tls_comes_before_the_greeting() -> None:
    class Secure(PlainServer):
        async def greet(self) -> None:
            await self.stream.secure(None)
            await super().greet()

    scene = Scene(Secure, replace(WAY, tls=TlsDemand.REQUIRED, implicit_tls=True))
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    assert scene.streams[0].server_name == "mx.b.test"


@pytest.mark.parametrize("reply", ["454 4.7.0 no", "502 no"])
async def test_refused_starttls_is_borne_where_tls_is_a_wish(reply: str) -> None:
    class NoTls(PlainServer):
        offers = ("STARTTLS", "PIPELINING")

        async def starttls(self, line: str) -> None:
            self.say(reply)

    scene = Scene(NoTls, replace(WAY, tls=TlsDemand.OPPORTUNISTIC))
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    scene = Scene(NoTls, replace(WAY, tls=TlsDemand.REQUIRED))
    assert await scene.play(a_message(1)) is None
    assert scene.opened == End(Ending.TLS_FAILED, reply, Stage.STARTTLS)
    assert scene.opened.connection == scene.opening.connection


async def test_421_to_starttls_turns_away() -> None:
    class Busy(PlainServer):
        offers = ("STARTTLS",)

        async def starttls(self, line: str) -> None:
            self.say("421 4.7.0 busy")

    scene = Scene(Busy, replace(WAY, tls=TlsDemand.OPPORTUNISTIC))
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.TURNED_AWAY


@pytest.mark.parametrize("demand", [TlsDemand.REQUIRED, TlsDemand.OPPORTUNISTIC])
async def test_a_bad_certificate(demand: TlsDemand) -> None:
    def spoil(stream: PipeStream) -> None:
        stream.tls_error = CertificateError("the certificate was not accepted: expired")

    scene = Scene(offering("STARTTLS"), replace(WAY, tls=demand), prepare=spoil)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert (scene.opened.ending, scene.opened.stage) == (Ending.TLS_FAILED, Stage.STARTTLS)
    plain = [one for one in scene.lessons if isinstance(one, Waive)]
    assert bool(plain) is (demand is TlsDemand.OPPORTUNISTIC)


WISHING = replace(WAY, tls=TlsDemand.OPPORTUNISTIC)
TLSAS = Tlsas("end.test", (Tlsa(3, 0, 0, b"not what it shows"),))


async def test_dane_takes_no_missing_starttls_and_no_other_certificate() -> None:
    scene = Scene(PlainServer, WISHING, tlsa=TLSAS)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.TLS_FAILED
    assert cause_of(scene.opened.why) == "policy-needs-tls"
    scene = Scene(offering("STARTTLS"), WISHING, tlsa=TLSAS)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert cause_of(scene.opened.why) == "tlsa-mismatch"
    assert scene.streams[0].server_name == "end.test"
    assert scene.lessons == []
    assert (scene.opening.policy, scene.opening.proof, scene.opening.tls[:3]) == ("dane", "", "TLS")


async def test_unusable_tlsa_records_encrypt_and_say_that_nothing_was_proved() -> None:
    scene = Scene(offering("STARTTLS"), WISHING, tlsa=Tlsas("end.test", ()))
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    assert (scene.opening.policy, scene.opening.proof, scene.opening.verified) == (
        "dane",
        "",
        False,
    )


def policies(scene: Scene) -> list[str]:
    """Of the attempts, in order."""
    told = [one for outcomes in scene.source.outcomes.values() for one in outcomes]
    return [one.attempt.policy for one in told if one.attempt]


async def test_who_waives_tls_has_decided_and_others_on_the_connection_have_not() -> None:
    scene = Scene(PlainServer, WISHING)
    await scene.play(a_message(1), a_message(2, waives_tls=True), a_message(3))
    assert policies(scene) == ["opportunistic", "waived", "opportunistic"]
    scene = Scene(offering("STARTTLS"), replace(WAY, tls=TlsDemand.REQUIRED), prepare=_showing)
    await scene.play(a_message(1, waives_tls=True))
    assert policies(scene) == ["required"], "a route's own demand is no domain's"


async def test_broken_implicit_tls_is_never_given_up() -> None:
    def spoil(stream: PipeStream) -> None:
        stream.tls_error = TlsError("TLS failed: wrong version number")

    way = replace(WAY, tls=TlsDemand.OPPORTUNISTIC, implicit_tls=True)
    scene = Scene(PlainServer, way, prepare=spoil)
    assert await scene.play(a_message(1)) is None
    assert scene.lessons == []
    assert scene.opened is not None
    assert scene.opened.ending is Ending.TLS_FAILED


class Login(PlainServer):
    offers = ("PIPELINING", "AUTH PLAIN LOGIN", "STARTTLS")
    reply = "235 2.7.0 welcome"

    async def command(self, line: str) -> None:
        if line.startswith("AUTH"):
            self.ledger.commands.append(line)
            self.say(self.reply)
        else:
            await super().command(line)


def with_login(**changes: object) -> Way:
    way = replace(WAY, username="ann@a.test", password="pencil-and-paper")
    return replace(way, **changes)  # type: ignore[arg-type]  # fields of a Way


async def test_credentials_are_in_no_dialogue() -> None:
    scene = Scene(Login, with_login(tls=TlsDemand.REQUIRED))
    scene.prepare = _verified
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    told = repr(scene.notes) + repr(scene.source.outcomes)
    sent = [line for line in scene.ledger.commands if line.startswith("AUTH PLAIN ")]
    assert len(sent) == 1
    assert sent[0].split(" ")[2] not in told
    assert "pencil" not in told
    assert scene.opening.dialogue[-1].sent == "AUTH PLAIN"


def _verified(stream: PipeStream) -> None:
    stream.tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True)


@pytest.mark.parametrize(
    ("reply", "ending"),
    [
        ("535 5.7.8 no", Ending.AUTH_FAILED),
        ("454 4.7.0 later", Ending.TURNED_AWAY),
        ("421 4.7.0 busy", Ending.TURNED_AWAY),
    ],
)
async def test_a_refused_login(reply: str, ending: Ending) -> None:
    class Refusing(Login):
        pass

    Refusing.reply = reply
    scene = Scene(Refusing, with_login())
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert (scene.opened.ending, scene.opened.stage) == (ending, Stage.AUTH)


async def test_a_password_is_not_sent_in_the_clear_because_tls_is_missing() -> None:
    class Stripped(Login):
        offers = ("PIPELINING", "AUTH PLAIN LOGIN")

    way = with_login(tls=TlsDemand.OPPORTUNISTIC)
    scene = Scene(Stripped, way)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.AUTH_FAILED
    assert "AUTH" not in scene.ledger.verbs()


async def test_an_unproved_server_is_not_logged_in_to() -> None:
    class Impostor(Login):
        offers = ("AUTH SCRAM-SHA-256",)

    scene = Scene(Impostor, with_login())
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.AUTH_FAILED


async def test_credentials_that_nothing_can_carry_end_it_in_order() -> None:
    scene = Scene(Login, with_login(password="a\0b"))
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.AUTH_FAILED


@pytest.mark.parametrize("verb", ["EHLO", "AUTH"])
async def test_garbage_in_the_opening(verb: str) -> None:
    class Server(broken.Garbage):
        offers = ("AUTH PLAIN",)

    Server.verb = verb
    scene = Scene(Server, with_login())
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.CONFUSED


async def test_a_stop_while_it_opens_leaves_no_connection() -> None:
    class Mute(PlainServer):
        async def greet(self) -> None:
            await self.silence()

    scene = Scene(Mute)
    async with asyncio.TaskGroup() as scene.servers:
        task = asyncio.create_task(scene.conversation().open())
        while not scene.streams:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_who_was_not_opened_cannot_run() -> None:
    scene = Scene()
    with pytest.raises(MerpatiError, match="not opened"):
        await scene.conversation().run(scene.source)


async def test_requiretls_goes_only_where_the_certificate_was_checked() -> None:
    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    for demand, result in ((TlsDemand.OPPORTUNISTIC, F), (TlsDemand.REQUIRED, D)):
        scene = Scene(offering("STARTTLS", "REQUIRETLS"), replace(WAY, tls=demand))
        if demand is TlsDemand.REQUIRED:
            scene.prepare = _verified
        await scene.play(strict)
        assert scene.source.results() == [[result]]


SHOWN = ssl.PEM_cert_to_DER_cert(
    trustme.CA().issue_cert("mx.b.test").cert_chain_pems[0].bytes().decode()
)
FITTING = Tlsas("mx.b.test", (Tlsa(3, 0, 0, SHOWN),))


def _showing(stream: PipeStream) -> None:
    stream.tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", chain=(SHOWN,))


@pytest.mark.parametrize(
    ("offers", "tlsa", "backing", "proof", "result"),
    [
        (("REQUIRETLS",), FITTING, Backing(dnssec=True), "dane-ee", D),
        (("REQUIRETLS",), None, Backing(sts=StsMode.ENFORCE), "pkix", D),
        ((), FITTING, Backing(dnssec=True), "dane-ee", F),
        (("REQUIRETLS",), Tlsas("mx.b.test", ()), Backing(dnssec=True), "", F),
        (("REQUIRETLS",), None, Backing(sts=StsMode.TESTING), "pkix", F),
    ],
)
async def test_requiretls_takes_the_proof_of_dane_and_of_sts(
    offers: tuple[str, ...], tlsa: Tlsas | None, backing: Backing, proof: str, result: Result
) -> None:
    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    way = replace(WISHING, backing=backing, route="mx:")
    scene = Scene(offering("STARTTLS", *offers), way, tlsa=tlsa, prepare=_showing)
    await scene.play(strict)
    assert scene.source.results() == [[result]]
    assert scene.opening.proof == proof


@pytest.mark.parametrize(
    ("route", "backing", "result"),
    [
        ("mx:", UNBACKED, F),
        ("mx:", Backing(dnssec=True), D),
        ("mx:", Backing(sts=StsMode.TESTING), F),
        ("mx:", Backing(sts=StsMode.ENFORCE), D),
        ("smtp://mx.b.test:25", UNBACKED, D),
    ],
)
async def test_requiretls_takes_no_name_of_unsigned_mx_records_for_a_proof(
    route: str, backing: Backing, result: Result
) -> None:
    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    way = replace(WAY, tls=TlsDemand.REQUIRED, route=route, backing=backing)
    scene = Scene(offering("STARTTLS", "REQUIRETLS"), way, prepare=_verified)
    await scene.play(strict)
    assert scene.source.results() == [[result]]


@pytest.mark.parametrize(
    ("host", "result"),
    [
        (Host("", "/run/dovecot/lmtp", 0), D),
        (Host("localhost", "127.0.0.1", 24), D),
        (Host("box.b.test", "::1", 24), D),
        (Host("box.b.test", "192.0.2.7", 24), F),
    ],
)
async def test_requiretls_ends_at_a_mailbox_server_of_this_machine(
    host: Host, result: Result
) -> None:
    class Boxes(PlainServer):
        lmtp = True

    message = a_message(1)
    strict = a_message(1, envelope=structs.replace(message.entry.envelope, require_tls=True))
    scene = Scene(Boxes, replace(WAY, lmtp=True), host=host)
    await scene.play(strict)
    assert scene.source.results() == [[result]]
    assert not [line for line in scene.ledger.commands if "REQUIRETLS" in line]


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD, Rung.LOCKSTEP])
async def test_who_refuses_rset_gets_a_message_a_connection(rung: Rung) -> None:
    class NoReset(PlainServer):
        async def rset(self, line: str) -> None:
            self.say("502 5.5.1 not implemented")

    scene = Scene(NoReset, memory=SiteMemory(rung))
    end = await scene.play(a_message(1), a_message(2))
    assert end is not None
    assert end.ending is Ending.CONFUSED
    assert scene.source.results() == [[D], [U]]
    assert len(scene.ledger.received) == 1


async def test_data_that_is_refused_is_a_verdict_on_who_was_accepted() -> None:
    class Full(PlainServer):
        async def data(self, line: str) -> None:
            self.say("452 4.3.1 disk full")

    scene = Scene(Full, memory=SiteMemory(Rung.NO_LOOKAHEAD))
    await scene.play(a_message(1, "a@b.test", "no@b.test"))
    assert scene.source.results() == [[L, F]]
    accepted, refused = scene.source.outcomes[a_message(1).entry.id]
    assert (accepted.cause, accepted.retry_after) == ("server-full", 300)
    assert refused.cause == "unknown-user"


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_a_large_message_that_breaks_the_connection_has_used_its_attempt(rung: Rung) -> None:
    scene = Scene(broken.GoneBeforeDot, memory=SiteMemory(rung))
    body = (b"x" * 62 + b"\r\n") * (2 * MIB // 64)
    end = await scene.play(a_message(1, body=body), a_message(2))
    assert end is not None
    assert end.ending is Ending.LOST
    assert scene.source.results() == [[L]]
    assert scene.lessons == []


async def test_who_parts_without_a_word_has_parted() -> None:
    class Rude(PlainServer):
        async def quit(self, line: str) -> None:
            raise HangUp

    scene = Scene(Rude)
    end = await scene.play(a_message(1))
    assert end == End(Ending.IDLE, transactions=1)


async def test_who_does_not_answer_quit_is_not_waited_for() -> None:
    class Sleepy(PlainServer):
        async def quit(self, line: str) -> None:
            await self.silence()

    scene = Scene(Sleepy)
    await scene.play(a_message(1))
    assert scene.clock.monotonic() < 10


class Dripper:
    """Greets for hours, an octet a minute."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def serve(self, stream: Stream) -> None:
        for octet in b"220 " + b"x" * 500:
            stream.write(bytes([octet]))
            await self.scene.clock.sleep(60.0)


async def test_a_greeting_octet_by_octet_gets_no_more_time_than_another() -> None:
    scene = Scene()
    scene.server = lambda ledger: Dripper(scene)
    async with scene.clock.running(), asyncio.TaskGroup() as scene.servers:
        began = scene.clock.monotonic()
        end = await scene.conversation().open()
        assert scene.clock.monotonic() - began <= scene.settings.greeting + 1.0
        assert end is not None
        assert end.ending is Ending.UNREACHABLE


async def test_each_reply_that_others_follow_is_acknowledged_at_once() -> None:
    """A server with Nagle's algorithm keeps the next one back until then: 44 ms a message."""
    scene = Scene(split=octet_by_octet)
    await scene.play(a_message(1))
    (stream,) = scene.streams
    replies = "".join(f"{one.reply}\r\n" for one in outcome_of(scene).attempt.dialogue)  # type: ignore[union-attr]
    assert stream.quickacks >= len(replies)
