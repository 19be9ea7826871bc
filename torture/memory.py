"""G5: 512 MiB of memory, many large messages at once, and messages that are made to swell.

The limit is a memory group's (of either kind); without one the run cannot be made. No process may
be killed for its memory, all of them together may have so much of it and no more, and every client
gets a reply: its message is taken, told to come later, or refused for what it is. Nobody is cut off
without a word, and nobody waits for ever.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from torture.generator import Door, Refused, Sent, Talk
from torture.oracle import compare
from torture.server import Setup, Victim
from torture.sink import Sink, read_message
from torture.torment import Batch, Outcome, Torment, lacking

LIMIT = 512 << 20
RSS = 400 << 20
_SIZE = 10_000_000
_SECONDS = 420.0
"""Within which every client has to have a reply: ten gigabytes come in, and go out meanwhile."""
_WORKERS = 2
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
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
_PEAKS = ("memory.max_usage_in_bytes", "memory.peak")
_KILLS = ("memory.oom_control", "memory.events")


class Group:
    """A memory group; OSError where none can be made."""

    def __init__(self, name: str) -> None:
        for root, limit in _GROUPS:
            self._folder = root / name
            with contextlib.suppress(OSError):
                self._folder.mkdir(exist_ok=True)
                try:
                    (self._folder / limit).write_text(str(LIMIT))
                except OSError:
                    self.close()
                    continue
                return
        raise OSError("no memory group can be made here")

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What the server's command is handed to."""
        return ("sh", "-c", f'echo $$ > {self._folder}/cgroup.procs && exec "$@"', "sh")

    def peak(self) -> int:
        """The most octets that it ever had, with files that are cached; 0 where none is told."""
        return max(int(text) for text in ("0", *self._read(_PEAKS)))

    def killed(self) -> int:
        """How many processes the kernel killed for their memory."""
        words = [line.split() for text in self._read(_KILLS) for line in text.splitlines()]
        return sum(int(value) for name, value in words if name == "oom_kill")

    def _read(self, names: tuple[str, ...]) -> list[str]:
        files = [self._folder / name for name in names]
        return [file.read_text() for file in files if file.exists()]

    def close(self) -> None:
        """It is empty now."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()


class Flood:
    """Clients that all send at once."""

    def __init__(self, door: Door, count: int) -> None:
        self.sent = Sent()
        self.cut_off = 0
        self.unanswered = 0
        self.slowest = 0.0
        """Seconds until the last reply."""
        self._door = door
        self._count = count
        self._digests = {is_bomb: _digest(_content(is_bomb)) for is_bomb in (True, False)}

    async def run(self) -> None:
        """One message each; every tenth is a bomb of parts within parts."""
        async with asyncio.TaskGroup() as group:
            for n in range(self._count):
                group.create_task(self._client(n))

    async def _client(self, n: int) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._send(n)
        except Refused:
            pass  # Counted by its code.
        except TimeoutError:
            self.unanswered += 1
            return
        except (OSError, EOFError):
            self.cut_off += 1
            return
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def flaws(self) -> list[str]:
        """Who had no reply, and which replies no client can mend."""
        found = [f"{self.cut_off} were cut off without a word"] if self.cut_off else []
        if self.unanswered:
            found.append(f"{self.unanswered} had no reply in {_SECONDS:g} s")
        # A bomb may be refused for what it is.
        harsh = [said for said in self.sent.refused if not said.startswith(("4", "552 5.3.4"))]
        return [*found, *(f"was told {said}" for said in harsh)]

    async def _send(self, n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._door.port)
        talk = Talk(reader, writer, self.sent, patience=_SECONDS)
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


class Meter:
    """How much memory a server has, all its processes together."""

    def __init__(self, server: Victim) -> None:
        self.peak = 0
        self._server = server

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look again and again within the block."""
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(self._look())
            yield
            looking.cancel()

    async def _look(self) -> None:
        while True:
            sizes = await asyncio.to_thread(lambda: [_share(pid) for pid in self._server.tree()])
            self.peak = max(self.peak, sum(sizes))
            await asyncio.sleep(0.2)


def _share(pid: int) -> int:
    """Resident memory of a process; what it shares with others is divided among them."""
    with contextlib.suppress(OSError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split()[0]) << 10
    return 0


async def run(batch: Batch) -> Outcome:
    """One flood, and a message behind it."""
    sink = Sink()
    await sink.start()
    group = Group(_name())
    setup = Setup(f"smtp://127.0.0.1:{sink.port}", tables=_TABLES, workers=_WORKERS)
    server = Victim(batch.folder, setup)
    await asyncio.to_thread(server.populate)
    server.wrapper = group.wrapper
    flood, meter = Flood(server.doors[0], batch.count), Meter(server)
    flaws: list[str] = []
    try:
        await asyncio.to_thread(server.start)
        before = await server.settled_tree()
        async with meter.running():
            await flood.run()
            await server.drain(600)
        if server.tree() != before:
            flaws.append(f"processes were {before} and are {server.tree()}")
        flaws += [] if await asyncio.to_thread(server.stop) == 0 else ["the stop failed"]
    finally:
        await asyncio.to_thread(server.kill_all)
        await sink.stop()
        peak, killed = group.peak(), group.killed()
        group.close()
    if killed:
        flaws.append(f"{killed} processes were killed for their memory")
    if meter.peak > RSS:
        flaws.append(f"all processes together had {meter.peak >> 20} MiB")
    figures = (
        ("workers", float(_WORKERS)),
        ("MiB of all processes", float(meter.peak >> 20)),
        ("MiB by memory group", float(LIMIT >> 20)),
        ("MiB that the group had once, cached files too", float(peak >> 20)),
        ("slowest reply, s", round(flood.slowest, 1)),
    )
    told = {"taken": len(flood.sent.acknowledged), "cut off": flood.cut_off}
    told |= {"without a reply": flood.unanswered} | flood.sent.refused
    verdict = compare(flood.sent, sink, server.boxed(), interrupted=False)
    return Outcome(batch.count, (verdict,), (*flaws, *flood.flaws()), figures, tuple(told.items()))


def _name() -> str:
    return f"merpati-torture-{os.getpid()}"


def absent() -> str:
    """Why memory cannot be limited here."""
    try:
        Group(_name()).close()
    except OSError as error:
        return str(error)
    return lacking("sh")


MEMORY = Torment(
    name="memory",
    guarantee="G5",
    counted="messages at once",
    full=1000,
    short=60,
    size=1000,
    run=run,
    missing=absent,
)
