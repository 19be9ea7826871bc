"""SMTP between a program on standard input and the server's own socket (`sendmail -bs`)."""

import asyncio
import sys
from pathlib import Path

from merpati.api.client import short_path
from merpati.clock import SystemClock
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.loop import Wire
from merpati.wire.stream import Stream

_CONNECT_SECONDS = 10.0
_MAX_LINE = 1 << 20


async def carry(path: Path) -> None:
    """One line, one reply: programs write the whole dialogue without waiting. Raises WireError."""
    dialer = SocketDialer(Wire(SystemClock()))
    with short_path(path) as short:
        stream = await dialer.dial(Endpoint(path=short), _CONNECT_SECONDS)
    try:
        await _converse(stream, _Replies(stream))
    finally:
        await stream.close()


async def _converse(stream: Stream, replies: "_Replies") -> None:
    code = await replies.carry()
    while line := await asyncio.to_thread(sys.stdin.buffer.readline, _MAX_LINE):
        stream.write(line.rstrip(b"\r\n") + b"\r\n")
        await stream.drain()
        is_content = code == b"354" and line.rstrip(b"\r\n") != b"."
        if not is_content:
            code = await replies.carry()


class _Replies:
    """Replies on their way to standard output."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held = b""

    async def carry(self) -> bytes:
        """Show one whole reply; its code, or nothing at the end."""
        while line := await self._line():
            sys.stdout.buffer.write(line)
            if line[3:4] != b"-":
                break
        sys.stdout.buffer.flush()
        return line[:3]

    async def _line(self) -> bytes:
        while b"\n" not in self._held:
            if not (octets := await self._stream.read()):
                return b""
            self._held += octets
        line, newline, self._held = self._held.partition(b"\n")
        return line + newline
