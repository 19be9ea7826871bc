"""A small authoritative DNS server for tests, over a zone of our own, that can misbehave.

It listens on one port of loopback, UDP and TCP, and keeps what it was asked. The zone is text,
one record a line, names absolute with or without the final dot:

    a.test            MX    10 mx.a.test
    mx.a.test         A     127.0.0.1
    60 www.a.test     CNAME mx.a.test        # a TTL may stand in front; 300 without
"""

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdatatype import RdataType

DEFAULT_TTL = 300
NEGATIVE_TTL = 60


class Fault(Enum):
    """How the server can misbehave."""

    SILENT = "says nothing"
    SERVFAIL = "says that it failed"
    REFUSED = "says that it will not"
    BOGUS = "has an answer that it does not believe: says that it failed, unless told not to check"
    TRUNCATED = "says over UDP that the answer is too long"
    TRUNCATED_TCP_DEAD = "the same, and closes TCP without a word"
    GARBAGE = "answers octets that are no message"
    WRONG_ID = "answers with another id"
    WRONG_QUESTION = "answers another question"
    BARE_ALIAS = "gives a CNAME without what it leads to"
    CUT = "cuts its answer in the middle of a record"


class Zone:
    """Records by name and type."""

    def __init__(self, text: str) -> None:
        self._records: dict[dns.name.Name, dict[RdataType, dns.rrset.RRset]] = {}
        for line in text.splitlines():
            if fields := line.split("#")[0].split():
                ttl = int(fields.pop(0)) if fields[0].isdigit() else DEFAULT_TTL
                self.add(fields[0], fields[1], " ".join(fields[2:]), ttl)

    def add(self, name: str, kind: str, value: str, ttl: int = DEFAULT_TTL) -> None:
        """Add one record, as `add("a.test", "MX", "10 mx.a.test")`."""
        owner, rdtype = dns.name.from_text(name), dns.rdatatype.from_text(kind)
        rdata = dns.rdata.from_text(
            dns.rdataclass.IN, rdtype, value, origin=dns.name.root, relativize=False
        )
        rrsets = self._records.setdefault(owner, {})
        if rdtype not in rrsets:
            rrsets[rdtype] = dns.rrset.RRset(owner, dns.rdataclass.IN, rdtype)
        rrsets[rdtype].add(rdata, ttl)

    def answer(self, query: dns.message.Message, bare: bool = False) -> dns.message.Message:
        """The answer of an honest server; `bare` leaves out what an alias leads to."""
        response = dns.message.make_response(query, our_payload=4096)
        response.flags |= dns.flags.AA | dns.flags.RA
        question = query.question[0]
        name, seen = question.name, set[dns.name.Name]()
        while (alias := self._alias(name, question.rdtype)) and name not in seen:
            seen.add(name)
            response.answer.append(alias)
            name = alias[0].target
            if bare:
                return response
        if rrset := self._records.get(name, {}).get(question.rdtype):
            response.answer.append(rrset)
        elif not seen or name not in seen:
            self._deny(response, name)
        return response

    def _alias(self, name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | None:
        return None if kind == RdataType.CNAME else self._records.get(name, {}).get(RdataType.CNAME)

    def _deny(self, response: dns.message.Message, name: dns.name.Name) -> None:
        if not any(known.is_subdomain(name) for known in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. postmaster.test. 1 7200 900 86400 {NEGATIVE_TTL}"
        apex = dns.name.from_text("test")
        response.authority.append(dns.rrset.from_text(apex, NEGATIVE_TTL, "IN", "SOA", soa))


class ZoneServer(asyncio.DatagramProtocol):
    """Answers from a zone, or as `faults` says for a name (`*` for all)."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.faults: dict[str, Fault] = {}
        self.authentic = False
        """Set AD, as a validating resolver does."""
        self.asked: list[tuple[str, str]] = []
        """(name, type) of every question, UDP and TCP alike."""
        self.address = ("127.0.0.1", 0)
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is made for datagrams, though neither loop's class says so.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, octets: bytes, peer: tuple[str, int]) -> None:
        response = self._respond(octets, is_tcp=False)
        if response is not None:
            self._transport.sendto(response, peer)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection, one question."""
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            response = self._respond(await reader.readexactly(size), is_tcp=True)
            if response is not None:
                writer.write(struct.pack("!H", len(response)) + response)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    def _respond(self, octets: bytes, is_tcp: bool) -> bytes | None:
        query = dns.message.from_wire(octets)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked.append((name, RdataType(question.rdtype).name))
        fault = self.faults.get(name, self.faults.get("*"))
        if fault is Fault.BOGUS:
            fault = None if query.flags & dns.flags.CD else Fault.SERVFAIL
        if fault in _TRUNCATIONS and is_tcp:
            fault = None if fault is Fault.TRUNCATED else Fault.SILENT
        response = self.zone.answer(query, bare=fault is Fault.BARE_ALIAS)
        if self.authentic:
            response.flags |= dns.flags.AD
        return _spoiled(fault, query, response, is_tcp)


_TRUNCATIONS = {Fault.TRUNCATED, Fault.TRUNCATED_TCP_DEAD}
_RCODES = {Fault.SERVFAIL: dns.rcode.SERVFAIL, Fault.REFUSED: dns.rcode.REFUSED}


def _spoiled(
    fault: Fault | None, query: dns.message.Message, response: dns.message.Message, is_tcp: bool
) -> bytes | None:
    """The response as octets, with the fault in it."""
    if fault in _RCODES:
        response = dns.message.make_response(query)
        response.set_rcode(_RCODES[fault])
    elif fault in _TRUNCATIONS:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.TC
    elif fault is Fault.WRONG_ID:
        response.id ^= 0x5555
    elif fault is Fault.WRONG_QUESTION:
        other = dns.message.make_query("other.test", RdataType.A)
        response.question = other.question
    octets = response.to_wire(
        max_size=65535 if is_tcp else max(query.payload, 512), prefer_truncation=True
    )
    spoiled = {
        Fault.SILENT: None,
        Fault.GARBAGE: b"\xff" * 40,
        Fault.CUT: octets[: len(octets) // 2],
    }
    return spoiled.get(fault, octets) if fault else octets


@asynccontextmanager
async def serve_zone(text: str) -> AsyncIterator[ZoneServer]:
    """Serve a zone on `server.address` of loopback until the block ends."""
    server = ZoneServer(Zone(text))
    loop = asyncio.get_running_loop()
    udp, tcp = _two_sockets()
    server.address = udp.getsockname()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, sock=udp)
    listener = await asyncio.start_server(server.converse, sock=tcp)
    try:
        yield server
    finally:
        transport.close()
        listener.close()
        await asyncio.sleep(0)


@contextmanager
def zone_in_a_thread(text: str) -> Iterator[ZoneServer]:
    """The same for who has no event loop."""
    loop, served = asyncio.new_event_loop(), Future[ZoneServer]()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serve_zone(text) as server:
            served.set_result(server)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield served.result(timeout=60)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _two_sockets() -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one free port."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise OSError("no port of loopback is free for both UDP and TCP")
