"""Load with unique ids and content hashes; what was acknowledged is written down."""

import asyncio
import hashlib
import random
from dataclasses import dataclass, field

FATES = ["ok"] * 74 + ["temp"] * 20 + ["perm"] * 5 + ["cut"]


@dataclass(slots=True)
class Sent:
    """What the generator put in, message by message."""

    hashes: dict[str, str] = field(default_factory=dict)
    """Of everything that was ever begun: acknowledged or in doubt."""
    acknowledged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Message id to recipients' local parts, for each 250 behind the final dot."""
    offered: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Generator:
    """Keeps `sessions` connections busy until told to stop; survives the server's deaths."""

    def __init__(self, port: int, seed: int, sessions: int, limit: int) -> None:
        self.sent = Sent()
        self._port = port
        self._random = random.Random(seed)
        self._sessions = sessions
        self._left = limit
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(self._sessions):
                group.create_task(self._client(n))

    async def _client(self, n: int) -> None:
        while not self._stopping and self._left > 0:
            try:
                await self._session(n)
            except (ConnectionError, asyncio.IncompleteReadError, EOFError):
                await asyncio.sleep(0.05)  # the server is dead for a moment

    async def _session(self, n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await expect(reader, b"220")
            writer.write(b"EHLO generator\r\n")
            await expect(reader, b"250")
            for _ in range(20):
                if self._stopping or self._left <= 0:
                    break
                self._left -= 1
                await self._send(reader, writer, f"{n}-{self._left}")
        finally:
            writer.close()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        locals_ = tuple(
            f"{self._random.choice(FATES)}-{name}-{i}"
            for i in range(self._random.choice((1, 1, 3)))
        )
        lines = [b"%020d %s" % (self._random.getrandbits(60), b"x" * 50)] * self._random.choice(
            (3, 40, 200, 5000)
        )
        body = b"\r\n".join(lines)
        content = b"Subject: t\r\nX-Torture: %s\r\n\r\n" % name.encode() + body
        self.sent.hashes[name] = hashlib.sha256(body).hexdigest()
        self.sent.offered[name] = locals_
        chunked = self._random.random() < 0.3
        commands = [
            b"MAIL FROM:<load@a.test>",
            *(b"RCPT TO:<%s@b.test>" % r.encode() for r in locals_),
        ]
        for command in commands:
            writer.write(command + b"\r\n")
            await expect(reader, b"250")
        if chunked:
            writer.write(b"BDAT %d LAST\r\n" % (len(content) + 2) + content + b"\r\n")
        else:
            writer.write(b"DATA\r\n")
            await expect(reader, b"354")
            writer.write(content + b"\r\n.\r\n")
        await expect(reader, b"250")
        self.sent.acknowledged[name] = locals_


async def expect(reader: asyncio.StreamReader, code: bytes) -> None:
    """Read one reply; EOFError when it is another, as after a refusal or a kill."""
    while True:
        line = await reader.readuntil(b"\r\n")
        if line[3:4] != b"-":
            break
    if not line.startswith(code):
        raise EOFError(f"{line!r} instead of {code!r}")
