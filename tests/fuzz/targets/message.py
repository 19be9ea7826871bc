"""What messages are made of: addresses, header fields, MIME parts, encoded words, parameters."""

import re

from merpati.delivery.maildir import headers as maildir_headers
from merpati.delivery.naming import directory_name
from merpati.mail.address import MAX_MAILBOX, Address, AddressError, parse_domain
from merpati.mail.headers import Headers
from merpati.mail.mailboxes import parse_mailboxes
from merpati.mail.mime import HeaderError, attachment, field, message, parameter, subject, text_part
from merpati.mail.parts import MAX_PARTS, Part, _parameters, read_parts
from merpati.mail.words import decode_words, encode_words
from tests.fuzz.target import Target

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FORBIDDEN = re.compile(r"[\r\n\x00]")


def _check_text(text: str) -> None:
    """Text that people are shown, that is journaled, and that goes into JSON."""
    assert not _CONTROL.search(text)
    text.encode()  # A lone surrogate could not be written anywhere.


def address(octets: bytes) -> None:
    """An address that is read is written as what reads the same, and names no way out of a tree."""
    text = octets.decode("utf-8", "surrogateescape")
    try:
        found = Address.parse(text)
    except AddressError:
        return
    assert Address.parse(str(found)) == found
    assert len(str(found).encode()) <= MAX_MAILBOX
    assert found.domain.isascii()
    if not found.domain:
        return
    assert parse_domain(found.domain) == found.domain
    assert _CONTROL.search(str(found)) is None
    assert len(found.display) >= len(found.local)
    for name in (found.local, found.domain):
        _check_name(name)


def maildir(octets: bytes) -> None:
    """Two names give two directories, neither of which is a path; values stay one line."""
    first, _, second = octets.decode("utf-8", "surrogateescape").partition("\n")
    names = {directory_name(first), directory_name(second)}
    assert len(names) == len({first, second})
    for name in names:
        _check_name(name)
    try:
        lines = maildir_headers([("X-Envelope-To", first), ("X-Other", second)])
    except UnicodeEncodeError:
        raise AssertionError("a value that cannot be written") from None
    assert lines.count(b"\n") == 2
    assert b"\r" not in lines


def _check_name(name: str) -> None:
    octets = directory_name(name).encode()
    assert 0 < len(octets) <= 255
    assert octets not in (b".", b"..")
    assert b"/" not in octets
    assert b"\0" not in octets


def header(octets: bytes) -> None:
    """Nothing is lost of what is scanned, and what is found by name stands in the fields."""
    headers = Headers.scan(octets)
    section = headers.without(())
    assert octets.startswith(section)
    assert headers.truncated or octets[len(section) : headers.size].strip(b"\r\n") == b""
    fields = headers.fields
    for one in fields[:50]:
        _check_text(one.text)
        _check_text(one.value)
        same = [other.value for other in fields if other.name.lower() == one.name.lower()]
        assert headers.get_all(one.name) == same
    for name in ("To", "From", "Subject"):
        _check_text(headers.text(name))
    kept = Headers.scan(headers.without({"bcc"}) + b"\r\n")
    assert kept.count("bcc") == 0


def mailboxes(octets: bytes) -> None:
    """Every address that a list gives is one by itself, and is found again when written."""
    text = octets.decode("utf-8", "replace")
    listed = parse_mailboxes(text)
    for mailbox in listed.found[:50]:
        assert Address.parse(str(mailbox.address)) == mailbox.address
        _check_text(mailbox.name)
    again = parse_mailboxes(", ".join(f"<{one}>" for one in listed.addresses))
    assert again.addresses == listed.addresses
    assert not again.flaws


def parts(octets: bytes) -> None:
    """Parts lie inside the message, each in one that holds it; names are fit to save under."""
    found = read_parts(octets)
    assert 1 <= len(found) <= MAX_PARTS
    places = {part.place for part in found}
    assert len(places) == len(found)
    for part in found:
        assert part.place == "1" or part.place.rpartition(".")[0] in places
        assert len(part.encoded) <= len(octets)
    for part in found[:20]:
        _check_part(part)


def _check_part(part: Part) -> None:
    assert len(part.content) <= len(part.encoded)
    part.text.encode()
    assert not set(part.filename) & set("/\\\0\r\n")
    assert not part.filename.startswith(".")
    part.filename.encode()
    for _, value in part.parameters:
        value.encode()


def words(octets: bytes) -> None:
    """Decoding gives text that can be written; what we encode is read as it was."""
    text = octets.decode("utf-8", "replace")
    _check_text(decode_words(text))
    clean = _CONTROL.sub(" ", text)[:2000]
    assert decode_words(" ".join(encode_words(clean))) == clean


