"""`python -m benchmarks.zone PORT`: the DNS of very many domains, each with a host of its own.

dA-B.test is served by mx.dA-B.test at 127.1.A.B, where a sink of ours listens; dN.dead.test by
mx.dN.dead.test at 127.0.0.1, or with `--silent` behind it nobody answers for those. Octets are put
together by hand, for a few microseconds a question: by dnspython the answers for one new
domain took as much of the machine as the server that asked.
"""

import asyncio
import re
import struct
import sys
from typing import cast

A, MX = 1, 15
# RFC 1035 §4.1.1, §3.2.1: where the question begins, and a pointer to it.
QUESTION, POINTER = 12, b"\xc0\x0c"
NO_SUCH_NAME = 3
TTL = 3600
# RFC 6891 §6.1.2: we take 1,232 octets as well.
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
SOA_DATA = b"\x02ns\x04test\0" + b"\x01p\x04test\0" + struct.pack("!5I", 1, 7200, 900, 86400, 60)
SOA = b"\x04test\0" + struct.pack("!HHIH", 6, 1, 60, len(SOA_DATA)) + SOA_DATA
HOST = re.compile(rb"\x02mx.d([0-3])-(\d{1,3})\x04test\0", re.DOTALL)
DOMAIN = re.compile(rb".d[0-3]-\d{1,3}\x04test\0", re.DOTALL)
DEAD = b"\x04dead\x04test\0"


def answer(query: bytes, silent: bool) -> bytes | None:
    """The response to a question of one name; None to say nothing."""
    end = query.index(b"\0", QUESTION) + 1
    name = query[QUESTION:end].lower()
    if silent and name.endswith(DEAD):
        return None
    kind = int.from_bytes(query[end : end + 2], "big")
    data, exists = found(name, kind)
    flags = 0x8580 if exists else 0x8580 | NO_SUCH_NAME
    counts = (1, 1, 0, 1) if data else (1, 0, 1, 1)
    head = query[:2] + struct.pack("!5H", flags, *counts) + query[QUESTION : end + 4]
    record = POINTER + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data if data else SOA
    return head + record + OPT


def found(name: bytes, kind: int) -> tuple[bytes, bool]:
    """The one record of that type, if there is one, and whether there is the name."""
    if host := HOST.fullmatch(name):
        data = bytes((127, 1, int(host[1]), int(host[2]))) if kind == A else b""
        return data, True
    if name.endswith(DEAD) and name.startswith(b"\x02mx"):
        return (bytes((127, 0, 0, 1)) if kind == A else b""), True
    if DOMAIN.fullmatch(name) or (name.endswith(DEAD) and not name.startswith(b"\x08_mta-sts")):
        data = struct.pack("!H", 10) + b"\x02mx" + POINTER if kind == MX else b""
        return data, True
    return b"", False


class Names(asyncio.DatagramProtocol):
    """Answers over UDP."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is made for datagrams, though neither loop's class says so.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, octets: bytes, peer: tuple[str, int]) -> None:
        response = answer(octets, self._silent)
        if response is not None:
            self._transport.sendto(response, peer)


async def serve(port: int, silent: bool) -> None:
    """Until a signal ends us."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Names(silent), local_addr=("127.0.0.1", port))
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), "--silent" in sys.argv))
