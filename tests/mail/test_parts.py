"""Messages taken apart: structure, text, file names, and bombs that stay harmless (RFC 2231)."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.mail.mime import attachment, message, multipart, text_part
from merpati.mail.parts import MAX_DEPTH, MAX_PARTS, read_parts
from tests.cases import each


def whole(*parts: bytes) -> bytes:
    return b"".join(parts)


def test_what_the_writer_wrote_is_read_back() -> None:
    mixed = multipart("mixed", [text_part("Halo é\n"), attachment(b"\x00\xff", "résumé.pdf")])
    parts = read_parts(whole(*message([("Subject", "x")], mixed)))
    assert [(part.place, part.media_type, part.is_container) for part in parts] == [
        ("1", "multipart/mixed", True),
        ("1.1", "text/plain", False),
        ("1.2", "application/octet-stream", False),
    ]
    assert parts[1].text == "Halo é\r\n"
    assert (parts[2].filename, parts[2].content) == ("résumé.pdf", b"\x00\xff")


def test_what_another_writer_wrote_is_read() -> None:
    written = EmailMessage(policy=SMTP)
    written.set_content("plain é")
    written.add_alternative("<p>html</p>", subtype="html")
    written.add_attachment(b"abc", maintype="image", subtype="png", filename="é" * 60 + ".png")
    inner = EmailMessage(policy=SMTP)
    inner["Subject"] = "inner"
    inner.set_content("inside")
    written.add_attachment(inner)
    parts = read_parts(written.as_bytes())
    assert [part.media_type for part in parts] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "image/png",
        "message/rfc822",
        "text/plain",
    ]
    assert parts[4].filename == "é" * 60 + ".png"
    assert parts[6].text.strip() == "inside"


def test_a_message_without_mime_is_one_text() -> None:
    [part] = read_parts(b"Subject: x\r\n\r\nHalo\r\n")
    assert (part.media_type, part.text) == ("text/plain", "Halo\r\n")


@each(
    ("charset", "octets", "text"),
    [
        ("iso-8859-1", b"caf\xe9", "café"),
        ("no-such-charset", "café".encode(), "café"),
        ("punycode", b"abc-x", "abc-x"),
        ("utf-8", b"caf\xe9", "café"),
        ("utf-7", b"half a pair: +2AA-", "half a pair: \ufffd"),
    ],
)
def test_text_is_decoded_by_its_charset_or_by_the_next_best(
    charset: str, octets: bytes, text: str
) -> None:
    head = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
    assert read_parts(head + octets)[0].text == text


@each("name", ["../../etc/passwd", "C:\\boot.ini", "a\u202egnp.exe", "..", "a\x00b"])
def test_a_file_name_is_never_a_path_or_a_trick(name: str) -> None:
    head = f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
    got = read_parts(head)[0].filename
    assert not set(got) & set("/\\:\u202e\x00")
    assert got not in ("..", ".")


def test_a_part_without_its_end_is_read_to_the_end() -> None:
    head = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    parts = read_parts(head + b"preamble\r\n--b\r\n\r\nfirst\r\n--b\r\n\r\nsecond, cut")
    assert [part.text for part in parts[1:]] == ["first", "second, cut"]


def test_broken_base64_shows_what_is_whole() -> None:
    part = read_parts(b"Content-Transfer-Encoding: base64\r\n\r\nSGFsbw==\r\nx")[0]
    assert part.content.startswith(b"Halo")


def test_nesting_beyond_the_limit_stays_opaque() -> None:
    bomb = b"Content-Type: message/rfc822\r\n\r\n" * 5000 + b"end"
    assert len(read_parts(bomb)) == MAX_DEPTH + 1


def test_very_many_parts_are_cut_off() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    assert len(read_parts(head + b"--b\r\n\r\nx\r\n" * 50_000)) == MAX_PARTS


@pytest.mark.slow
def test_nested_multiparts_that_share_everything_end() -> None:
    bomb = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000
    assert len(read_parts(bomb)) <= MAX_PARTS


@given(st.binary(max_size=300))
def test_any_octets_are_read_without_raising(octets: bytes) -> None:
    head = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    for part in read_parts(head + octets):
        assert isinstance(part.text, str)
        assert "/" not in part.filename


@given(st.text(alphabet="ab=;*'\"%20\\ ", max_size=80))
def test_any_parameters_are_read_without_raising(text: str) -> None:
    value = text.encode()
    head = b"Content-Type: text/plain; " + value + b"\r\nContent-Disposition: a;" + value
    assert "/" not in read_parts(head + b"\r\n\r\n")[0].filename
