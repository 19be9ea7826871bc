"""What a domain says of its logo, the logo itself; and senders that are to be led back."""

from merpati.authenticity.bimi.evidence import unpacked_logo
from merpati.authenticity.bimi.indicator import MAX_FLAWS, MAX_OCTETS, flaws_of
from merpati.authenticity.bimi.record import Found, find, is_record, read_assertion, read_selector
from merpati.authenticity.srs import Rewriter, SrsError, is_rewritten
from merpati.mail.address import Address, AddressError
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.fuzz.target import Target

NOW = 1_600_000_000.0
US = Rewriter("us.test", [b"k" * 16])
NEXT = Rewriter("next.test", [b"n" * 16])


def record(octets: bytes) -> None:
    """A record is read, or passed over; what is found points to https or nowhere."""
    found = read_assertion(octets)
    assert (found is not None) is is_record(octets)
    lookup = Answers({"TXT default._bimi.a.test": [octets]}).answer(find("a.test", "a.test"))
    assert lookup.result in (Found.NONE, Found.PASS, Found.DECLINED, Found.FAIL)
    if lookup.result is Found.PASS and lookup.assertion:
        for uri in (lookup.assertion.location, lookup.assertion.evidence):
            assert not uri or uri.lower().startswith("https://")
    selector = read_selector(Headers.scan(b"BIMI-Selector: " + octets + b"\r\n\r\n"))
    assert selector == selector.lower()
    assert selector.replace("-", "").replace(".", "").isalnum()


def indicator(octets: bytes) -> None:
    """Any octets are judged; nothing acts or loads in what has no flaw."""
    flaws = flaws_of(octets)
    assert len(flaws) <= MAX_FLAWS + 2
    if not flaws:
        assert b"<!DOCTYPE" not in octets
        assert b"<script" not in octets


def srs(octets: bytes) -> None:
    """Whatever is rewritten comes back, through another host too, and what we did not make does
    not."""
    try:
        sender = Address.parse(octets.decode("utf-8", "replace"))
    except AddressError:
        return
    if sender.domain in ("", "us.test", "next.test"):
        _refuse(sender)
        return
    try:
        first = US.forward(sender, NOW)
        second = NEXT.forward(first, NOW)
    except SrsError:
        return
    assert is_rewritten(first)
    # A chain grows once only: it leads back to who rewrote first.
    assert US.reverse(first, NOW) == sender or is_rewritten(sender)
    assert NEXT.reverse(second, NOW) in (first, US.reverse(first, NOW))
    _refuse(Address(sender.local, "us.test"))


def evidence(octets: bytes) -> None:
    """A logotype extension, whatever is in it, gives a logo or says why there is none."""
    logo, why = unpacked_logo(octets)
    assert bool(logo) != bool(why)
    assert len(logo) <= MAX_OCTETS + 1


def _refuse(address: Address) -> None:
    try:
        US.reverse(address, NOW)
    except SrsError:
        return
    raise AssertionError("an address was led back that nobody rewrote")


_RECORD = (
    *(b"v=BIMI1;", b"l=https://a.test/x.svg;", b"a=", b"avp=personal;", b"lps=a,b;", b"s=a;", b";"),
    *(b"l=", b"https://", b"http://", b"a.test", b"@", b":443", b"[", b"]", b"%", b" ", b"\xff"),
)
_SVG = (
    *(b'<svg version="1.2" baseProfile="tiny-ps" xmlns="http://www.w3.org/2000/svg" ', b">", b"</"),
    *(b'viewBox="0 0 1 1">', b"<title>a</title>", b"<g>", b"</g>", b"</svg>", b"<a href='#'/>"),
    *(b"<!DOCTYPE", b"<!ENTITY", b"&a;", b"<script>", b'onload="x"', b"url(", b"#a)", b"<?xml "),
    *(b'encoding="', b'"', b"UTF-16", b"\xff\xfe", b"<![CDATA[", b"]]>", b"<!--", b"-->"),
)
_SRS = (
    *(b"SRS0=", b"SRS1=", b"srs0+", b"SRS0-", b"=", b"@", b"us.test", b"next.test", b"a.test"),
    *(b"AAAAAA", b"LB", b"==", b"+", b"-", b'"', b"\\", b"ann", b".", b"\xc3\xbc"),
)
_EVIDENCE = (
    *(b"\x30", b"\xa0", b"\xa2", b"\x16", b"\x80", b"\x82", b"\x84", b"\x01\x00", b"\xff\xff"),
    *(b"data:image/svg+xml;base64,", b"H4sIAAAAAAAC/w==", b"H4sI", b"=="),
)
TARGETS = (
    Target("bimi", record, _RECORD),
    Target("indicator", indicator, _SVG),
    Target("evidence", evidence, _EVIDENCE),
    Target("srs", srs, _SRS),
)
