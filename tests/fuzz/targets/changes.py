"""What the primary of a zone answers to a change (DNS UPDATE, TSIG), and what the DNS says of who
that is."""

import asyncio
from functools import cache, partial
from typing import Any

import dns.asyncquery
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import dns.tsig

import merpati.dns.update
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError, UpdateError
from merpati.dns.key import Algorithm, TsigKey
from merpati.dns.update import Change, RecordSet, Updater, UpdateSettings
from tests.fuzz.target import Target
from tests.fuzz.targets.network import answering, records

SERVER = ("192.0.2.53", 53)
KEY = TsigKey("k.test.", Algorithm.HMAC_SHA256, bytes(range(32)))
_RING = {dns.name.from_text(KEY.name): dns.tsig.Key(KEY.name, KEY.secret, "hmac-sha256")}
_CHANGE = Change(
    "a.test",
    expected=(RecordSet("_dmarc.a.test.", "TXT"),),
    added=(RecordSet("_dmarc.a.test.", "TXT", ('"v=DMARC1; p=none"',)),),
)
RCODES = (0, 0, 0, 5, 6, 8, 9, 16)


class _Stream:
    """A connection to a primary. First octet of `said`: what it says is signed and spoilt at will
    (its code, a place, what stands there instead), or all of it is as given, but the id."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._left = b""
        self.true = self.sent = b""
        self.code = 0

    async def __aenter__(self) -> "_Stream":
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    async def getpeername(self) -> tuple[str, int]:
        """Whoever was dialled."""
        return SERVER

    async def sendall(self, what: bytes, _timeout: float) -> None:
        """Take a question, and make its answer."""
        query: Any = dns.message.from_wire(what[2:], keyring=_RING)
        answer = self._signed(query) if self._said[0] & 1 else what[2:4] + self._said[1:]
        self.sent = answer
        self._left = len(answer).to_bytes(2, "big") + answer

    async def recv(self, size: int, _timeout: float) -> bytes:
        """The next octets of it; none: it ended."""
        piece, self._left = self._left[:size], self._left[size:]
        return piece

    def _signed(self, query: Any) -> bytes:
        answer: Any = dns.message.make_response(query)
        self.code = RCODES[self._said[0] // 2 % len(RCODES)]
        answer.set_rcode(self.code)
        self.true = true = bytes(answer.to_wire())
        at = int.from_bytes(self._said[1:3], "big") % len(true)
        instead = self._said[3:]
        return true[:at] + instead + true[at + len(instead) :]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _updater() -> Updater:
    settings = UpdateSettings(KEY, "a.test", SERVER)
    return Updater(_resolver(), settings)


def update_answer(octets: bytes) -> None:
    """A change was made where the key's holder says so of this change, and nobody else; whatever
    else comes says what it is."""
    if not octets:
        return
    stream = _Stream(octets)
    dial = merpati.dns.update.connect
    merpati.dns.update.connect = partial(_connected, stream)
    try:
        _loop().run_until_complete(_updater().apply(_CHANGE))
    except UpdateError as error:
        assert error.cause
        return
    finally:
        merpati.dns.update.connect = dial
    assert stream.code == 0
    # All but the signature itself, whose name may be written in other letters.
    assert stream.true
    assert stream.sent[:_SIGNED] == stream.true[:_SIGNED]


def soa_answer(octets: bytes) -> None:
    """The primary of a zone is a few addresses that a change can go to, or there is none."""
    asked = dns.asyncquery.udp
    dns.asyncquery.udp = _naming(octets)
    updater = Updater(_resolver(), UpdateSettings(KEY))
    try:
        servers = _loop().run_until_complete(updater.servers("b.test"))
    except (DnsError, UpdateError) as error:
        assert error.cause
        return
    finally:
        dns.asyncquery.udp = asked
    assert servers == (("192.0.2.7", 53),)


def _naming(octets: bytes):  # type: ignore[no-untyped-def]  # dnspython's own shape
    spoilt = answering(octets)

    async def answer(query: Any, *others: object, **named: object) -> dns.message.Message:
        (question,) = query.question
        if question.rdtype == dns.rdatatype.SOA:
            return await spoilt(query, *others, **named)
        response = dns.message.make_response(query)
        if question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 300, "IN", "A", "192.0.2.7"))
        return response

    return answer


def _resolver() -> DnsClient:
    return DnsClient(SystemClock(), DnsSettings((SERVER,), total_seconds=60.0))


async def _connected(stream: _Stream, *_: object) -> _Stream:
    return stream


_SIGNED = 12 + len(b"\x01a\x04test\0") + 4
"""Octets of an answer that stand before its signature: head, and the zone."""
_HEAD = b"\xa8\x00\x00\x01" + bytes(6)
_TSIG = b"\x01k\x04test\x00\x00\xfa\x00\xff\x00\x00\x00\x00"
_WORDS = (
    b"\x01", b"\x01\xff\xff", b"\x07", b"\x00" + _HEAD, b"\x00\xa8\x05" + _HEAD[2:], b"\xa8\x09",
    b"\x01a\x04test\x00\x00\x06\x00\x01", _TSIG, b"\x00\x3d\x0bhmac-sha256\x00" + bytes(6),
    b"\x01\x2c\x00\x20", b"\xc0\x0c", b"\x00\xfa\x00\xff", b"\x00\x01", b"\x00", b"\xff", b"\x3f",
    b"\x00\x10\x00\x06", b"\x00\x12\x00\x06", b"\x00\x29\x10\x00",
)  # fmt: skip
_SOA = records(6, b"\x02ns\xc0\x0c\x02hm\xc0\x0c" + bytes(20))
_SOAS = (
    _SOA, records(6, b"\x00\x00" + bytes(20)), records(5, b"\xc0\x0c"), b"\x81\x83", b"\x81\x82",
    records(6, b"\xc0\x0c\xc0\x0c" + bytes(20)), b"\x81\x80", b"\x00\x01", b"\x00\x02", b"\xc0\x0c",
    b"\xc0\x0c\x00\x06\x00\x01" + bytes(4), b"\x3f" + b"a" * 63, b"\x02ns", b"\x00", b"\xff",
    b"\x01b\x04test\x00",
)  # fmt: skip
TARGETS = (
    Target("update_answer", update_answer, _WORDS, longest=16 * 1024, head=b"\x00" + _HEAD),
    Target("soa_answer", soa_answer, _SOAS, head=_SOA),
)
