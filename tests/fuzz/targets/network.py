"""What arrives below SMTP: PROXY headers, TLS records, DNS answers, and the names of endpoints."""

import asyncio
import ipaddress
import struct
import tempfile
from functools import cache
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.query

from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.dns.errors import DnsError
from merpati.dns.resolver import RECORD_LIMIT, Answer, Found
from merpati.testing.shown import showing
from merpati.wire.certificates import make_self_signed
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import ProxyError, TlsError, WireError
from merpati.wire.proxy import V2_LIMIT, parse_header
from merpati.wire.tls import TlsContext, TlsFilter
from tests.fuzz.target import Target

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def proxy(octets: bytes) -> None:
    """A header is found once it is whole, whatever stands behind it, and never before."""
    try:
        header = parse_header(octets)
    except ProxyError:
        return
    if header is None:
        assert len(octets) < V2_LIMIT
        return
    assert header.size <= min(len(octets), V2_LIMIT)
    assert parse_header(octets[: header.size]) == header
    assert all(parse_header(octets[:n]) is None for n in range(header.size))
    for end in (header.peer, header.local):
        if end is not None:
            assert Endpoint.parse(str(end)) == end
            ipaddress.ip_address(end.ip)


def endpoint(octets: bytes) -> None:
    """An endpoint that is read is written as what reads the same."""
    try:
        found = Endpoint.parse(octets.decode("utf-8", "surrogateescape"))
    except WireError:
        return
    assert Endpoint.parse(str(found)) == found
    assert found.path or 0 <= found.port <= 65535


@cache
def _context() -> TlsContext:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "certificate", Path(folder) / "key"
        make_self_signed(certificate, key, SystemClock(), ["mx.test"])
        return showing(certificate, key)


def tls(octets: bytes) -> None:
    """First octet: how many a time. A handshake that never was ends as a TlsError, or waits."""
    if not octets:
        return
    handshake = TlsFilter(_context(), True, None)
    step = octets[0] or len(octets)
    try:
        for at in range(1, len(octets), step):
            assert not handshake.handshake(octets[at : at + step])
            handshake.take()
    except TlsError as error:
        assert error.cause


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def dns_answer(octets: bytes) -> None:
    """First octet: what is asked. The rest answers it; it can be used, or the DNS failed."""
    if not octets:
        return
    settings = DnsSettings((("192.0.2.53", 53),), total_seconds=60.0)
    client = DnsClient(SystemClock(), settings)
    asked = dns.asyncquery.udp
    dns.asyncquery.udp = answering(octets[1:])
    try:
        answer = _loop().run_until_complete(_ask(client, octets[0]))
    except DnsError as error:
        assert error.cause
        return
    finally:
        dns.asyncquery.udp = asked
    assert len(answer.records) <= RECORD_LIMIT
    assert answer.records if answer.found is Found.RECORDS else not answer.records
    assert answer.ttl >= settings.min_ttl


def answering(octets: bytes):  # type: ignore[no-untyped-def]  # dnspython's own shape
    """What asks by UDP: whatever is asked, this is the answer behind its id."""

    async def answer(query: dns.message.Message, *_: object, **__: object) -> dns.message.Message:
        # As over TCP, where what is malformed is not passed over but raised.
        response = dns.message.from_wire(query.id.to_bytes(2, "big") + octets)
        if not query.is_response(response):
            raise dns.query.BadResponse
        return response

    return answer


async def _ask(client: DnsClient, choice: int) -> Answer[object]:
    match choice % 6:
        case 0:
            return await client.mx("b.test")  # type: ignore[return-value]  # its length is looked at
        case 1:
            return await client.ipv4("b.test")  # type: ignore[return-value]
        case 2:
            return await client.ipv6("b.test")  # type: ignore[return-value]
        case 3:
            return await client.txt("b.test")  # type: ignore[return-value]
        case 4:
            return await client.ptr("192.0.2.1")  # type: ignore[return-value]
        case _:
            return await client.tlsa(25, "b.test")  # type: ignore[return-value]


def records(kind: int, payload: bytes) -> bytes:
    """Behind the id: an answer to `b.test` with one record."""
    name = b"\x01b\x04test\x00"
    head = struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    return head + name + struct.pack("!HH", kind, 1) + _record(b"\xc0\x0c", kind, payload)


def _record(name: bytes, kind: int, payload: bytes) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, 300, len(payload)) + payload


_MX = records(15, b"\x00\x0a\x02mx\xc0\x0c")
_DNS = (
    _MX, records(1, b"\x7f\x00\x00\x01"), records(28, b"\x20\x01" + bytes(14)),
    records(16, b"\x05v=spf"), records(12, b"\x01p\xc0\x0c"),
    records(52, b"\x03\x01\x01" + bytes(32)), records(5, b"\xc0\x0c"),
    _record(b"\xc0\x0c", 15, b"\x00\x00\x00"), _record(b"\xc0\x0c", 5, b"\x01c\xc0\x0c"),
    _record(b"\xc0\x0c", 6, bytes(22)), _record(b"\x00", 41, b""), b"\xc0\x0c", b"\x00", b"\xff",
    b"\x81\x83", b"\x81\x82", b"\x01b", b"\x3f", b"\x00\x0f\x00\x01",
)  # fmt: skip
_PROXY = (
    b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
    b"PROXY UNKNOWN\r\n", b"PROXY ", b"TCP4 ", b" 65536", b"\r\n", _SIGNATURE,
    b"\x21\x11\x00\x0c", _SIGNATURE + b"\x21\x11\x00\x0c" + bytes(12),
    _SIGNATURE + b"\x21\x21\x00\x24" + bytes(36), _SIGNATURE + b"\x20\x00\x00\x00", b"\x00",
    b"\xff", b"EHLO x\r\n", b"::", b"%1", b"f" * 50,
)  # fmt: skip
_ENDPOINTS = (
    b"127.0.0.1:25", b"[::1]:25", b"unix:", b"/a", b":", b"[", b"]", b"9" * 5000, b"%lo",
    "٣".encode(), b"\0", b"::ffff:1.2.3.4", b"\xff",
)  # fmt: skip
_TLS = (
    b"\x16\x03\x01\x00\x05", b"\x16\x03\x03", b"\x01\x00\x00\x01\x03\x03", bytes(32), b"\x00\x02",
    b"\x13\x01", b"\x15\x03\x03\x00\x02\x02\x28", b"\x17\x03\x03\x40\x00",
    b"\x80\x2e\x01\x03\x01", b"EHLO x\r\n", b"\xff", b"\x14\x03\x03\x00\x01\x01",
    b"\x00\x2b\x00\x03\x02\x03\x04",
)  # fmt: skip

TARGETS = (
    Target("proxy", proxy, _PROXY, longest=4096),
    Target("endpoint", endpoint, _ENDPOINTS),
    Target("tls", tls, _TLS, head=b"\x40"),
    Target("dns_answer", dns_answer, _DNS, head=b"\x00" + _MX),
)
