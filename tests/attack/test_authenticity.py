"""A stranger's mail is examined: what he writes in it, and in a DNS of his own, gains him nothing.

Strangers come through a balancer that tells their addresses (PROXY): 192.0.2.66 is the forger's.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from merpati.authenticity.results import MAX_FIELDS, parse_results
from merpati.mail.headers import Headers
from merpati.testing.zone import Fault, ZoneServer, zone_in_a_thread
from tests.attack.caller import Caller
from tests.attack.conftest import Fortress
from tests.attack.test_text import ACTIVE

pytestmark = pytest.mark.slow

CONFIG = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
proxy = ["127.0.0.1/32"]
[[port]]
role = "lmtp"
listen = "127.0.0.1:{lmtp}"
[dns]
servers = ["127.0.0.1:{dns}"]
[limits]
message_size = "60 MiB"
"""
# As zone files write octets that are none of ASCII's letters: ESC, C1, an override, a line end.
ACTIVE_OCTETS = r"\027[31m\194\155\226\128\174\r\010\"}}\013\010X-Forged:\032yes"
BITS = "v=DKIM1; p=" + base64.b64encode(b"no key").decode()
ZONE = rf"""
bank.test           TXT  "v=spf1 -all"
_dmarc.bank.test    TXT  "v=DMARC1; p=reject"
evil.test           TXT  "v=spf1 ip4:192.0.2.66 ?all {ACTIVE_OCTETS}"
_dmarc.evil.test    TXT  "v=DMARC1; p=none; x={ACTIVE_OCTETS}"
s._domainkey.evil.test TXT "{BITS}; n={ACTIVE_OCTETS}"
plain.test          TXT  "v=spf1 ip4:192.0.2.66 -all"
66.2.0.192.in-addr.arpa PTR \027[31m\010x.evil.test
"""
FORGER = b"PROXY TCP4 192.0.2.66 192.0.2.1 40000 25\r\n"
SIGNATURE = b"DKIM-Signature: v=1; a=rsa-sha256; d=%s; s=%s; h=from; bh=YQ==; b=YQ==%s\r\n"
FROM = b"From: <eve@plain.test>\r\n"
CLAIM = b"Authentication-Results: %s; dmarc=pass header.from=bank.test\r\n"


class Examining(Fortress):
    """A fortress that asks the forger's DNS."""

    def __init__(self, folder: Path, dns: ZoneServer) -> None:
        super().__init__(folder, config=CONFIG.replace("{dns}", str(dns.address[1])))
        self.dns = dns

    @contextmanager
    def forger(self, helo: bytes = b"plain.test") -> Iterator[Caller]:
        with Caller(self.mx, seconds=60) as caller:
            caller.send(FORGER)
            assert caller.reply().startswith("220")
            assert caller.say(b"EHLO " + helo).startswith("250")
            yield caller

    def receives(
        self, message: bytes, sender: bytes = b"eve@plain.test", *, bdat: bool = False
    ) -> str:
        """The reply to a forger's message."""
        with self.forger() as caller:
            _open(caller, sender)
            return _bdat(caller, message) if bdat else _data(caller, message)

    def kept(self, reply: str) -> bytes:
        """The one mail that was taken, out of the mailbox."""
        assert reply.startswith("250"), reply
        self.wait_drained()
        (path,) = self.files()
        octets = path.read_bytes().replace(b"\n", b"\r\n")
        path.unlink()
        return octets


def _open(caller: Caller, sender: bytes = b"eve@plain.test") -> None:
    assert caller.say(b"MAIL FROM:<" + sender + b">").startswith("250")
    assert caller.say("RCPT TO:<ann@a.test>").startswith("250")


def _data(caller: Caller, message: bytes) -> str:
    assert caller.say("DATA").startswith("354")
    caller.send(message)
    return caller.say(b".")


def _bdat(caller: Caller, message: bytes) -> str:
    """In two chunks, cut within the header section."""
    cut = len(message) // 3
    caller.send(b"BDAT %d\r\n" % cut + message[:cut])
    assert caller.reply().startswith("250")
    caller.send(b"BDAT %d LAST\r\n" % (len(message) - cut) + message[cut:])
    return caller.reply()


