"""PROXY protocol headers: what is read, what is refused, and from whom."""

import asyncio
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import ProxyError
from merpati.wire.listen import Arrival, Crowd, ListenSettings
from merpati.wire.proxy import V1_LIMIT, V2_LIMIT, Header, parse_header
from tests.cases import each

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TEXT = b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n"


def binary(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(payload)) + payload


BINARY = binary(0x21, 0x11, bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 40000, 25))
CLIENT = Endpoint("192.0.2.1", 40000)
HERE = Endpoint("198.51.100.2", 25)


@pytest.mark.parametrize("header", [TEXT, BINARY], ids=["v1", "v2"])
def test_header_names_the_client_whatever_follows(header: bytes) -> None:
    assert parse_header(header) == Header(CLIENT, HERE, len(header))
    assert parse_header(header + b"EHLO a\r\n") == Header(CLIENT, HERE, len(header))


@pytest.mark.parametrize("header", [TEXT, BINARY], ids=["v1", "v2"])
def test_header_in_parts_needs_more_until_it_is_whole(header: bytes) -> None:
    assert all(parse_header(header[:n]) is None for n in range(len(header)))


def test_ipv6_in_both_versions() -> None:
    ip = ipaddress.ip_address("2001:db8::1")
    text = b"PROXY TCP6 2001:db8::1 2001:db8::1 1 2\r\n"
    payload = ip.packed * 2 + struct.pack("!HH", 1, 2)
    for header in (text, binary(0x21, 0x21, payload + b"\x04\x00\x01x")):
        assert parse_header(header) == Header(
            Endpoint("2001:db8::1", 1), Endpoint("2001:db8::1", 2), len(header)
        )


@each(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        binary(0x20, 0x00, b""),
        binary(0x20, 0x11, b"\0" * 12),
        binary(0x21, 0x00, b""),
    ],
)
def test_proxy_that_speaks_for_itself_names_nobody(header: bytes) -> None:
    assert parse_header(header) == Header(None, None, len(header))


@each(
    "header",
    [
        b"EHLO a.test\r\n",
        b"PROXX",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 65536\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.999 198.51.100.2 40000 25\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 40000 25\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN " + b"x" * V1_LIMIT,
        b"\r\n\r\n\x00\r\nQUIX",
        SIGNATURE + b"\x31\x11\x00\x0c",
        SIGNATURE + b"\x22\x11\x00\x0c",
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, V2_LIMIT - 15),
        binary(0x21, 0x11, b"\0" * 11),
        binary(0x21, 0x12, b"\0" * 12),
        binary(0x21, 0x31, b"\0" * 216),
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyError):
        parse_header(header)


def test_longest_text_header_has_107_octets_and_passes() -> None:
    longest = b"PROXY UNKNOWN " + b"f" * (V1_LIMIT - 16) + b"\r\n"
    assert parse_header(longest) == Header(None, None, V1_LIMIT)


@given(
    st.one_of(
        st.binary(max_size=600),
        st.binary(max_size=120).map(lambda octets: b"PROXY " + octets),
        st.binary(max_size=600).map(lambda octets: SIGNATURE + octets),
    )
)
def test_any_octets_give_a_header_a_wait_or_a_refusal(octets: bytes) -> None:
    try:
        header = parse_header(octets)
    except ProxyError:
        return
    assert len(octets) < V2_LIMIT if header is None else header.size <= len(octets)


LISTED = ListenSettings(proxies=(ipaddress.ip_network("127.0.0.1/32"),), connections_per_ip=1)


async def say_who(arrival: Arrival) -> None:
    arrival.stream.write(f"{arrival.peer} {arrival.crowd} {arrival.stream.pending}".encode())
    while await arrival.stream.read():
        pass
    await arrival.stream.close()


async def test_listed_peer_is_who_it_says_and_limits_count_the_client(serving_port) -> None:
    async with serving_port(say_who, LISTED) as port:
        first, second, third = [await port.dial() for _ in range(3)]
        first.write(TEXT + b"EHLO")
        assert await first.read() == b"192.0.2.1:40000 None 4"
        second.write(BINARY)
        assert await second.read() == b"192.0.2.1:40000 " + str(Crowd.PER_IP).encode() + b" 0"
        third.write(TEXT.replace(b"192.0.2.1", b"192.0.2.9"))
        assert await third.read() == b"192.0.2.9:40000 None 0"
        for stream in (first, second, third):
            await stream.close()


async def test_listed_peer_without_a_header_is_dropped_unheard(serving_port) -> None:
    async with serving_port(say_who, LISTED) as port:
        stream = await port.dial()
        stream.write(b"EHLO a.test\r\n" * 20)
        async with asyncio.timeout(4):
            assert await stream.read() == b""
        await stream.close()
        assert not port.failures


async def test_header_from_anyone_else_is_not_believed(serving_port) -> None:
    async with serving_port(say_who) as port:
        stream = await port.dial()
        stream.write(TEXT)
        assert (await stream.read()).startswith(b"127.0.0.1:")
        await stream.close()
