"""How checks of authenticity are told in both languages."""

import re
from pathlib import Path

import pytest

import merpati.authenticity
from merpati.authenticity.dmarc.author import AuthorFlaw
from merpati.authenticity.dmarc.verdict import Alignment
from merpati.journal.events import Check, RecordSeen, SealSeen
from merpati.report.checks import evidence, told
from tests.cases import each

SOURCES = Path(merpati.authenticity.__file__).parent
SAID = re.compile(r'(?:Result\.[A-Z]+, |ChainError\(|\bwhy = )f?"([^"]+)"')


_ALTERED = ("the header was altered", "header and body were altered")
_BEGINNINGS = {
    "{why}, or the key is another one",
    "the header was altered",
    "{' and '.join(methods)} passed for {counting[0].alignment.value}",
}


def reasons() -> set[str]:
    """What the checks can say, with 7 for what they put in."""
    found = {
        reason
        for path in SOURCES.rglob("*.py")
        for reason in SAID.findall(path.read_text("utf-8"))
        if reason not in _BEGINNINGS
    }
    found |= {f"{how}, or the key is another one" for how in _ALTERED}
    found.add("DKIM and SPF passed for the same organizational domain")
    return found | {each.value for each in (*Alignment, *AuthorFlaw)}


@each("why", sorted(reasons()))
def test_every_reason_is_said_in_indonesian(why: str) -> None:
    said = re.sub(r"\{[^{}]*\}", "7", why)
    _, text = told(Check(method="dkim", result="fail", why=said), "id")
    pieces = said.split("; ")
    assert not any(piece in text.split("; ") for piece in pieces)


def test_that_a_record_is_cut_is_said_in_indonesian() -> None:
    why = "neither SPF nor DKIM passed; the record is longer than the 1000 characters that are kept"
    _, text = told(Check(method="dmarc", result="fail", why=why), "id")
    assert text.endswith("tidak lulus; catatan lebih panjang daripada 1000 karakter yang disimpan")


def test_english_is_as_it_was_said() -> None:
    why = "the key is revoked"
    check = Check(method="dkim", result="fail", about="a.test", selector="s", why=why)
    assert told(check, "en") == ("DKIM", "fail a.test (s); the key is revoked")


def test_a_reason_that_nobody_knows_stays_as_it_is() -> None:
    check = Check(method="x", result="odd", why="who knows")
    assert told(check, "id") == ("x", "odd; who knows")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "pass one.test; one.test, who is trusted, vouches for it"),
        ("id", "pass one.test; one.test, yang dipercaya, menjaminnya"),
    ],
)
def test_who_vouches_is_named(language: str, text: str) -> None:
    check = Check(method="arc", result="pass", about="one.test", vouched="one.test")
    assert told(check, language) == ("ARC", text)


def test_a_reason_within_another_is_said_too() -> None:
    check = Check(method="arc", result="fail", why="the seal of set 2: the key is revoked")
    assert told(check, "id") == ("ARC", "fail; segel set 2: kunci sudah dicabut")


def test_a_reverse_name_has_a_name_of_its_own() -> None:
    check = Check(method="iprev", result="pass", about="mx.a.test")
    assert told(check, "id") == ("nama balik", "pass mx.a.test")


ARC = Check(
    method="arc",
    result="fail",
    about="two.test",
    why="the seal of set 1: the key is revoked",
    seals=(
        SealSeen(1, "one.test", "s", "none", "fail"),
        SealSeen(2, "two.test", "", "pass", "pass"),
        SealSeen(4, "", "", "x"),
    ),
    seen=(RecordSeen("s._domainkey.one.test", "p="),),
    left_off=2,
)
SPF = Check(
    method="spf",
    identity="helo",
    result="permerror",
    seen=(
        RecordSeen("b.test", "v=spf1 -all"),
        RecordSeen("c.test"),
        RecordSeen("d.test", answered=False),
    ),
)


@each(
    ("check", "language", "lines"),
    [
        (
            ARC,
            "en",
            [
                ("ARC, set 1", "fail one.test (s); it found no chain before it (cv=none)"),
                ("ARC, set 2", "pass two.test; it found the chain before it good (cv=pass)"),
                ("ARC, set 4", "not checked; (cv=x)"),
                ("ARC, record of s._domainkey.one.test", "p="),
                ("ARC, left off", "2 more were seen, for which there was no room"),
            ],
        ),
        (
            ARC,
            "id",
            [
                (
                    "ARC, set 1",
                    "fail one.test (s); ia tidak menemukan rantai sebelumnya (cv=none)",
                ),
                (
                    "ARC, set 2",
                    "pass two.test; ia mendapati rantai sebelumnya baik (cv=pass)",
                ),
                ("ARC, set 4", "tidak diperiksa; (cv=x)"),
                ("ARC, catatan s._domainkey.one.test", "p="),
                ("ARC, tidak dimuat", "2 lagi dilihat, tetapi tidak ada tempat"),
            ],
        ),
        (
            SPF,
            "en",
            [
                ("SPF (HELO), record of b.test", "v=spf1 -all"),
                ("SPF (HELO), record of c.test", "no record"),
                ("SPF (HELO), record of d.test", "the DNS did not answer for now"),
            ],
        ),
        (
            SPF,
            "id",
            [
                ("SPF (HELO), catatan b.test", "v=spf1 -all"),
                ("SPF (HELO), catatan c.test", "tidak ada catatan"),
                ("SPF (HELO), catatan d.test", "DNS saat itu tidak menjawab"),
            ],
        ),
        (Check(method="spf", result="pass"), "en", []),
    ],
)
def test_what_a_check_went_by_is_told(
    check: Check, language: str, lines: list[tuple[str, str]]
) -> None:
    assert list(evidence(check, language)) == lines
