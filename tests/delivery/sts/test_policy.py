"""The record and the policy of MTA-STS as they are written (RFC 8461 §3)."""

import time

import pytest

from merpati.delivery.backing import StsMode
from merpati.delivery.sts.policy import MAX_LINES, PolicyError, StsPolicy, parse_policy
from merpati.delivery.sts.record import policy_id
from tests.cases import each

EXAMPLE = (
    b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n"
)
READ = StsPolicy(StsMode.ENFORCE, 604_800, ("mail.example.com", "*.example.net"))


@each(
    ("records", "ident"),
    [
        ([b"v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=STSv1 ; id = 1 ; later=x"], "1"),
        ([b"v=spf1 -all", b"v=STSv1; id=1"], "1"),
        ([], None),
        ([b"v=STSv1; id=1", b"v=STSv1; id=2"], None),
        ([b"v=STSv1; id=1; id=2"], "1"),
        ([b"v=STSv1; id=with-dash; id=1"], None),
        ([b"v=STSv1"], None),
        ([b"v=STSv1; id="], None),
        ([b"v=STSv1; id=with-dash"], None),
        ([b"v=STSv1; id=" + b"1" * 33], None),
        ([b"v=STSv1; id=1; nonsense"], None),
        ([b"v=STSv12; id=1"], None),
        ([b"V=STSV1; id=1"], None),
        ([b" v=STSv1; id=1"], None),
        ([b"v=STSv1; id=1;" + b"a=b;" * 1000], None),
    ],
)
def test_one_record_with_one_id_says_that_there_is_a_policy(
    records: list[bytes], ident: str | None
) -> None:
    assert policy_id(records) == ident


@each(
    "text",
    [
        EXAMPLE,
        EXAMPLE.replace(b"\n", b"\r\n"),
        EXAMPLE.rstrip(b"\n"),
        EXAMPLE.replace(b": ", b" :\t"),
        EXAMPLE + b"later: something\n",
        EXAMPLE + "later: später, 後で, \N{ENVELOPE WITH LIGHTNING}\n".encode(),
        EXAMPLE + "later: a\N{NEXT LINE}mode: none\N{LINE SEPARATOR}mx: x\n".encode(),
        EXAMPLE + b"mode: none\n",
        EXAMPLE.replace(b"mail.example.com", b"MAIL.example.com."),
        EXAMPLE + b"mx: mail.example.com\n",
    ],
)
def test_a_policy_is_read(text: bytes) -> None:
    assert parse_policy(text) == READ


@each(
    ("text", "why"),
    [
        (b"", "version"),
        (EXAMPLE.replace(b"STSv1", b"STSv2"), "version"),
        (EXAMPLE.replace(b"enforce", b"force"), "mode"),
        (EXAMPLE.replace(b"604800", b"31557601"), "max_age"),
        (EXAMPLE.replace(b"604800", b"-1"), "max_age"),
        (EXAMPLE.replace(b"604800", b"1e5"), "max_age"),
        (b"version: STSv1\nmode: enforce\nmax_age: 1\n", "no mx"),
        (EXAMPLE + b"mx: *\n", "no host"),
        (EXAMPLE + b"mx: a.*.test\n", "no host"),
        (EXAMPLE + b"mx: .a.test\n", "no host"),
        (EXAMPLE + b"mx: a..test\n", "no host"),
        (EXAMPLE + b"mx: [192.0.2.1]\n", "no host"),
        (EXAMPLE + b"nonsense\n", "no field"),
        (EXAMPLE + b"<html>\n", "no field"),
        (EXAMPLE + "mx: bücher.test\n".encode(), "ASCII"),
        (EXAMPLE + "mx: mail.example.\N{KELVIN SIGN}\n".encode(), "ASCII"),
        (EXAMPLE.replace(b"enforce", "énforce".encode()), "mode"),
        (EXAMPLE.replace(b"604800", "\N{FULLWIDTH DIGIT SIX}".encode()), "max_age"),
        (EXAMPLE + "später: x\n".encode(), "no field"),
        (EXAMPLE + b"later: \xe9\n", "UTF-8"),
        (EXAMPLE + b"a: b\n" * MAX_LINES, "lines"),
    ],
)
def test_what_is_no_policy_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse_policy(text)


def test_a_policy_that_ends_one_names_no_hosts() -> None:
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 86400\n").mode is StsMode.NONE


@each(
    ("host", "allowed"),
    [
        ("mail.example.com", True),
        ("Mail.Example.com.", True),
        ("mx.example.net", True),
        ("example.net", False),
        ("a.mx.example.net", False),
        ("other.example.com", False),
        ("mail.example.com.evil.test", False),
        ("", False),
    ],
)
def test_a_star_is_one_whole_label(host: str, allowed: bool) -> None:
    assert READ.allows(host) is allowed


def test_blanks_within_a_value_cost_no_more_than_letters() -> None:
    """A policy is read for each delivery; looking for where they end took 12 s for 64 KiB."""
    started = time.process_time()
    policy = parse_policy(b"version: STSv1\nmode: none\nmax_age: 9\nx: a" + b" " * 60_000 + b"b\n")
    assert policy.max_age == 9
    assert time.process_time() - started < 1.0
