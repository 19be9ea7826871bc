"""Lines of a conversation, told in plain words."""

from merpati.diagnosis.dialogue import annotate, reply_parts
from merpati.diagnosis.texts import explain
from tests.cases import each


@each(
    ("sent", "reply", "told"),
    [
        ("", "220 mx.b.test ESMTP", "The server greets us: it is ready."),
        ("RCPT TO:<bob@b.test>", "250 2.1.5 Ok", "We say who should receive: accepted."),
        ("DATA", "354 go on", "We ask to hand the message over: it waits for the message."),
        (
            ".",
            "250 2.0.0 queued",
            "We hand over the message; from here on the answer counts: "
            "it has taken the message and is responsible for it now.",
        ),
        ("QUIT", "", "We say goodbye: no answer came."),
    ],
)
def test_line_is_told_in_english(sent: str, reply: str, told: str) -> None:
    assert annotate(sent, reply) == told


def test_a_refusal_is_told_by_its_cause() -> None:
    told = annotate("RCPT TO:<x@b.test>", "550 5.1.1 User unknown")
    assert told.endswith(explain("unknown-user").summary)


def test_lines_are_told_in_indonesian() -> None:
    told = annotate("MAIL FROM:<a@a.test>", "250 Ok", "id")
    assert told == "Kami menyebut pengirim: diterima."


def test_a_reply_is_taken_apart() -> None:
    assert reply_parts("550 5.1.1 no such user") == (550, "5.1.1", "no such user")
    assert reply_parts("250 Ok") == (250, "", "Ok")
    assert reply_parts("connection refused") == (0, "", "connection refused")


def test_a_connection_that_ends_behind_the_message_leaves_it_in_doubt() -> None:
    assert annotate(".", "(timed out)").endswith(explain("in-doubt").summary)
