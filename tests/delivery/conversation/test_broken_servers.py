"""Each broken server of docs/delivery.md §2 against a conversation."""

import pytest
from msgspec import structs

from merpati.delivery.ending import Ending
from merpati.delivery.lesson import (
    LowerRung,
    MessageLimit,
    RecipientLimit,
    SiteMemory,
    Waive,
    Waived,
)
from merpati.delivery.outcome import Result
from merpati.delivery.transaction import TlsDemand
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient, Return
from merpati.smtp.rung import Rung
from merpati.testing import broken
from merpati.testing.conversations import WAY, Scene, a_message
from merpati.testing.plain_server import PlainServer

D, F, L, U, X = (
    Result.DELIVERED,
    Result.FAILED,
    Result.DEFERRED,
    Result.UNTOUCHED,
    Result.UNKNOWN,
)


def rungs(scene: Scene) -> list[Rung]:
    return [one.rung for one in scene.lessons if isinstance(one, LowerRung)]


async def test_a_server_without_faults() -> None:
    scene = Scene()
    end = await scene.play(*[a_message(n) for n in range(3)])
    assert scene.source.results() == [[D]] * 3
    assert end is not None
    assert (end.ending, end.transactions) == (Ending.IDLE, 3)
    assert [one.recipients for one in scene.ledger.received] == [
        ("bob0@b.test",),
        ("bob1@b.test",),
        ("bob2@b.test",),
    ]
    assert scene.lessons == []
    assert scene.ledger.verbs() == [
        "EHLO", "MAIL", "RCPT", "BDAT", "RSET", "MAIL", "RCPT", "BDAT", "RSET", "MAIL", "RCPT",
        "BDAT", "QUIT",
    ]  # fmt: skip


async def test_the_sender_of_a_refused_message_does_not_stick() -> None:
    scene = Scene(broken.StickySender)
    another = Envelope(Address.parse("carl@a.test"), (Recipient(Address.parse("bob@b.test")),))
    await scene.play(a_message(1, "no@b.test"), a_message(2, envelope=another))
    assert scene.source.results() == [[F], [D]]
    assert [one.sender for one in scene.ledger.received] == ["carl@a.test"]


async def test_a_chunk_above_the_limit_runs_no_commands_that_are_believed() -> None:
    scene = Scene(broken.LeakyChunk)
    smuggled = b"x" * 98 + b"\r\n" + b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<a@b.test>\r\n"
    end = await scene.play(a_message(1, body=smuggled), a_message(2))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert scene.source.results() == [[F], [U]]
    assert scene.ledger.received == []


async def test_no_chunk_is_sent_for_nobody() -> None:
    scene = Scene(broken.ChunkForNobody)
    await scene.play(a_message(1, "no1@b.test", "no2@b.test"), a_message(2))
    assert scene.source.results() == [[F, F], [D]]
    assert scene.ledger.verbs().count("BDAT") == 1


async def test_503_behind_the_dot_is_no_verdict() -> None:
    scene = Scene(broken.DeafBehindDot)
    await scene.play(*[a_message(n) for n in range(4)])
    assert scene.source.results() == [[D]] * 4
    assert len(scene.ledger.received) == 4
    assert rungs(scene) == [Rung.NO_LOOKAHEAD]


@pytest.mark.parametrize("budget", [20, 12])
async def test_refusals_in_a_row_never_reach_an_error_budget(budget: int) -> None:
    class Server(broken.ErrorBudget):
        pass

    Server.budget = budget
    scene = Scene(Server)
    left = [a_message(n, "no@b.test") for n in range(20)]
    while left:
        end = await scene.play(*left)
        assert end is not None
        assert end.ending in (Ending.FRESH_START, Ending.IDLE)
        assert all(results == [F] for results in scene.source.results())
        assert len(scene.source.taken) <= 8
        left = left[len(scene.source.taken) :]
    assert scene.ledger.connections == 3


@pytest.mark.parametrize("server", [broken.Postfix421, broken.Exim421])
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "RSET"])
async def test_421_in_the_middle_leaves_what_is_owed_untouched(
    server: type[broken.Postfix421], at: str
) -> None:
    class Server(server):  # type: ignore[valid-type,misc]  # a variation of either
        pass

    Server.at, Server.times = at, 0 if at == "RSET" else 1
    scene = Scene(Server)
    began = scene.clock.monotonic()
    end = await scene.play(a_message(1), a_message(2), a_message(3))
    assert end is not None
    assert end.ending is Ending.TURNED_AWAY
    assert end.meaning is not None
    assert scene.source.results() == [[D], [U]]
    assert scene.clock.monotonic() - began < 5
    assert len(scene.ledger.received) == 1