def _folded(piece: bytes, times: int) -> bytes:
    """In lines that are not too long for a message."""
    a_line = max(1, 600 // len(piece))
    return b"\r\n ".join([piece * a_line] * (times // a_line))


@pytest.fixture(scope="module")
def dns() -> Iterator[ZoneServer]:
    with zone_in_a_thread(ZONE) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, dns: ZoneServer) -> Iterator[Examining]:
    examining = Examining(tmp_path_factory.mktemp("examining"), dns)
    examining.populate()
    with examining:
        examining.wait_whole()
        yield examining
    assert "Traceback" not in examining.output(), examining.output()


class TestWhoseMailItIs:
    """From and Authentication-Results, on both ways that content comes."""

    @pytest.mark.parametrize("bdat", [False, True])
    @pytest.mark.parametrize(
        "fields",
        [
            b"From: <ceo@bank.test>\r\n",
            b"FROM\t: <ceo@bank.test>\r\n",
            b"From:\r\n <ceo@bank\r\n .test>\r\n",
            b"From: <eve@plain.test>\r\nfrom : <ceo@bank.test>\r\n",
            b"From: <eve@plain.test>, <ceo@bank.test>\r\n",
            b"From: <@plain.test:ceo@bank.test>\r\n",
            b"From: eve@plain.test: ceo@bank.test;\r\n",
            b"From: <ceo@bank.test> <eve@plain.test>\r\n",
            b"From: =?utf-8?q?=3Cceo=40bank=2Etest=3E?=, <eve@plain.test>\r\n",
            b"From: ceo@bank.test\x00 <eve@plain.test>\r\n",
            b"From: <ceo@bank.test>" + _folded(b"(", 5000) + b", <eve@plain.test>\r\n",
            b"From: " + _folded(("<a@" + "\u0660" * 60 + ".test>,").encode(), 900) + b"\r\n",
            b"no field\r\nFrom: <ceo@bank.test>\r\n",
            b" From: <ceo@bank.test>\r\n",
        ],
    )
    def test_who_could_be_taken_for_another_is_refused(
        self, server: Examining, fields: bytes, bdat: bool
    ) -> None:
        assert server.receives(fields + b"\r\nHi\r\n", bdat=bdat).startswith("550")
        assert server.files() == []

    @pytest.mark.parametrize("bdat", [False, True])
    def test_fields_that_were_not_examined_are_none_for_anybody(
        self, server: Examining, bdat: bool
    ) -> None:
        hidden = b"no field\r\nFrom: <ceo@bank.test>\r\n" + CLAIM % b"mx.a.test" + b"\r\nHi\r\n"
        octets = server.kept(server.receives(FROM + hidden, bdat=bdat))
        assert octets.endswith(FROM + b"\r\n" + hidden)

    @pytest.mark.parametrize("bdat", [False, True])
    def test_nothing_is_told_in_our_name(self, server: Examining, bdat: bool) -> None:
        spellings = [
            *(b"mx.a.test", b"MX.A.TEST", b"mx.a.test.", b'"mx.a.test"', b'"mx\\.a.test"'),
            *(b"mx.a.test/1", b"mx.a.test 1", b"(x) mx.a.test (y)", b"mx(x).a.test"),
            *(b"mx(x(y)).a.test", b"mx.\r\n\ta.test", b"=?utf-8?q?mx.a.test?=", b"\r\n mx.a.test"),
            *(b"mx.a.test\t1", b"mx.a.te\xc2\xadst", b"mx.a.test=x", b'"\\m\\x.a.test"'),
            *(b"mx\xe3\x80\x82a.test", b"m\xef\xbd\x98.a.test", b"(mx.a.test"),
        ]
        # What no reader can read, and does not name us, is left alone.
        assert server.kept(server.receives(CLAIM % b'"x' + FROM + b"\r\nHi\r\n")).count(b'"x;') == 1
        claims = b"".join(CLAIM % each for each in spellings)
        other = CLAIM % b"mx.plain.test"
        # Of more than thirty none is kept, so they come in two messages.
        for section in (claims + other + FROM, FROM + claims.replace(b"-R", b"-r") + other):
            assert section.lower().count(b"authentication-results:") <= MAX_FIELDS
            octets = server.kept(server.receives(section + b"\r\nHi\r\n", bdat=bdat))
            told = Headers.scan(octets).get_all("authentication-results")
            assert [each.partition(";")[0] for each in told] == ["mx.a.test", "mx.plain.test"]
            assert "dmarc=none" in told[0]


class TestStrangersWords:
    """What a forger writes, in the mail and in the DNS, stays one value where it is told."""

    def test_they_end_no_field_and_no_line_and_move_no_cursor(self, server: Examining) -> None:
        signatures = b"".join(
            SIGNATURE % (domain, selector, b"")
            for domain, selector in (
                (b"evil.test", b"s"),
                ("\u202e\u2066evil\uffff; dmarc=pass".encode(), b"s"),
                (b'(")evil.test', "\u202e)".encode() + b'"\\'),
                ("x\u009b2J.\u200e".encode(), b"a;b"),
            )
        )
        helo = b'\x1b[31m"(\\x;dmarc=pass'
        with Caller(server.mx) as caller:
            caller.send(FORGER)
            caller.reply()
            caller.say(b"HELO " + helo)
            caller.say(b"EHLO plain.test")
            _open(caller, b'"x; dmarc=pass (\\"\\\\"@evil.test')
            reply = _data(caller, signatures + b"From: <eve@evil.test>\r\n\r\nHi\r\n")
        octets = server.kept(reply)
        (told,) = Headers.scan(octets).get_all("authentication-results")
        assert told.isascii()
        assert told.replace("\t", "").isprintable()
        methods = [one.method for one in parse_results(told).findings]
        assert methods == ["iprev", "spf", "spf", "dkim", "dkim", "dkim", "dkim", "dmarc"]
        assert b"X-Forged" not in octets.partition(b"\r\n\r\n")[0].split(b"DKIM-Signature")[0]
        story = server.command("trace", reply.rsplit(" ", 1)[1]).output
        assert "DMARC" in story
        assert "evil.test" in story
        assert not ACTIVE.search(story.replace("\n", "")), ACTIVE.findall(story)
        for line in server.output().splitlines():
            assert not ACTIVE.search(line), line

    def test_a_greeting_of_controls_is_told_as_one_value(self, server: Examining) -> None:
        with server.forger() as caller:
            assert caller.say(b"MAIL FROM:<>").startswith("250")
            assert caller.say("RCPT TO:<ann@a.test>").startswith("250")
            octets = server.kept(_data(caller, FROM + b"\r\nHi\r\n"))
        (told,) = Headers.scan(octets).get_all("authentication-results")
        assert parse_results(told).findings[1].get("smtp", "helo") == "plain.test"


class TestWhatItCosts:
    """CPU and memory that one message buys."""

    @pytest.mark.parametrize(
        "head",
        [
            b"X: y\r\n" * 990,
            b"".join(SIGNATURE % (b"evil.test", b"s%d" % n, b"") for n in range(900)),
            SIGNATURE % (b"evil.test", b"s", b"; z=" + _folded(b"y", 100_000)),
            SIGNATURE.replace(b"h=from", b"h=" + b"x:" * 190 + b"from") % (b"b.test", b"s", b"")
            + b"X: y\r\n" * 900,
            b"DKIM-Signature: " + b";\r\n ".join(b"t%d=x" % n for n in range(9000)) + b"\r\n",
            b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=evil.test; s=s; b=YQ==\r\n" * 900,
            b"Authentication-Results: " + _folded(b"()", 50_000) + b"\r\n",
            b"Authentication-Results: ((((((((()))))))))x(y)\r\n" * 900,
            b"Authentication-Results: =?utf-8?q?=6d?=\r\n" * 900,
        ],
    )
    def test_of_cpu_a_header_section_buys_little(self, server: Examining, head: bytes) -> None:
        """By what cannot be checked; `tests/authenticity/test_turns.py` has what can."""
        before = server.seconds()
        head = head[:120_000].rpartition(b"\r\n")[0] + b"\r\n"
        server.kept(server.receives(head + FROM + b"\r\nHi\r\n"))
        assert server.seconds() - before < 1.0

    def test_of_cpu_answers_of_the_dns_buy_little(self, server: Examining) -> None:
        """Ten keys of 64 KiB each took two seconds, in which nobody else was served."""
        for n in range(10):
            for record in range(900):
                value = f'"{record:04d}{"x" * 50}"'
                server.dns.zone.add(f"big{n}._domainkey.evil.test", "TXT", value)
        keys = b"".join(SIGNATURE % (b"evil.test", b"big%d" % n, b"") for n in range(10))
        before = server.seconds()
        octets = server.kept(server.receives(keys + FROM + b"\r\nHi\r\n"))
        assert server.seconds() - before < 1.0
        (told,) = Headers.scan(octets).get_all("authentication-results")
        assert told.count("dkim=temperror") == 10

    def test_of_memory_a_large_message_with_many_hashes_buys_little(
        self, server: Examining
    ) -> None:
        keys = b"".join(
            SIGNATURE % (b"evil.test", b"s", b"; c=relaxed/%s; l=%d" % (body, n))
            for n, body in enumerate([b"simple", b"relaxed"] * 5)
        )
        piece = b"a  b\t\r\n" * 100_000
        before = server.memory()
        with server.forger() as caller:
            _open(caller)
            caller.say("DATA")
            caller.send(keys + FROM + b"\r\n")
            highest = 0
            for _ in range(30):
                caller.send(piece + b"\r\n" * 100_000)
                highest = max(highest, server.memory())
            assert caller.say(b".").startswith("250")
        assert highest - before < 60 * 1024 * 1024
        server.wait_drained()
        for path in server.files():
            path.unlink()

    def test_a_body_that_drips_is_examined_like_all(self, server: Examining) -> None:
        with server.forger() as caller:
            _open(caller)
            caller.say("DATA")
            for octet in SIGNATURE % (b"evil.test", b"s", b"") + FROM + b"\r\nHi \r\n":
                caller.send(bytes([octet]))
            octets = server.kept(caller.say(b"."))
        assert b"dkim=permerror" in octets


class TestDns:
    """That lies or fails."""

    @pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED])
    def test_no_answer_about_what_is_the_forgers_saves_him(
        self, server: Examining, fault: Fault
    ) -> None:
        server.dns.faults["plain.test"] = server.dns.faults["s._domainkey.plain.test"] = fault
        server.dns.faults["66.2.0.192.in-addr.arpa"] = fault
        try:
            message = (
                SIGNATURE % (b"plain.test", b"s", b"") + b"From: <ceo@bank.test>\r\n\r\nHi\r\n"
            )
            assert server.receives(message).startswith("550 5.7.1")
        finally:
            server.dns.faults.clear()
