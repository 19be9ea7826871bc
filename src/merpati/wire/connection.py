"""A stream over a socket: the only class that the event loop calls back.

Reading. The kernel fills the one buffer that all connections share (`loop.py`), and the octets
are copied out within the same callback; whoever has asked by `feed` is given them there. Octets
that arrive while nobody waits are kept and reading pauses, so a connection holds at most one read
that was not asked for.

Writing. Octets go to the transport, which sends at once what the kernel takes; `drain` waits
while more than the high mark is left over. Short writes wait until the turn of the loop is over
(`Wire.post`); whatever follows them, be it the end, sends them first.

TLS. `secure` puts a filter between the buffer and the reader. During the handshake the octets
are read raw; when it is done, what already lies behind it is decrypted before anyone runs, so
that a Finished with commands in one segment loses nothing. Octets that came before the handshake
was begun are fed to the handshake and never read as commands.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from merpati.mail.trace import Tls
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import TlsError, WireError, WireLost, WireTimeout, from_os_error
from merpati.wire.loop import Wire
from merpati.wire.tls import PIECE, TlsContext, TlsFilter

SHORT = 4096
"""Octets that may wait for the end of a turn: replies and commands, not content."""
HIGH_MARK = 256 * 1024
"""Octets in the write buffer above which `drain` waits."""
CLOSE_SECONDS = 10.0
"""How long `close` flushes at most, whatever the deadline says."""
LINGER_SECONDS = 2.0
"""How long `close` waits for the peer to stop sending when it has sent what nobody read."""


class Connection(asyncio.BufferedProtocol):
    """A Stream over TCP or a Unix socket."""

    __slots__ = (
        "_closed",
        "_closing",
        "_drained",
        "_ended",
        "_error",
        "_filter",
        "_loop",
        "_outgoing",
        "_paused",
        "_readable",
        "_take",
        "_transport",
        "_unread",
        "_wire",
        "deadline",
        "is_congested",
        "is_server",
        "local",
        "peer",
    )

    def __init__(self, wire: Wire, *, is_server: bool = False) -> None:
        self.deadline: float | None = None
        self.peer = Endpoint()
        self.local = Endpoint()
        self._wire = wire
        self.is_server = is_server
        self._loop: asyncio.AbstractEventLoop
        self._transport: asyncio.Transport
        self._filter: TlsFilter | None = None
        self._unread = b""
        self._outgoing = b""
        self._ended = self._paused = self._closing = False
        self.is_congested = False
        self._error: WireError | None = None
        self._readable: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._drained: asyncio.Future[bool] | None = None
        self._closed: asyncio.Future[bool] | None = None

    # What others call.

    @property
    def pending(self) -> int:
        """Octets that have arrived and were not read."""
        return len(self._unread)

    @property
    def is_untouched(self) -> bool:
        """Whether the connection stands and nothing has come of it: it may be passed on."""
        return not (self._unread or self._ended or self._transport.is_closing())

    async def read(self) -> bytes:
        """The octets that have arrived, at least one; b"" at the peer's orderly end."""
        while not self._unread and not self._ended:
            await self._wait()
        octets, self._unread = self._unread, b""
        return octets

    async def feed(self, take: Callable[[bytes], bool]) -> None:
        """Give `take` what arrives, within the callback that brings it, until it says False."""
        wants_more = True
        while wants_more:
            if self._unread or self._ended:
                octets, self._unread = self._unread, b""
                wants_more = take(octets) and bool(octets)
            else:
                self._take = take
                try:
                    wants_more = await self._wait()
                finally:
                    self._take = None

    def unread(self, octets: bytes) -> None:
        """Give octets back: the next `read` yields them first."""
        self._unread = octets + self._unread

    def write(self, octets: bytes) -> None:
        """Hand octets to the kernel or to the write buffer; nothing happens once it is broken."""
        if self._error is not None or self._closing:
            return
        if self._filter is None:
            self._post(octets)
            return
        try:
            for start in range(0, len(octets), PIECE):
                self._post(self._filter.encrypt(octets[start : start + PIECE]))
        except TlsError as error:
            self._break(error)

    def send(self) -> None:
        """Hand over what waits for the end of the turn."""
        octets, self._outgoing = self._outgoing, b""
        if octets and self._error is None and not self._transport.is_closing():
            self._transport.write(octets)

    async def drain(self) -> None:
        """Return when the write buffer is below its high mark."""
        self._check()
        while self.is_congested:
            # Who reads may wait here as well (TLS): for the same, and neither ends the other's.
            if self._drained is None or self._drained.done():
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)
            self._check()

    async def secure(self, context: object, server_name: str | None = None) -> Tls:
        """Begin TLS. Whatever fails here ends the connection: nothing goes on in plain text."""
        tls = context if isinstance(context, TlsContext) else None
        if tls is None or self._filter is not None:
            raise TypeError("TLS needs a TlsContext, once a connection")
        handshake = TlsFilter(tls, self.is_server, server_name)
        try:
            await self._shake_hands(handshake)
            self._unread = self._decrypt(handshake, self._unread)
            self._filter = handshake
        except WireError as error:
            self._break(error)
            raise
        return handshake.facts()

    async def close(self) -> None:
        """Flush what can be flushed within the deadline, then close. Idempotent."""
        if not self._closing and self._error is None:
            await self._say_goodbye()
        self.send()
        self._transport.close()
        while self in self._wire:
            self._closed = self._closed or self._loop.create_future()
            await asyncio.shield(self._closed)

    def abort(self) -> None:
        """Close at once and drop what is buffered."""
        self._closing = True
        self._outgoing = b""
        self._transport.abort()

    def socket(self) -> socket.socket:
        """The socket itself, to pass it on to another process; it stays open here."""
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def quickack(self) -> None:
        """Acknowledge the next segments at once (Linux): for a peer that waits with its next.

        The kernel falls back by itself, so it is asked anew whenever it matters.
        """
        if not self.peer.ip or self._error is not None:
            return
        sock = self.socket()
        with suppress(OSError):  # It is broken: whoever reads next is told so.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)  # It connects streams, so it is one.
        self._transport.set_write_buffer_limits(high=HIGH_MARK)
        self.peer = Endpoint.of(transport.get_extra_info("peername"))
        self.local = Endpoint.of(transport.get_extra_info("sockname"))
        self._wire.watch(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._wire.buffer

    def buffer_updated(self, nbytes: int) -> None:
        raw = self._wire.buffer[:nbytes]
        try:
            octets = self._decrypt(self._filter, raw) if self._filter else bytes(raw)
        except TlsError as error:
            self._break(error)
            return
        readable = self._readable
        if readable is None or readable.done():
            self._unread += octets
            if not self._paused:
                self._paused = True
                self._transport.pause_reading()
        elif self._take is None or not octets:
            self._unread += octets
            readable.set_result(True)
        else:
            self._feed(self._take, octets, readable)

    def eof_received(self) -> bool:
        # TCP's end without close_notify is an end as well: SMTP has its own end of data and QUIT.
        self._ended = True
        self._wake(self._readable)
        return True  # The other side may only have stopped sending: our reply can still leave.

    def pause_writing(self) -> None:
        self.is_congested = True

    def resume_writing(self) -> None:
        self.is_congested = False
        self._wake(self._drained)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.forget(self)
        self._error = self._error or (
            from_os_error(exc) if exc else WireLost("the connection is closed")
        )
        self.is_congested = False
        for future in (self._readable, self._drained, self._closed):
            self._wake(future)

    def overdue(self) -> None:
        """The sweep found that the deadline has passed."""
        if self._closing or self._error is not None:
            self._transport.abort()
        for future in (self._readable, self._drained):
            if future is not None and not future.done():
                future.set_exception(WireTimeout("the other end did not answer in time"))

    # How it is done.

    async def _wait(self) -> bool:
        """Until there is something to look for; False when `feed` is to end."""
        if self._filter is not None:
            await self.drain()  # Reading makes TLS write (key updates): the peer must take it.
        self._check()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._readable = self._loop.create_future()
        try:
            return await self._readable
        finally:
            self._readable = None

    def _feed(
        self, take: Callable[[bytes], bool], octets: bytes, readable: asyncio.Future[bool]
    ) -> None:
        try:
            wants_more = take(octets)
        except Exception as error:
            if readable.done():
                raise  # The connection broke meanwhile: `feed` tells of that, the loop of this.
            readable.set_exception(error)  # Raised by `feed`, where it can be seen.
        else:
            # Whoever it wrote to may have broken the connection, and woken the reader.
            if not wants_more and not readable.done():
                readable.set_result(False)

    @staticmethod
    def _wake(future: asyncio.Future[bool] | None) -> None:
        if future is not None and not future.done():
            future.set_result(True)

    def _post(self, octets: bytes) -> None:
        waits = bool(self._outgoing)
        self._outgoing += octets
        if len(self._outgoing) > SHORT:
            self.send()
        elif octets and not waits:
            self._wire.post(self)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def _shake_hands(self, handshake: TlsFilter) -> None:
        octets, self._unread = self._unread, b""
        try:
            while not handshake.handshake(octets):
                self._post(handshake.take())
                if not (octets := await self.read()):
                    raise TlsError("the other end closed the connection during the TLS handshake")
        finally:
            self._post(handshake.take())

    def _decrypt(self, tls: TlsFilter, raw: bytes | memoryview) -> bytes:
        plain = tls.decrypt(raw)
        if answer := tls.take():
            self._post(answer)
        if tls.ended:
            self._ended = True
            self._wake(self._readable)
        return plain

    def _break(self, error: WireError) -> None:
        self.send()
        self._error = self._error or error
        self._wake(self._readable)
        # A peer that does not read keeps the close waiting for what is buffered, for so long.
        self._limit(CLOSE_SECONDS)
        self._transport.close()

    def _limit(self, seconds: float) -> None:
        latest = self._wire.clock.monotonic() + seconds
        self.deadline = latest if self.deadline is None else min(self.deadline, latest)

    async def _say_goodbye(self) -> None:
        self._limit(CLOSE_SECONDS)
        if self._filter is not None:
            self._post(self._filter.goodbye())
        self._closing = True
        if self._unread or self._paused:
            await self._linger()

    async def _linger(self) -> None:
        """Take in what the peer still sends, for a while.

        A socket that is closed over unread octets is reset, and the reset can overtake the reply
        that says why.
        """
        self._filter = None
        self._limit(LINGER_SECONDS)
        try:
            self.send()
            # asyncio shuts the socket down at once, which fails when the peer has reset it.
            self._transport.write_eof()
            while await self.read():
                pass
        except (WireError, OSError):
            return  # Whatever ended it, it has ended; the close that follows asks for no more.
