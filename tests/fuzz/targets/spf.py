"""SPF: records that are anything, read alone and in whole checks."""

from merpati.authenticity.seen import MAX_SHOWN
from merpati.authenticity.spf.check import MAX_TEXT, Client, check_host
from merpati.authenticity.spf.record import find_records, read_record
from merpati.authenticity.spf.result import Identity, Result, SpfError
from merpati.dns.resolver import Mx
from merpati.testing.answers import Answers
from tests.fuzz.target import Target


def spf_record(octets: bytes) -> None:
    """What can be read is made of terms that stand in it, with networks that there are."""
    assert find_records([octets, b"v=spf2"]) in ([], [octets])
    try:
        record = read_record(octets)
    except SpfError:
        return
    for directive in record.directives:
        assert directive.text.encode() in octets
        assert 0 <= directive.ipv4_bits <= 32
        assert 0 <= directive.ipv6_bits <= 128
        assert 0 <= directive.network < 1 << 128


def spf(octets: bytes) -> None:
    """Every check has a bounded verdict; NUL divides records, explanation and sender."""
    first, second, explanation, sender = (octets.split(b"\0", 3) + [b""] * 4)[:4]
    zone = Answers(
        {
            "TXT a.test": [b"v=spf1 " + first],
            "TXT b.test": [b"v=spf1 " + second],
            "TXT exp.test": [explanation],
            "MX a.test": [Mx(0, f"m{n}.test") for n in range(10)],
            "A a.test": ["192.0.2.1"],
            "PTR 192.0.2.7": [f"p{n}.test" for n in range(12)],
        }
    )
    local = sender.decode("utf-8", "replace")
    client = Client("192.0.2.7", local)
    verdict = zone.answer(check_host(Identity.MAIL_FROM, client, f"{local}@a.test"))
    assert len(zone.asked) <= 2 + 10 * 11 + 1
    assert verdict.lookups <= 10
    assert verdict.void_lookups <= 3
    assert verdict.explanation == "" or verdict.result is Result.FAIL
    for text in (verdict.mechanism, verdict.at, verdict.explanation):
        assert len(text) <= MAX_TEXT
        assert text == "" or text.isprintable()
    assert len(verdict.seen) <= 12
    assert len(verdict.path) <= 11
    for one in verdict.seen:
        assert len(one.name) <= 253
        assert len(one.record) == min(one.size, MAX_SHOWN)
        assert all(" " <= letter <= "~" for letter in one.name + one.record)


_WORDS = (
    *(b"all", b"-all", b"~", b"?", b"+", b"include:", b"a", b"a:", b"mx", b"ptr", b"exists:"),
    *(b"ip4:192.0.2.0/24", b"ip6:2001:db8::/32", b"redirect=", b"exp=exp.test", b"a.test"),
    *(b"b.test", b"exp.test", b"%{s}", b"%{l1r-}", b"%{d}", b"%{ir}", b"%{p}", b"%{h}", b"%{v}"),
    *(b"%{c}", b"%{t}", b"%%", b"%_", b"%-", b" ", b"\0", b"/24", b"//64", b"%{L9999r+-}", b"@"),
    *(b"%{S}.test ", b"\\", b"\xc3\xbc", b"x=%{o}", b"."),
)

TARGETS = (
    Target("spf_record", spf_record, (b"v=spf1 ", *_WORDS)),
    Target("spf", spf, _WORDS),
)
