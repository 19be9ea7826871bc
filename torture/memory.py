"""G5: 512 MiB of memory, many large messages at once, and messages that are made to swell.

The limit is a memory group's where there is one (of either kind), else one on the address space of
every process; the figures name it. No process may be killed for its memory; what does not fit is
told to come later.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from torture.generator import Door, Refused, Sent, Talk
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink, read_message
from torture.torment import Batch, Outcome, Torment, lacking

LIMIT = 512 << 20
RSS = 400 << 20
_SIZE = 10_000_000
_SECONDS = 100.0
"""After which no client goes on: what was not answered by then is in nobody's figures."""
_PIECE = b"x" * 998 + b"\r\n"
_TABLES = """\
[queue]
retry = ["1s", "1s", "2s"]
[limits]
connections = 5000
connections_per_address = 5000
free_space = 0
"""
_GROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.peak"),
)


class Group:
    """A memory group, or what stands in for one."""

    def __init__(self, name: str) -> None:
        self.kind = "RLIMIT_AS"
        self._folder: Path | None = None
        for root, limit, self._peak in _GROUPS:
            folder = root / name
            with contextlib.suppress(OSError):
                folder.mkdir(exist_ok=True)
                (folder / limit).write_text(str(LIMIT))
                self._folder, self.kind = folder, "memory group"
                return

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What the server's command is handed to."""
        if self._folder is None:
            return ("prlimit", f"--as={LIMIT * 4}")
        return ("sh", "-c", f'echo $$ > {self._folder}/cgroup.procs && exec "$@"', "sh")

    def close(self) -> None:
        """It is empty now."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


class Flood:
    """Clients that all send at once."""

    def __init__(self, door: Door, count: int) -> None:
        self.sent = Sent()
        self.cut_off = 0
        self.unanswered = 0
        self._door = door
        self._count = count
        self._digests = {is_bomb: _digest(_content(is_bomb)) for is_bomb in (True, False)}

    async def run(self) -> None:
        """One message each; every tenth is a bomb of parts within parts."""
        async with asyncio.TaskGroup() as group:
            for n in range(self._count):
                group.create_task(self._client(n))

    async def _client(self, n: int) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._send(n)
        except Refused:
            pass  # Counted by its code.
        except TimeoutError:
            self.unanswered += 1
        except (OSError, EOFError):
            self.cut_off += 1

    async def _send(self, n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._door.port)
        talk = Talk(reader, writer, self.sent)
        name, local = f"large-{n}", f"ok-large-{n}"
        self.sent.digests[name] = self._digests[n % 10 == 9]
        self.sent.offered[name] = (local,)
        try:
            await talk.expect(b"220")
            await talk.say(b"EHLO flood")
            await talk.say(b"MAIL FROM:<load@c.test>")
            await talk.say(b"RCPT TO:<%s@b.test>" % local.encode())
            await talk.say(b"DATA", b"354")
            # An answer may come at any time from now on, and nothing more is sent behind it.
            writer.write(b"X-Torture: %s\r\n" % name.encode())
            for piece in _content(n % 10 == 9):
                writer.write(piece)
                await writer.drain()
            writer.write(b".\r\n")
            await talk.expect(b"250")
            self.sent.acknowledged[name, local] = 0
        finally:
            writer.close()


def _content(is_bomb: bool) -> Iterator[bytes]:
    return _bomb() if is_bomb else _bulk()


def _digest(content: Iterator[bytes]) -> str:
    whole = b"X-Torture: x\r\n" + b"".join(content)
    return read_message(whole, (), 0).digest


def _bulk() -> Iterator[bytes]:
    yield b"\r\n"
    for _ in range(_SIZE // 65_000):
        yield _PIECE * 65


def _bomb() -> Iterator[bytes]:
    """Header fields without end, and multiparts in multiparts."""
    yield b"Content-Type: multipart/mixed; boundary=b0\r\n" + b"X-A: b\r\n" * 2000 + b"\r\n"
    for depth in range(20_000):
        yield (b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (depth, depth + 1))


async def run(batch: Batch) -> Outcome:
    """One flood, and a message behind it."""
    sink = Sink()
    await sink.start()
    group = Group(f"merpati-torture-{os.getpid()}")
    setup = Setup(f"smtp://127.0.0.1:{sink.port}", tables=_TABLES)
    server = Victim(batch.folder, setup)
    await asyncio.to_thread(server.populate)
    server.wrapper = group.wrapper
    flaws: list[str] = []
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_greeting)
        before = server.tree()
        flood = Flood(server.doors[0], batch.count)
        await flood.run()
        peak = max(_peak(pid) for pid in server.tree() or before)
        if server.tree() != before:
            flaws.append(f"processes were {before} and are {server.tree()}")
        await server.drain()
        flaws += [] if await asyncio.to_thread(server.stop) == 0 else ["the stop failed"]
    finally:
        await asyncio.to_thread(server.kill_all)
        await sink.stop()
        group.close()
    if peak > RSS:
        flaws.append(f"RSS was {peak >> 20} MiB")
    # A bomb may be refused for what it is.
    harsh = [said for said in flood.sent.refused if not said.startswith(("4", "552 5.3.4"))]
    flaws += [f"was told {said}" for said in harsh]
    figures = (("RSS, MiB", float(peak >> 20)), (f"MiB by {group.kind}", float(LIMIT >> 20)))
    told = {"taken": len(flood.sent.acknowledged), "cut off": flood.cut_off}
    told |= {f"not answered in {_SECONDS:.0f} s": flood.unanswered} | flood.sent.refused
    verdict = compare(flood.sent, sink, server.boxed(), interrupted=False)
    return Outcome(batch.count, (verdict,), tuple(flaws), figures, tuple(told.items()))


def _peak(pid: int) -> int:
    """The most resident memory that a process ever had."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    return 0


MEMORY = Torment(
    name="memory",
    guarantee="G5",
    counted="messages at once",
    full=1000,
    short=60,
    size=1000,
    run=run,
    missing=lambda: lacking("prlimit"),
)
