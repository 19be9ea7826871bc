"""The SMTP client's core, and what it makes of a server's words: any octets in any state."""

from typing import assert_never

from merpati.diagnosis.dialogue import annotate, reply_parts
from merpati.diagnosis.own_words import cause_of, translated
from merpati.diagnosis.replies import Stage, causes, classify
from merpati.diagnosis.texts import LANGUAGES, explain_reply, known_causes
from merpati.report.shown import shown
from merpati.smtp.answers import Answer, AnswerReader, Nonsense
from merpati.smtp.capabilities import parse
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.rung import Rung
from merpati.testing.caller import hello_reply
from merpati.testing.dialogue import split
from tests.fuzz.target import Target
from tests.smtp.client.test_any_input import Owner

_EVERYTHING = hello_reply(["PIPELINING", "CHUNKING", "AUTH LOGIN", "STARTTLS", "DSN", "LIMITS"])


def client(octets: bytes) -> None:
    """First four octets: choices of whoever owns the connection. The books stay right."""
    if len(octets) < 4:
        return
    choices = list(octets[:3])
    rungs = list(Rung)
    told: list[list[object]] = []
    for way in ("whole", "bytes"):
        settings = ClientSettings("us.test", bool(octets[3] & 1))
        connection = ClientConnection(settings, rungs[octets[3] >> 1 & 3])
        owner = Owner(connection, [choice % 6 for choice in choices for _ in range(4)])
        if octets[3] & 8:
            owner.hear(b"220 mx\r\n")
            owner.hear(_EVERYTHING)
        for piece in split(octets[4:4096], way):
            owner.hear(piece)
        told.append([verdict for mailing in owner.judged for verdict in mailing.verdicts])
    # A reply that comes in one piece with others can be one that nobody had asked for yet, which
    # ends it there.
    assert told[0] == told[1][: len(told[0])]


def answers(octets: bytes) -> None:
    """Replies: the same however they are cut up; each reads well and means something."""
    whole, single = _answers(octets[:70_000], "whole"), _answers(octets[:2000], "bytes")
    if len(octets) <= 2000:
        assert whole == single
    for answer in whole[:50]:
        _check_answer(answer)


def _answers(octets: bytes, way: str) -> list[Answer]:
    reader, found = AnswerReader(), []
    for piece in split(octets, way):
        reader.receive(piece)
        while (answer := reader.next()) is not None:
            match answer:
                case Answer():
                    found.append(answer)
                case Nonsense(why):
                    assert why
                    return found
                case _:
                    assert_never(answer)
    return found


def _check_answer(answer: Answer) -> None:
    line = str(answer)
    assert 200 <= answer.code < 600
    assert line.startswith(str(answer.code))
    assert "\n" not in line
    assert "\r" not in line
    offers = parse(answer)
    assert all(keyword.isascii() for keyword in offers.keywords)
    assert offers.size is None or offers.size > 0
    status = str(answer.status or "")
    for stage in (Stage.CONNECT, Stage.RCPT, Stage.BODY):
        meaning = classify(stage, answer.code, status, answer.text, first_try=True)
        assert meaning.cause in known_causes()
        # RFC 5321 §4.2.1: 4yz is never for good.
        assert not (meaning.permanent and answer.code < 500)


def diagnosis(octets: bytes) -> None:
    """First octet: the stage. Any words of a server, or of ours, are explained in each language."""
    if not octets:
        return
    text = octets[1:].decode("utf-8", "replace")
    stage = list(Stage)[octets[0] % len(Stage)]
    code, status, words = reply_parts(text)
    assert code == 0 or 200 <= code < 600
    assert classify(stage, code, status, words, recipients_before=1).cause in causes()
    assert cause_of(text, on_a_route=True) in known_causes() | {""}
    for language in LANGUAGES:
        assert explain_reply(stage, code, status, words, language).summary
        assert annotate(text, text, language)
        translated(text, language)
    assert shown(shown(text, 100), 1000) == shown(text, 100)


_LINES = (
    b"220 mx\r\n", b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", b"354 go\r\n", b"334 \r\n",
    b"235 in\r\n", b"421 4.3.2 bye\r\n", b"450 4.2.0 later\r\n", b"550 5.1.1 no\r\n",
    b"503 5.5.1 order\r\n", b"250-more\r\n", b"oops\r\n", b"250", b"\r\n", b"221 bye\r\n",
    b"452 4.5.3 too many\r\n", b"555 what?\r\n", _EVERYTHING, hello_reply(["PIPELINING"]),
    b"250-", b"250 ", b"\n",
)  # fmt: skip
_WORDS = (
    b"250-mx\r\n", b"250-SIZE 100\r\n", b"250-AUTH=LOGIN PLAIN\r\n", b"250 LIMITS RCPTMAX=2\r\n",
    b"550 5.1.1 User unknown", b"450 4.2.1 greylisted, try again in 5 minutes", b"554 5.7.1 ",
    b"spamhaus", b"blocked", b"127.0.0.1", b"too many connections", b"mailbox full", b"SPF",
    b"DMARC", b"message too large", b" 5.7.26 ", b"the connection was refused", b"TLS failed",
    b"\r\n", b"-", b"(1,234 octets)", b"RCPT TO:<x@b.test>", b"BDAT 5 LAST", "\u202e".encode(),
    b"\x1b[2J", b"\x85",
)  # fmt: skip

TARGETS = (
    Target("client", client, _LINES, longest=4096, head=b"\x00\x03\x05\x0e"),
    Target("answers", answers, (*_LINES, *_WORDS)),
    Target("diagnosis", diagnosis, _WORDS, head=b"\x05"),
)
