"""Lists of tags (RFC 6376 §3.2): what is one, and that nothing else gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.authenticity.tags import (
    MAX_OCTETS,
    MAX_TAGS,
    TagError,
    parse_tags,
    parse_tags_leniently,
)
from tests.cases import each


@each(
    ("octets", "pairs"),
    [
        (b"v=1", [("v", "1")]),
        (b"v=1;", [("v", "1")]),
        (b"v=1;\r\n", [("v", "1")]),
        (b" v = 1 ;\r\n\ta=rsa-sha256 ", [("v", "1"), ("a", "rsa-sha256")]),
        (b"p=", [("p", "")]),
        (b"b=aGVs\r\n\tbG8=", [("b", "aGVs\tbG8=")]),
        (b"n=a b  c", [("n", "a b  c")]),
        (b"q_1=x=y", [("q_1", "x=y")]),
        (b"V=1; v=2", [("V", "1"), ("v", "2")]),
        ("d=bücher.test".encode(), [("d", "bücher.test")]),
    ],
)
def test_a_list_is_read(octets: bytes, pairs: list[tuple[str, str]]) -> None:
    assert list(parse_tags(octets).pairs) == pairs


@each(
    ("octets", "why"),
    [
        (b"", "no tag"),
        (b"v", "no tag"),
        (b"v=1;;a=2", "no tag"),
        (b"v=1;;", "no tag"),
        (b";v=1", "no tag"),
        (b"1=v", "no tag"),
        (b"a-b=v", "no tag"),
        (b"v=a\x00b", "no tag"),
        (b"v=a\nb", "no tag"),
        (b"v=a\r\n\r\n b", "no tag"),
        (b"v=\xff", "UTF-8"),
        ("v=a\u2028b".encode(), "no tag"),
        (b"v=1; v=1", "twice"),
        (b"v=" + b"a" * MAX_OCTETS, "longer"),
        (b";".join(b"t%d=" % n for n in range(MAX_TAGS + 2)), "more than"),
    ],
)
def test_what_is_no_list_says_why(octets: bytes, why: str) -> None:
    with pytest.raises(TagError, match=why):
        parse_tags(octets)


def test_a_tag_that_is_not_there_is_none() -> None:
    tags = parse_tags(b"p=")
    assert tags.get("p") == ""
    assert tags.get("k") is None
    assert "p" in tags
    assert "k" not in tags


def test_a_lenient_reading_passes_over_what_is_no_tag() -> None:
    tags = parse_tags_leniently(b"v=DMARC1;; P=none; nonsense; sp=\x01; p=reject;")
    assert tags.pairs == (("v", "DMARC1"), ("p", "none"))


def test_a_lenient_reading_has_the_same_bounds() -> None:
    for octets in (b"v=" + b"a" * MAX_OCTETS, b";" * (MAX_TAGS + 1), b"v=\xff"):
        with pytest.raises(TagError):
            parse_tags_leniently(octets)


@given(st.binary(max_size=80))
def test_nothing_but_a_tag_error_comes_out(octets: bytes) -> None:
    try:
        strict = parse_tags(octets)
    except TagError:
        return
    assert [name.lower() for name, _ in strict.pairs]
    assert parse_tags_leniently(octets).pairs or not strict.pairs
