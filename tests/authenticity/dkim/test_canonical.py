"""Canonical forms (RFC 6376 §3.4), against a naive reading of the RFC and against dkimpy."""

import re
import tracemalloc
from itertools import pairwise

import dkim.canonicalization as dkimpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.authenticity.dkim.canonical import CanonicalBody, Canonicalization, canonical_field

SIMPLE, RELAXED = Canonicalization.SIMPLE, Canonicalization.RELAXED
forms = pytest.mark.parametrize("canon", Canonicalization)
bodies = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"  ", b"a", b"b c", b"\x0b", b"\xff"]),
    max_size=20,
).map(b"".join)
lines = st.lists(st.sampled_from([b"\r\n", b" ", b"\t", b"a", b"b c"]), max_size=20).map(b"".join)


def canonical(body: bytes, canon: Canonicalization, *cuts: int) -> bytes:
    taken: list[bytes] = []
    form = CanonicalBody(canon, taken.append)
    for start, end in pairwise([0, *sorted(cuts), len(body)]):
        form.update(body[start:end])
    form.finish()
    return b"".join(taken)


def naive(body: bytes, canon: Canonicalization) -> bytes:
    parts = body.split(b"\r\n")
    if canon is RELAXED:
        parts = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in parts]
    while parts and not parts[-1]:
        parts.pop()
    if not parts:
        return b"" if canon is RELAXED else b"\r\n"
    return b"\r\n".join(parts) + b"\r\n"


def test_the_example_of_section_3_4_5() -> None:
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert canonical(body, RELAXED) == b" C\r\nD E\r\n"
    assert canonical(body, SIMPLE) == b" C \r\nD \t E\r\n"
    assert canonical_field(b"A: X\r\n", RELAXED) == b"a:X\r\n"
    assert canonical_field(b"B : Y\t\r\n\tZ  \r\n", RELAXED) == b"b:Y Z\r\n"
    assert canonical_field(b"B : Y\t\r\n\tZ  \r\n", SIMPLE) == b"B : Y\t\r\n\tZ  \r\n"


def test_an_empty_body_is_a_line_end_by_simple_and_nothing_by_relaxed() -> None:
    for body in (b"", b"\r\n", b"\r\n\r\n"):
        assert canonical(body, SIMPLE) == b"\r\n"
        assert canonical(body, RELAXED) == b""
    assert canonical(b" \t\r\n  ", RELAXED) == b""


@forms
def test_a_missing_line_end_is_added(canon: Canonicalization) -> None:
    assert canonical(b"a", canon) == b"a\r\n"
    assert canonical(b"a\r\n\r", canon) == b"a\r\n\r\r\n"


@forms
@given(body=bodies, cuts=st.lists(st.integers(0, 20), max_size=5))
def test_a_body_in_parts_is_what_the_rfc_says(
    canon: Canonicalization, body: bytes, cuts: list[int]
) -> None:
    inside = [cut for cut in cuts if cut <= len(body)]
    assert canonical(body, canon, *inside) == naive(body, canon)


@forms
@given(body=bodies)
def test_the_canonical_form_is_canonical(canon: Canonicalization, body: bytes) -> None:
    once = canonical(body, canon)
    assert canonical(once, canon) == once


@given(body=lines)
def test_bodies_are_as_dkimpy_has_them(body: bytes) -> None:
    body += b"\r\n"
    assert canonical(body, SIMPLE) == dkimpy.Simple.canonicalize_body(body)
    # dkimpy 1.1.8 makes one line end of a body of blank lines, §3.4.4 says that it is empty.
    if canonical(body, RELAXED):
        assert canonical(body, RELAXED) == dkimpy.Relaxed.canonicalize_body(body)


@given(value=lines.filter(lambda value: b"\r\na" not in value and b"\r\nb" not in value))
def test_fields_are_as_dkimpy_has_them(value: bytes) -> None:
    value = re.sub(rb"(?:\r\n)+", rb"\r\n", value).removesuffix(b"\r\n") + b"\r\n"
    for canon, other in ((SIMPLE, dkimpy.Simple), (RELAXED, dkimpy.Relaxed)):
        ((name, theirs),) = other.canonicalize_headers([(b"Subject", value)])
        assert canonical_field(b"Subject:" + value, canon) == name + b":" + theirs


@pytest.mark.slow
def test_memory_does_not_grow_with_what_may_be_the_end() -> None:
    size = 0

    def take(octets: bytes) -> None:
        nonlocal size
        size += len(octets)

    form = CanonicalBody(RELAXED, take)
    part = b"\r\n" * 5000 + b" " * 5000
    form.update(part)
    tracemalloc.start()
    try:
        for _ in range(400):
            form.update(part)
        form.update(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    form.finish()
    assert size > 4_000_000
    assert peak < 200_000