async def test_421_at_mail_behind_enough_good_messages_is_a_limit() -> None:
    class Server(broken.Postfix421):
        at, times = "MAIL", 6

    scene = Scene(Server)
    end = await scene.play(*[a_message(n) for n in range(8)])
    assert end is not None
    assert end.ending is Ending.QUOTA
    assert scene.lessons == [MessageLimit(6)]
    assert scene.source.results() == [[D]] * 6 + [[U]]


async def test_421_to_the_first_mail_uses_up_nothing() -> None:
    class Server(broken.Postfix421):
        at, times = "MAIL", 0

    scene = Scene(Server)
    end = await scene.play(a_message(1))
    assert end is not None
    assert (end.ending, end.transactions) == (Ending.TURNED_AWAY, 0)
    assert scene.source.results() == [[U]]


async def test_silence_behind_a_chunk_is_doubt_and_a_reason_for_data() -> None:
    scene = Scene(broken.SilentBehindChunk)
    end = await scene.play(a_message(1), a_message(2))
    assert end is not None
    assert end.ending is Ending.LOST
    assert scene.source.results() == [[X], [U]]
    (unknown,) = scene.source.outcomes[a_message(1).entry.id]
    assert unknown.retry_after == 900
    assert rungs(scene) == [Rung.DATA_LOOKAHEAD]
    assert scene.clock.monotonic() >= 600
    again = Scene(broken.SilentBehindChunk, memory=SiteMemory(Rung.DATA_LOOKAHEAD))
    await again.play(a_message(1), a_message(2))
    assert again.source.results() == [[D], [D]]


async def test_a_dropping_proxy_is_outwitted_by_ignoring_its_chunking() -> None:
    scene = Scene(broken.Dropping)
    scene.settings = type(scene.settings)("us.test", ignored=frozenset({"CHUNKING"}))
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    assert len(scene.ledger.received) == 1


async def test_a_second_verdict_delivers_nothing_else() -> None:
    scene = Scene(broken.DoubleVerdict)
    end = await scene.play(a_message(1), a_message(2, "no@b.test"), a_message(3))
    assert end is not None
    assert end.ending is Ending.CONFUSED
    assert rungs(scene) == [Rung.LOCKSTEP]
    # What was refused, or never sent, is not taken for delivered.
    assert scene.source.results() == [[D], [U]]
    assert len(scene.ledger.received) == 1


async def test_chunks_that_fail_behind_a_refusal_bring_data() -> None:
    scene = Scene(broken.ChunkAfterRefusal)
    end = await scene.play(a_message(1, "no@b.test"), a_message(2))
    assert end is not None
    assert end.ending is Ending.FRESH_START
    assert scene.source.results() == [[F], [U]]
    assert rungs(scene) == [Rung.DATA_LOOKAHEAD]


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_lost_before_the_end_of_the_content(rung: Rung) -> None:
    # What we hand to the kernel may have been read: the end was out, so it is doubt.
    scene = Scene(broken.GoneBeforeDot, memory=SiteMemory(rung))
    end = await scene.play(a_message(1))
    assert end is not None
    assert end.ending is Ending.LOST
    assert scene.source.results() == [[X]]
    assert scene.ledger.received == []


@pytest.mark.parametrize("rung", [Rung.BDAT_LOOKAHEAD, Rung.DATA_LOOKAHEAD])
async def test_lost_behind_the_end_of_the_content_is_doubt(rung: Rung) -> None:
    scene = Scene(broken.GoneBehindDot, memory=SiteMemory(rung))
    await scene.play(a_message(1), a_message(2))
    assert scene.source.results() == [[X], [U]]
    assert len(scene.ledger.received) == 1


@pytest.mark.parametrize("answer", ["+OK POP3 ready", "\x16\x03\x01", "2500 no", "199 no"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "RSET", "DATA"])
async def test_garbage_ends_it_and_calls_for_lockstep(verb: str, answer: str) -> None:
    class Server(broken.Garbage):
        pass

    Server.verb, Server.answer = verb, answer
    scene = Scene(Server, memory=SiteMemory(Rung.DATA_LOOKAHEAD))
    end = await scene.play(a_message(1), a_message(2))
    assert end is not None
    assert end.ending is Ending.CONFUSED
    assert rungs(scene) == [Rung.LOCKSTEP]
    assert scene.source.results() == ([[D], [U]] if verb == "RSET" else [[U]])


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["250-more and more\r\n", "250 x", "x"])
async def test_an_endless_reply_is_not_listened_to(piece: str) -> None:
    class Server(broken.Endless):
        pass

    Server.piece = piece
    scene = Scene(Server)
    end = await scene.play(a_message(1))
    assert end is not None
    assert end.ending is Ending.CONFUSED
    assert scene.source.results() == [[U]]


