"""The PROXY protocol, versions 1 and 2: who is really there, as a load balancer in front says.

Read before any banner and from listed peers only, since the header is believed. `parse_header`
knows no I/O; `read_header` pumps a stream into it.
"""

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import Protocol

from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import ProxyError

SECONDS = 5.0
"""Within which a listed peer has to send its header."""
V1_LIMIT = 107
"""Octets with CRLF: the longest text header that the specification (§2.1) allows."""
V2_LIMIT = 536
"""Octets that are accepted of a binary header: 16 fixed, 216 addresses and room for TLVs."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5})\r\n")
_FIXED = struct.Struct("!12sBBH")
_INET, _INET6, _STREAM, _UNSPEC = 0x10, 0x20, 0x01, 0x00


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. No `peer`: the proxy speaks for itself (LOCAL, UNKNOWN)."""

    peer: Endpoint | None
    local: Endpoint | None
    size: int
    """Octets of the header; what stands behind it is the client's."""


class Readable(Protocol):
    """The part of a stream that is needed here."""

    async def read(self) -> bytes:
        """As Stream.read."""
        ...

    def unread(self, octets: bytes) -> None:
        """As Connection.unread."""
        ...


async def read_header(stream: Readable) -> Header:
    """Read one header and give back what stands behind it. Deadlines are the caller's."""
    octets = b""
    while (header := parse_header(octets)) is None:
        if not (more := await stream.read()):
            raise ProxyError("the connection ended within the PROXY header")
        octets += more
    if rest := octets[header.size :]:
        stream.unread(rest)
    return header


def parse_header(octets: bytes) -> Header | None:
    """The header at the beginning, None when more octets are needed. Raises ProxyError."""
    if octets.startswith(b"P"):
        return _parse_text(octets)
    head = octets[: len(_SIGNATURE)]
    if not _SIGNATURE.startswith(head):
        raise ProxyError("no PROXY header where one must stand")
    return None if len(octets) < _FIXED.size else _parse_binary(octets)


def _parse_text(octets: bytes) -> Header | None:
    end = octets.find(b"\r\n", 0, V1_LIMIT)
    line = octets[: end + 2] if end >= 0 else octets
    if not line.startswith(b"PROXY "[: len(line)]):
        raise ProxyError("no PROXY header where one must stand")
    if end < 0:
        if len(octets) >= V1_LIMIT:
            raise ProxyError(f"the PROXY header is longer than {V1_LIMIT} octets")
        return None
    # §2.1: everything behind UNKNOWN up to the CRLF is ignored.
    if line.startswith((b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r")):
        return Header(None, None, len(line))
    if not (match := _V1.fullmatch(line)):
        raise ProxyError("a malformed PROXY header")
    family, source, target, source_port, target_port = match.groups()
    version = 4 if family == b"TCP4" else 6
    return Header(
        _text_endpoint(source, source_port, version),
        _text_endpoint(target, target_port, version),
        len(line),
    )


def _text_endpoint(ip: bytes, port: bytes, version: int) -> Endpoint:
    try:
        address = ipaddress.ip_address(ip.decode("ascii"))
    except ValueError:
        raise ProxyError("a malformed address in the PROXY header") from None
    if address.version != version or int(port) > 65535:
        raise ProxyError("an address in the PROXY header that is not of its family")
    return Endpoint(str(address), int(port))


def _parse_binary(octets: bytes) -> Header | None:
    _, command, family, length = _FIXED.unpack_from(octets)
    size = _FIXED.size + length
    if command not in (0x20, 0x21):
        raise ProxyError("a PROXY header of an unknown version or command")
    if size > V2_LIMIT:
        raise ProxyError(f"the PROXY header is longer than {V2_LIMIT} octets")
    if len(octets) < size:
        return None
    # §2.2: LOCAL is the proxy's own connection; its addresses are to be ignored.
    if command == 0x20 or family == _UNSPEC:
        return Header(None, None, size)
    return Header(*_binary_endpoints(family, octets[_FIXED.size : size]), size)


def _binary_endpoints(family: int, octets: bytes) -> tuple[Endpoint, Endpoint]:
    width = {_INET | _STREAM: 4, _INET6 | _STREAM: 16}.get(family)
    if width is None or len(octets) < 2 * width + 4:
        raise ProxyError("a PROXY header without the TCP addresses it must have")
    source, target = octets[:width], octets[width : 2 * width]
    ports = struct.unpack_from("!HH", octets, 2 * width)
    first, second = (
        Endpoint(str(ipaddress.ip_address(ip)), port)
        for ip, port in zip((source, target), ports, strict=True)
    )
    return first, second
