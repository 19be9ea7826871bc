"""The header section: what is a field, where the body begins, and that nothing raises.

RFC 2047, 5322 and 6532."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.mail.headers import MAX_FIELDS, MAX_OCTETS, Headers

MESSAGE = (
    b"Received: from x\r\n\tby y\r\n"
    b"Subject: =?utf-8?q?Sel=C3=A9?=\r\n =?utf-8?q?_amat?=\r\n"
    b"received: from z\r\n"
    b"Bcc: secret@a.test\r\n"
    b"\r\nBody: no field\r\n"
)


def test_names_compare_without_case_and_values_are_unfolded() -> None:
    headers = Headers.scan(MESSAGE)
    assert headers.count("Received") == 2
    assert headers.get_all("RECEIVED") == ["from x\tby y", "from z"]
    assert headers.get("Body") is None


def test_encoded_words_are_decoded_for_display() -> None:
    assert Headers.scan(MESSAGE).text("subject") == "Selé amat"


def test_size_says_where_the_body_begins() -> None:
    assert MESSAGE[Headers.scan(MESSAGE).size :] == b"Body: no field\r\n"


def test_removing_bcc_leaves_every_other_octet() -> None:
    headers = Headers.scan(MESSAGE)
    assert headers.without({"bcc"}) == MESSAGE.split(b"Bcc:")[0]
    assert headers.without(set()) + b"\r\n" + MESSAGE[headers.size :] == MESSAGE


def test_bare_line_feeds_end_lines_too() -> None:
    headers = Headers.scan(b"To: a@b.test\n c\n\nbody")
    assert headers.get("To") == "a@b.test c"
    assert headers.size == len(b"To: a@b.test\n c\n\n")


@pytest.mark.parametrize(
    "body", [b"no field here\r\n", b" begins with a blank\r\n", b": no name\r\n"]
)
def test_a_line_that_is_no_field_begins_the_body(body: bytes) -> None:
    headers = Headers.scan(body)
    assert headers == Headers(b"", 0)


def test_a_value_never_holds_a_line_end_or_control() -> None:
    headers = Headers.scan(b"X: a\rb\x00c\r\n d =?utf-8?q?=0D=0Ae?=\r\n\r\n")
    assert headers.get("X") == "a b c d =?utf-8?q?=0D=0Ae?="
    assert headers.text("X") == "a b c d   e"


def test_a_section_beyond_the_limits_is_said_to_be_truncated() -> None:
    many = Headers.scan(b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n")
    assert many.truncated
    assert len(many.fields) == MAX_FIELDS
    long = Headers.scan(b"A: b\r\nC: " + b"x" * MAX_OCTETS + b"\r\n\r\n")
    assert long.truncated
    assert [field.name for field in long.fields] == ["A"]


def test_mailboxes_of_several_fields_come_together() -> None:
    headers = Headers.scan(b"To: a@x.test\r\nCc: B <b@x.test>, (\r\nTo: c@x.test\r\n\r\n")
    mailboxes = headers.mailboxes("To", "Cc")
    assert [str(address) for address in mailboxes.addresses] == ["a@x.test", "c@x.test", "b@x.test"]
    assert mailboxes.flaws == ("(",)


def test_a_name_is_found_whole_and_in_any_case() -> None:
    headers = Headers.scan(
        b"Toto: 1\r\nX-To: 2\r\ntO : 3\r\nX: a\r\n To: 4\r\nTO:5\r\n\r\nTo: 6\r\n"
    )
    assert headers.get_all("To") == ["3", "5"]
    assert headers.count("toto") == 1


@given(st.lists(st.sampled_from([b"a", b"B", b":", b" ", b"\n", b"\r\n", b"ab", b"A:b\n"])))
def test_what_is_found_by_name_is_what_stands_in_the_fields(pieces: list[bytes]) -> None:
    headers = Headers.scan(b"".join(pieces))
    for name in ("a", "AB", "b"):
        same = [field.value for field in headers.fields if field.name.lower() == name.lower()]
        assert headers.get_all(name) == same


@given(st.binary(max_size=400))
def test_any_octets_are_scanned_and_nothing_is_lost(octets: bytes) -> None:
    headers = Headers.scan(octets)
    section = headers.without(set())
    assert octets.startswith(section)
    assert octets[len(section) : headers.size].strip(b"\r\n") == b""
    for field in headers.fields:
        assert not set(field.text) & {"\r", "\n", "\x00"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece", [b"a", b"a: ", b"\n ", b"=?utf-8?q?", b": ", b"=?a?b?YQ==?= ", b'\\"']
)
def test_time_does_not_explode_with_repetition(piece: bytes) -> None:
    began = time.process_time()
    headers = Headers.scan((b"Subject: " + piece * (MAX_OCTETS // len(piece)))[: MAX_OCTETS - 1])
    headers.text("subject")
    headers.mailboxes("subject")
    # It takes tens of milliseconds; what is quadratic takes minutes.
    assert time.process_time() - began < 5.0