def compose(octets: bytes) -> None:
    """First line: a value; behind it, text. What is written is read as it was, and adds no line."""
    value, _, rest = octets.decode("utf-8", "replace").partition("\n")
    value = value[:2000]
    try:
        written = field("Subject", subject(value))
    except HeaderError:
        # A word of printable ASCII that no fold can shorten.
        assert len(value) > 900
        return
    _check_lines(written)
    clean = _FORBIDDEN.sub(" ", value)
    assert Headers.scan(written + b"\r\n").text("Subject").split() == _seen(clean).split()
    _check_attachment(clean, rest)


def _check_attachment(name: str, text: str) -> None:
    try:
        part = attachment(b"octets", name)
        head, body = message((("From", "a@a.test"),), part)
    except HeaderError:
        # Longer than a file system has names.
        assert len(name.encode()) > 255
        return
    _check_lines(head)
    (read,) = read_parts(head + body)
    assert read.content == b"octets"
    written = parameter("filename", name)
    assert dict(_parameters(f"attachment; {written}")).get("filename") == name
    (again,) = read_parts(b"".join(message((), text_part(text))))
    assert again.text.splitlines() == re.sub("\r\n|\r", "\n", text).splitlines()


def _seen(text: str) -> str:
    """As a reader shows it."""
    return _CONTROL.sub(" ", text)


def _check_lines(octets: bytes) -> None:
    assert octets.endswith(b"\r\n")
    for line in octets.split(b"\r\n"):
        assert len(line) <= 998
        assert b"\r" not in line
        assert b"\n" not in line
        assert b"\0" not in line


_ADDRESSES = (
    b"a@b.test", b'"a b"@b.test', b"\\", b'"', b"@", b".", b"postmaster", b"[192.0.2.1]",
    b"[IPv6:2001:db8::1]", "ü".encode(), "bücher.test".encode(), b"xn--bcher-kva.test", b"_",
    b"-", b"%", b"!", "\u200b".encode(), "\ufe52".encode(), b"/", b"..", b"\xff", "ß".encode(),
)  # fmt: skip
_FIELDS = (
    b"To: a@b.test\r\n", b"Bcc: c@b.test\r\n", b"Subject: ", b"=?utf-8?q?", b"=C3=A9", b"?=",
    b"\n ", b"\r\n\t", b"\r\n\r\n", b"\n\n", b": ", b"a", b"From ", b"A:b\n", b"\0", b"\r",
    b"To : x\r\n", b"<", b">", b",", b";", b"(", b")", b'\\"', b'"', b":", b"[", b"]", b"\\",
)  # fmt: skip
_ENCODED = (
    b"=?utf-8?q?", b"=?utf-8?b?", b"=?utf-7?q?+2AA-?=", b"=?utf-16?b?", b"=?iso-2022-jp?b?",
    b"?= ", b"=?us-ascii*en?Q?", b"=C3", b"=A9", b"_", b"YQ==", b"?=", b"=?", b" ", b"\t",
    b"\r\n ", b"+2AA-", b"=?hz?q?~{", b"=?gb18030?b?", b"=?cp037?q?", b"=?utf-8-sig?q?",
    b"=?utf-32?b?2AAAAA==?=",
)  # fmt: skip
_PARTS = (
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n", b"--x\r\n", b"--x--\r\n", b"--x",
    b"\r\n", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=x\r\n\r\n",
    b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Disposition: attachment; ", b"filename=a", b"filename*=utf-7''%2B2AA-",
    b"filename*0*=utf-8''%C3", b"filename*1=b", b"; ",
    b"Content-Type: multipart/x; boundary=\"a\\\"b\"\r\n\r\n", b"=C3=A9", b"YWJj", b"=\r\n",
    b"../x", b";a=", b'"\\', b'="', b"%", b"''",
)  # fmt: skip

TARGETS = (
    Target("address", address, _ADDRESSES),
    Target("maildir", maildir, (*_ADDRESSES, b"\n", b"~", b"%2F", b"%~", b"x" * 250), longest=1024),
    Target("header", header, _FIELDS, longest=128 * 1024, head=b"To: "),
    Target("mailboxes", mailboxes, (*_FIELDS, *_ADDRESSES), longest=128 * 1024),
    Target("parts", parts, _PARTS, longest=256 * 1024, head=_PARTS[0]),
    Target("words", words, _ENCODED, longest=128 * 1024),
    Target("compose", compose, (*_ENCODED, *_FIELDS, b"x" * 80, "é".encode())),
)
