"""A recording SMTP sink that shares no code with the server under test.

Recipients choose their fate by their local part: `temp…` is refused with 450 the first two times,
`perm…` with 550 always, `cut…` loses the connection behind the final dot the first time. What is
accepted is counted by message id, recipient and content hash.
"""

import asyncio
import hashlib
from collections import Counter

Key = tuple[str, str]
"""(message id from the X-Torture field, recipient's local part)"""


class Sink:
    """Listens on loopback; everything it saw stays in memory."""

    def __init__(self) -> None:
        self.delivered: Counter[Key] = Counter()
        self.in_doubt: Counter[Key] = Counter()
        self.contents: dict[str, set[str]] = {}
        self.refusals: Counter[str] = Counter()
        self.notices = 0
        """Messages from the null sender: what the server under test wrote itself."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._cut: set[Key] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the server under test was killed: that is what this is for
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        recipients: list[str] = []
        is_notice = False
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(
                    b"250-sink\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n"
                )
            elif verb == b"MAIL" or verb == b"RSET":
                recipients = []
                is_notice = b"<>" in line
                writer.write(b"250 ok\r\n")
            elif verb == b"RCPT":
                writer.write(self._judge(line, recipients))
            elif verb == b"DATA":
                if not recipients:
                    writer.write(b"503 no recipients\r\n")
                    continue
                writer.write(b"354 go\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                self.notices += is_notice
                if not is_notice and not self._take(content, recipients):
                    return
                writer.write(b"250 taken\r\n")
                recipients = []
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"500 what\r\n")

    def _judge(self, line: bytes, recipients: list[str]) -> bytes:
        local = line.split(b"<", 1)[1].split(b"@", 1)[0].decode()
        if local.startswith("perm"):
            return b"550 5.1.1 no such user\r\n"
        if local.startswith("temp") and self.refusals[local] < 2:
            self.refusals[local] += 1
            return b"450 4.2.0 try again\r\n"
        recipients.append(local)
        return b"250 ok\r\n"

    def _take(self, content: bytes, recipients: list[str]) -> bool:
        head, _, body = content[:-5].partition(b"\r\n\r\n")
        ids = [
            line.split(b":", 1)[1].strip().decode()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"x-torture:")
        ]
        message = ids[0] if ids else "?"
        self.contents.setdefault(message, set()).add(hashlib.sha256(body).hexdigest())
        keys = [(message, local) for local in recipients]
        doubtful = [key for key in keys if key[1].startswith("cut") and key not in self._cut]
        self._cut.update(doubtful)
        self.delivered.update(keys)
        self.in_doubt.update(doubtful)
        return not doubtful
