"""SMTP between a command and the server: `sendmail -bs`, and callers without other rights."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from merpati.api.client import short_path
from merpati.api.questions import Queued, Submission
from merpati.clock import SystemClock
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.loop import Wire
from merpati.wire.stream import Stream

_CONNECT_SECONDS = 10.0
_MAX_LINE = 1 << 20
_CHUNK = re.compile(rb"BDAT +([0-9]{1,20})(?: +LAST)?[ \t]*\r?\n", re.IGNORECASE)


async def carry(path: Path) -> None:
    """One line, one reply: programs write the whole dialogue without waiting. Raises WireError."""
    dialer = SocketDialer(Wire(SystemClock()))
    with short_path(path) as short:
        stream = await dialer.dial(Endpoint(path=short), _CONNECT_SECONDS)
    try:
        await _converse(stream, _Replies(stream))
    finally:
        await stream.close()


async def hand_over(to: Endpoint, hostname: str, message: Submission) -> Queued:
    """Give a message to a port of the server that trusts this machine. Raises WireError.

    For callers who may not open the control socket: PHP and cron of other users.
    """
    stream = await SocketDialer(Wire(SystemClock())).dial(to, _CONNECT_SECONDS)
    try:
        return await _submit(stream, _Replies(stream), hostname, message)
    finally:
        await stream.close()


async def _submit(
    stream: Stream, replies: "_Replies", hostname: str, message: Submission
) -> Queued:
    reply = await replies.whole()
    for command in _commands(hostname, message):
        if reply[:1] not in {"2", "3"}:
            return _refused(reply)
        stream.write(command.encode() + b"\r\n")
        reply = await replies.whole()
    if not reply.startswith("354"):
        return _refused(reply)
    # RFC 5321 §4.5.2: a line that begins with a dot gets another.
    content = b"\r\n" + message.content
    stream.write(content.replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
    await stream.drain()
    reply = await replies.whole()
    if not reply.startswith("250"):
        return _refused(reply)
    return Queued(id=reply.rpartition("queued as ")[2], code=250, reply=reply)


def _commands(hostname: str, message: Submission) -> Iterator[str]:
    utf8 = "" if (message.sender + "".join(message.recipients)).isascii() else " SMTPUTF8"
    body = "" if message.content.isascii() else " BODY=8BITMIME"
    returned = {"": "", "full": " RET=FULL", "headers": " RET=HDRS"}[message.returned]
    wishes = "" if message.notify is None else f" NOTIFY={','.join(message.notify) or 'NEVER'}"
    yield f"EHLO {hostname}"
    yield f"MAIL FROM:<{message.sender}>{body}{utf8}{returned}"
    for recipient in message.recipients:
        yield f"RCPT TO:<{recipient}>{wishes}"
    yield "DATA"


def _refused(reply: str) -> Queued:
    code = int(reply[:3]) if reply[:3].isdigit() else 421
    return Queued(id="", code=code, reply=reply or "the server broke off")


async def _converse(stream: Stream, replies: "_Replies") -> None:
    code, is_inside = await replies.carry(), False
    while line := await asyncio.to_thread(sys.stdin.buffer.readline, _MAX_LINE):
        was_inside, is_inside = is_inside, _goes_on(line)
        # A piece of a long line gets no line end of ours: what follows would become a line, and
        # a dot there the end of the content.
        stream.write(line if is_inside else line.rstrip(b"\r\n") + b"\r\n")
        if code != b"354" and (chunk := _CHUNK.fullmatch(line)):
            await _carry_chunk(stream, int(chunk[1]))
        await stream.drain()
        is_last = line.rstrip(b"\r\n") == b"." and not was_inside
        if not is_inside and (code != b"354" or is_last):
            code = await replies.carry()


async def _carry_chunk(stream: Stream, size: int) -> None:
    """RFC 3030: so many octets, whatever they are; nothing in them is a line of ours."""
    while size and (octets := await asyncio.to_thread(_read, min(size, _MAX_LINE))):
        size -= len(octets)
        stream.write(octets)
        await stream.drain()


def _read(size: int) -> bytes:
    return sys.stdin.buffer.read(size)


def _goes_on(line: bytes) -> bool:
    """Whether it is a piece of a line that was too long to be read at once."""
    return len(line) == _MAX_LINE and not line.endswith(b"\n")


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

    async def whole(self) -> str:
        """One reply, its lines joined; empty at the end."""
        text = ""
        while line := (await self._line()).decode("utf-8", "replace").strip():
            text += f" {line[4:]}" if text else line
            if line[3:4] != "-":
                break
        return text

    async def _line(self) -> bytes:
        while b"\n" not in self._held:
            if not (octets := await self._stream.read()):
                return b""
            self._held += octets
        line, newline, self._held = self._held.partition(b"\n")
        return line + newline
