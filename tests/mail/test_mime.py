"""MIME as we write it, read back by a parser that we did not write (RFC 2047 and 2231)."""

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from merpati.mail.mime import (
    HeaderError,
    attachment,
    enclosed,
    field,
    message,
    multipart,
    parameter,
    subject,
    text_part,
)
from merpati.mail.words import decode_words
from tests.cases import each

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)


def parsed(octets: bytes) -> EmailMessage:
    read = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y.test", "a\nb", "a\rb", "a\x00b"])
def test_a_value_with_a_line_end_is_refused(value: str) -> None:
    with pytest.raises(HeaderError):
        field("Subject", value)
    with pytest.raises(HeaderError):
        attachment(b"", value)


@each("name", ["", "Sub ject", "A:b", "A\r\nB", "É", "a" * 77])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(HeaderError):
        field(name, "x")


def test_a_line_of_a_header_has_at_most_998_octets() -> None:
    assert len(field("A", "x" * 995)) == 1000
    for value in ("x" * 996, "é" * 498):
        with pytest.raises(HeaderError):
            field("A", value, utf8=True)


@given(st.text(st.sampled_from("ab "), max_size=900))
@example("x" * 60 + " " * 200 + "y")
def test_folding_takes_nothing_away_and_leaves_no_line_blank(value: str) -> None:
    written = field("A", value)
    assert written.replace(b"\r\n", b"") == f"A: {value.strip()}".encode()
    first, *others = written.removesuffix(b"\r\n").split(b"\r\n")
    assert first.startswith(b"A:")
    assert all(line[:1] == b" " and line.strip() for line in others)


def test_a_media_type_outside_the_grammar_is_refused() -> None:
    with pytest.raises(HeaderError):
        attachment(b"", "a.txt", "text/plain; name=x")


@given(TEXT)
def test_a_subject_comes_back_as_it_was(text: str) -> None:
    line = field("Subject", subject(text))
    assert all(len(part) <= 78 for part in line.split(b"\r\n") if b" " in part.strip())
    value = line.decode().removeprefix("Subject:").replace("\r\n", "").strip()
    assert decode_words(value).split() == text.split()


@given(TEXT)
def test_text_comes_back_as_it_was(text: str) -> None:
    head, body = message([("Subject", "x")], text_part(text))
    assert parsed(head + body).get_content() == text


def test_long_lines_and_bare_line_ends_are_made_fit_for_the_wire() -> None:
    part = text_part("é" * 2000 + "\nplain\n.\n")
    assert max(map(len, part.content.split(b"\r\n"))) <= 78
    assert b"\n" not in part.content.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "name", ["laporan.pdf", "laporan akhir.pdf", 'a"b\\c.txt', "résumé ☕.txt"]
)
def test_an_attachment_keeps_its_name_and_octets(name: str) -> None:
    octets = bytes(range(256)) * 3
    head, body = message([], multipart("mixed", [text_part("hi"), attachment(octets, name)]))
    [attached] = list(parsed(head + body).iter_attachments())
    assert attached.get_filename() == name
    assert attached.get_content() == octets


def test_nothing_inside_a_multipart_can_end_it() -> None:
    inner = multipart("mixed", [text_part("one")])
    outer = multipart("mixed", [enclosed(inner.octets, "message/rfc822"), text_part("last")])
    head, body = message([], outer)
    assert [part.get_content_type() for part in parsed(head + body).iter_parts()] == [
        "message/rfc822",
        "text/plain",
    ]


def test_a_parameter_is_a_token_a_quoted_string_or_rfc_2231() -> None:
    assert parameter("name", "a.txt") == "name=a.txt"
    assert parameter("name", "a b") == 'name="a b"'
    assert parameter("name", "é") == "name*=utf-8''%C3%A9"
