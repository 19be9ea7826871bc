"""RFC 5321 §4.5.2, RFC 3030: nothing leaves but lines that end in CRLF, and the dot ends them."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp.content import (
    ContentError,
    ContentWriter,
    CountedContent,
    DottedContent,
    MiscountError,
)
from tests.cases import each

LINES = st.lists(
    st.binary(max_size=20).map(lambda line: re.sub(rb"[\r\n\0]", b"", line))
    | st.sampled_from([b"", b".", b"..", b".x", b"x."])
)
CUTS = st.lists(st.integers(0, 100), max_size=8)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    return [octets[a:b] for a, b in pairwise(places)] + [b""]


def write(writer: ContentWriter, parts: list[bytes]) -> bytes:
    return b"".join([writer.write(part) for part in parts]) + writer.finish()


@given(LINES, CUTS, st.booleans())
def test_what_leaves_is_lines_then_a_dot_and_unstuffed_it_is_the_body(
    lines: list[bytes], cuts: list[int], ends: bool
) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    if not ends:
        body = body.removesuffix(b"\r\n")
    wire = write(DottedContent(len(body)), pieces(body, cuts))
    *sent, rest = wire.split(b"\r\n")
    assert rest == b""
    assert sent.pop() == b"."
    assert all(b"\r" not in line and b"\n" not in line and line != b"." for line in sent)
    unstuffed = b"".join(line.removeprefix(b".") + b"\r\n" for line in sent)
    assert unstuffed == (body if body.endswith(b"\r\n") or not body else body + b"\r\n")


@given(st.binary(max_size=60) | st.text("\r\n.x\0", max_size=12).map(str.encode), CUTS)
def test_any_octets_leave_as_lines_or_not_at_all(body: bytes, cuts: list[int]) -> None:
    is_clean = not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", body)
    for writer in (DottedContent(len(body)), CountedContent(len(body))):
        try:
            wire = write(writer, pieces(body, cuts))
        except ContentError:
            assert not is_clean
        else:
            assert is_clean
            assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", wire)


@each(
    ("parts", "wire"),
    [
        ([], b".\r\n"),
        ([b"."], b"..\r\n.\r\n"),
        ([b".", b"\r\n"], b"..\r\n.\r\n"),
        ([b"x\r\n", b".\r\n"], b"x\r\n..\r\n.\r\n"),
        ([b"x\r", b"\n.\r\n"], b"x\r\n..\r\n.\r\n"),
        ([b"x", b"\r", b"\n", b".", b"."], b"x\r\n...\r\n.\r\n"),
        ([b"x", b".y\r\n"], b"x.y\r\n.\r\n"),
        ([b"x\r\n", b"", b".y\r\n"], b"x\r\n..y\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed_across_pieces(parts: list[bytes], wire: bytes) -> None:
    assert write(DottedContent(sum(map(len, parts))), parts) == wire


@each("dots", [0, 1, 2, 15, 16, 17, 40])
def test_a_dot_line_is_found_in_large_content_however_many_dots_stand_before_it(dots: int) -> None:
    before = b"x" * 40_000 + b".y" * dots
    for dot_line, stuffed in ((b"\r\n.", b"\r\n.."), (b"\r\n.\r\n.", b"\r\n..\r\n..")):
        body = before + dot_line + b"z\r\n"
        assert write(DottedContent(len(body)), [body]) == before + stuffed + b"z\r\n.\r\n"
    body = before + b"\r\nz\r\n"
    assert write(DottedContent(len(body)), [body]) == body + b".\r\n"


@each(
    "parts",
    [
        [b"x\n.\n"],
        [b"x\r.\r"],
        [b"x\r\n.\ry"],
        [b"x\r", b"y"],
        [b"x\r", b"\r\n"],
        [b"x", b"\n"],
        [b"x\r"],
        [b"\0"],
        [b"x\r\n", b"y\0\r\n"],
    ],
)
def test_bare_line_ends_and_nul_never_leave(parts: list[bytes]) -> None:
    size = sum(map(len, parts))
    for writer in (DottedContent(size), CountedContent(size)):
        with pytest.raises(ContentError):
            write(writer, parts)


def test_binary_content_is_counted_and_not_looked_at() -> None:
    body = b"\0\r.\n\r\n.\r\n\r"
    assert write(CountedContent(len(body), binary=True), [body[:3], body[3:]]) == body


def test_more_or_less_than_announced_does_not_leave() -> None:
    for writer in (CountedContent(2), DottedContent(2)):
        with pytest.raises(MiscountError, match="more content"):
            writer.write(b"xyz")
    for writer in (CountedContent(2, binary=True), DottedContent(2)):
        with pytest.raises(MiscountError, match="less content"):
            writer.finish()


def test_a_chunk_is_complete_with_its_count_and_lines_with_their_dot_only() -> None:
    chunk, lines = CountedContent(3), DottedContent(3)
    for writer in (chunk, lines):
        assert not writer.is_complete
        writer.write(b"x\r\n")
    assert chunk.is_complete
    assert not lines.is_complete