async def test_a_lone_dot_for_nobody_delivers_nothing() -> None:
    scene = Scene(broken.ContentForNobody)
    await scene.play(a_message(1, "no@b.test"), a_message(2))
    assert scene.source.results() == [[F], [D]]
    assert [one.recipients for one in scene.ledger.received] == [("bob2@b.test",)]


@pytest.mark.parametrize("refusal", ["452 4.5.3 too many", "552 too many", "452 no more"])
async def test_too_many_recipients_are_split(refusal: str) -> None:
    class Server(broken.FewRecipients):
        pass

    Server.refusal = refusal
    scene = Scene(Server)
    to = [f"{name}@b.test" for name in "abcde"]
    await scene.play(a_message(1, *to))
    assert scene.source.results() == [[D, D, U, U, U]]
    assert scene.lessons == [RecipientLimit(2)]


async def test_555_is_met_with_fewer_parameters() -> None:
    scene = Scene(broken.NoParameters)
    envelope = structs.replace(a_message(1).entry.envelope, ret=Return.FULL)
    await scene.play(a_message(1, envelope=envelope), a_message(2, envelope=envelope))
    assert scene.source.results() == [[D], [D]]
    mails = [line.partition("> ")[2] for line in scene.ledger.commands if line[:4] == "MAIL"]
    assert mails == ["SIZE=19 RET=FULL", "SIZE=19"] * 2


async def test_555_to_all_that_is_left_is_a_verdict() -> None:
    class Stubborn(broken.NoParameters):
        def opinion_of_sender(self, line: str) -> str:
            return "555 5.5.4 unsupported"

    scene = Scene(Stubborn)
    await scene.play(a_message(1))
    assert scene.source.results() == [[F]]
    assert scene.ledger.verbs().count("MAIL") == 2


async def test_greylisting_waits_five_minutes_and_slows_nobody() -> None:
    scene = Scene(broken.Greylisting)
    await scene.play(a_message(1), a_message(2))
    assert scene.source.results() == [[L], [D]]
    (outcome,) = scene.source.outcomes[a_message(1).entry.id]
    assert (outcome.retry_after, outcome.cause) == (300, "greylisted")
    assert scene.lessons == []


@pytest.mark.parametrize("server", [broken.BrokenTls, broken.Injecting])
async def test_broken_tls_is_given_up_by_the_next_connection_only(
    server: type[PlainServer],
) -> None:
    way = type(WAY)("b.test", "mx", tls=TlsDemand.OPPORTUNISTIC)
    scene = Scene(server, way)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.TLS_FAILED
    assert scene.ledger.verbs() == ["EHLO", "STARTTLS"]
    assert [type(one) for one in scene.lessons] == [Waive]
    scene.memory = SiteMemory(waived=Waived.TLS)
    await scene.play(a_message(1))
    assert scene.source.results() == [[D]]
    assert scene.ledger.verbs()[2:] == ["EHLO", "MAIL", "RCPT", "BDAT", "QUIT"]


@pytest.mark.parametrize("server", [broken.BrokenTls, broken.Injecting, PlainServer])
async def test_required_tls_never_falls_back(server: type[PlainServer]) -> None:
    way = type(WAY)("b.test", "mx", tls=TlsDemand.REQUIRED)
    for memory in (SiteMemory(), SiteMemory(waived=Waived.TLS)):
        scene = Scene(server, way, memory)
        assert await scene.play(a_message(1)) is None
        assert scene.opened is not None
        assert not [one for one in scene.lessons if isinstance(one, Waive)]
        assert "MAIL" not in scene.ledger.verbs()
        assert scene.source.taken == []


async def test_a_refusal_as_greeting_turns_away() -> None:
    scene = Scene(broken.Busy)
    assert await scene.play(a_message(1)) is None
    assert scene.opened is not None
    assert scene.opened.ending is Ending.TURNED_AWAY
    assert scene.opened.why == "450 4.3.2 too busy"
    assert scene.source.taken == []
