"""One message to one server and its answer, bounded in time and octets.

Strangers write the answers: what has the wrong id or question is passed over as if it had not come.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any, cast

import dns.asyncbackend
import dns.asyncquery
import dns.inet
import dns.message

from merpati.dns.errors import DnsNonsense
from merpati.dns.resolver import MAX_ANSWER

Server = tuple[str, int]
"""IP and port."""


async def exchange(
    query: dns.message.Message, server: Server, seconds: float
) -> dns.message.Message:
    """Over UDP, and over TCP where the answer is too long for that; `seconds` for each.

    Raises what dnspython does, and DnsNonsense for an answer that is too long for us.
    """
    ip, port = server
    try:
        async with await _datagram_socket(ip) as sock:
            # Ignoring what is malformed or not an answer to this question costs a forger's
            # target nothing but the wait for the true answer.
            return await dns.asyncquery.udp(
                query,
                ip,
                timeout=seconds,
                port=port,
                sock=sock,
                ignore_unexpected=True,
                raise_on_truncation=True,
                ignore_errors=True,
            )
    except dns.message.Truncated:
        return await exchange_by_tcp(query, server, seconds)


async def exchange_by_tcp(
    query: dns.message.Message, server: Server, seconds: float
) -> dns.message.Message:
    """The same over TCP alone."""
    async with await connect(server, seconds) as stream:
        return await converse(query, stream, seconds)


async def connect(server: Server, seconds: float) -> Any:  # dnspython has no types for it
    """A connection to be used by `async with`. Raises OSError and dnspython's Timeout."""
    backend: Any = dns.asyncbackend.get_default_backend()
    family = dns.inet.af_for_address(server[0])
    return await backend.make_socket(family, socket.SOCK_STREAM, 0, None, server, seconds)


async def converse(query: dns.message.Message, stream: Any, seconds: float) -> dns.message.Message:
    """A question and its answer over a connection that is there."""
    bounded: Any = _Bounded(stream)
    return await dns.asyncquery.tcp(query, "", timeout=seconds, sock=bounded)


class _Bounded:
    """A stream socket of dnspython that a message which is too long cannot be read from."""

    def __init__(self, stream: Any) -> None:
        self.getpeername = stream.getpeername
        self.sendall = stream.sendall
        self._recv = stream.recv

    async def recv(self, size: int, timeout: float) -> bytes:  # noqa: ASYNC109 - dnspython's
        """At most so many octets; the first of a message asks for all that it has."""
        if size > MAX_ANSWER:
            raise DnsNonsense(f"an answer of {size} octets")
        return cast(bytes, await self._recv(size, timeout))


async def _datagram_socket(server: str) -> Any:  # dnspython has no types for it
    """A socket of its own for each question, so that its port is hard to guess.

    It is made to its end also for who is cancelled meanwhile: uvloop forgets one that was half
    made, which stays open, and the loop waits for it for ever when it is closed.
    """
    family = dns.inet.af_for_address(server)
    backend: Any = dns.asyncbackend.get_default_backend()
    making = asyncio.ensure_future(backend.make_socket(family, socket.SOCK_DGRAM))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        with suppress(OSError):  # Not made, so there is nothing to close.
            await (await making).close()
        raise
