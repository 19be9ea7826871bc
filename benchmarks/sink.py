"""`python -m benchmarks.sink PORT COUNTER`: takes every message, for what smtp-sink cannot do.

With `--certificate` and `--key` it offers STARTTLS; with `--many` it listens on 127.1.0.1 to
127.1.3.250 too, so that a thousand domains have a host each. It offers PIPELINING and CHUNKING.
COUNTER is a file of 8 octets with the number of messages taken; with `--waits FILE` the seconds
that each of them was under way, as our generator stamped it, are appended to FILE as doubles.
"""

import argparse
import asyncio
import gc
import mmap
import ssl
import struct
import time
from pathlib import Path
from typing import cast

import uvloop

END = b"\r\n.\r\n"


class Counter:
    """Shared with whoever maps the same file."""

    def __init__(self, file: Path, waits: Path | None) -> None:
        with file.open("r+b") as opened:
            self._octets = memoryview(mmap.mmap(opened.fileno(), 8)).cast("Q")

        self._waits = waits.open("ab", buffering=0) if waits else None

    def add(self, began: float) -> None:
        """One more, which its sender began then."""
        self._octets[0] += 1
        if self._waits:
            self._waits.write(struct.pack("d", time.monotonic() - began))


class Taking(asyncio.Protocol):
    """One connection."""

    def __init__(self, counter: Counter, context: ssl.SSLContext | None) -> None:
        self._counter = counter
        self._context = context
        self._is_secure = False
        self._buffer = bytearray()
        self._began = 0.0
        self._awaited = 0
        """Octets that a BDAT still owes; -1: until the final dot."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def eof_received(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies: list[bytes] = []
        while self._step(replies):
            pass
        if replies:
            self._transport.write(b"".join(replies))

    def _step(self, replies: list[bytes]) -> bool:
        """Take one command or content off the buffer; False when it is not whole yet."""
        if self._awaited:
            return self._content(replies)
        at = self._buffer.find(b"\n")
        if at < 0:
            return False
        line = bytes(self._buffer[: at + 1])
        del self._buffer[: at + 1]
        verb = line[:4].upper()
        if verb == b"DATA":
            self._awaited = -1
            # The dot may follow at once, behind an empty message.
            self._buffer[:0] = b"\r\n"
            replies.append(b"354 go\r\n")
        elif verb == b"BDAT":
            self._awaited = int(line.split()[1])
        elif verb == b"EHLO":
            tls = b"250-STARTTLS\r\n" if self._context and not self._is_secure else b""
            extensions = b"250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 100000000\r\n250 CHUNKING\r\n"
            replies.append(b"250-sink\r\n" + tls + extensions)
        elif verb == b"STAR":
            self._transport.write(b"220 go\r\n")
            asyncio.get_running_loop().create_task(self._secure())
            return False
        elif verb == b"QUIT":
            replies.append(b"221 bye\r\n")
            self._transport.write(b"".join(replies))
            replies.clear()
            self._transport.close()
            return False
        else:
            if verb == b"MAIL":
                self._began = stamp(line)
            replies.append(b"250 ok\r\n")
        return True

    def _content(self, replies: list[bytes]) -> bool:
        if self._awaited < 0:
            at = self._buffer.find(END)
            if at < 0:
                # What cannot be the beginning of the end is not needed any more.
                del self._buffer[: max(0, len(self._buffer) - len(END) + 1)]
                return False
            del self._buffer[: at + len(END)]
        else:
            taken = min(self._awaited, len(self._buffer))
            del self._buffer[:taken]
            self._awaited -= taken
            if self._awaited:
                return False
        self._awaited = 0
        self._counter.add(self._began)
        replies.append(b"250 taken\r\n")
        return True

    async def _secure(self) -> None:
        self._is_secure = True
        assert self._context is not None
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(self._transport, self, self._context, server_side=True)
        self._transport = cast(asyncio.Transport, secured)


def stamp(line: bytes) -> float:
    """The seconds in MAIL FROM:<tMICROSECONDS@…>; 0 from other senders."""
    digits = line.partition(b"<t")[2].partition(b"@")[0]
    return int(digits) / 1e6 if digits.isdigit() else 0.0


async def serve(port: int, counter: Counter, context: ssl.SSLContext | None, many: bool) -> None:
    """Until a signal ends us."""
    loop = asyncio.get_running_loop()
    hosts = ["127.0.0.1"]
    if many:
        hosts += [f"127.1.{a}.{b}" for a in range(4) for b in range(1, 251)]
    for host in hosts:
        await loop.create_server(lambda: Taking(counter, context), host, port, backlog=256)
    await loop.create_future()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("counter", type=Path)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--waits", type=Path)
    parser.add_argument("--many", action="store_true")
    options = parser.parse_args()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
    gc.freeze()
    uvloop.run(serve(options.port, Counter(options.counter, options.waits), context, options.many))


if __name__ == "__main__":
    main()
