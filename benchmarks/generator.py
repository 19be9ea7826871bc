"""Load of our own, for what smtp-source cannot do: TLS, AUTH, pipelining, BDAT, many recipients.

    python -m benchmarks.generator PORT [--count N] [--size OCTETS] [--sessions N]
        [--recipients N] [--tls none|starttls|implicit] [--login NAME:PASSWORD] [--fresh]
        [--style steps|pipelined|bdat] [--rate MESSAGES_A_SECOND] [--domains N]

It prints one line of JSON: what was sent, from when to when (CLOCK_MONOTONIC), its own CPU, and
how long the server took from the last octet of a message to its 250. With `--rate` messages begin
at their time, whether or not the server keeps up, and `late` says by how much the last ones began
behind it. The sender of a message is the microsecond in which it began, so that benchmarks.sink
can tell how long it was under way. The generator runs as a process of its own and thinks little:
25 to 40 us of CPU a message of 10 KB.
"""

import argparse
import asyncio
import base64
import gc
import json
import resource
import ssl
import sys
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import cast

import uvloop

LIMIT = 55.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send."""

    port: int
    count: int = 1000
    size: int = 10_240
    sessions: int = 20
    recipients: int = 1
    tls: str = "none"
    login: str = ""
    style: str = "pipelined"
    rate: float = 0.0
    domains: int = 1
    fresh: bool = False
    """A connection for each message."""


def content(size: int) -> bytes:
    """A message of about that many octets, without a line that begins with a dot."""
    head = (
        b"From: <load@a.test>\r\nTo: <sink@b.test>\r\nSubject: load\r\nMessage-ID: <1@a.test>\r\n"
    )
    head += b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
    line = b"x" * 76 + b"\r\n"
    return head + line * max(1, (size - len(head)) // len(line))


def domain(number: int, domains: int) -> str:
    """The recipients' domain of a message: one, or in turn dA-B.test (its sink is 127.1.A.B)."""
    if domains == 1:
        return "b.test"
    a, b = divmod(number % domains, 250)
    return f"d{a}-{b + 1}.test"


class Work:
    """What is left to send, and what was seen; shared by all sessions."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sender = plan.login.partition(":")[0].encode()
        self._jobs: set[asyncio.Task[None]] = set()
        self.next = 0
        self.done = 0
        self.began = self.ended = 0.0
        self.waits: list[float] = []
        self.late: list[float] = []
        self.finished = asyncio.get_running_loop().create_future()
        body = content(plan.size)
        self.payload = b"BDAT %d LAST\r\n" % len(body) + body if plan.style == "bdat" else body
        if plan.style != "bdat":
            self.payload += b".\r\n"

    def take(self) -> int | None:
        """The number of the next message, if there is one."""
        if self.next == self.plan.count:
            return None
        self.next += 1
        return self.next - 1

    def due(self, number: int) -> float:
        """Seconds until it may begin."""
        if not self.plan.rate:
            return 0.0
        wait = self.began + number / self.plan.rate - time.perf_counter()
        if wait <= 0:
            self.late.append(-wait)
        return wait

    def accepted(self, seconds: float) -> None:
        """One more has its 250."""
        self.waits.append(seconds)
        self.done += 1
        if self.done == self.plan.count and not self.finished.done():
            self.ended = time.monotonic()
            self.finished.set_result(None)

    def spawn(self, job: Coroutine[None, None, None]) -> None:
        """Do it beside the rest; it ends with the work."""
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def leave(self) -> None:
        """Sessions that came too late to send anything are not needed."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def fail(self, error: Exception) -> None:
        """End it all."""
        if not self.finished.done():
            self.finished.set_exception(error)

    def envelope(self, number: int) -> list[bytes]:
        """The commands before the content."""
        where = domain(number, self.plan.domains)
        sender = self.sender or b"t%d@a.test" % (time.monotonic() * 1e6)
        commands = [b"MAIL FROM:<%b>\r\n" % sender]
        commands += [
            b"RCPT TO:<u%d@%s>\r\n" % (n, where.encode()) for n in range(self.plan.recipients)
        ]
        if self.plan.style != "bdat":
            commands.append(b"DATA\r\n")
        return commands


class Session(asyncio.Protocol):
    """One connection: a queue of commands, each group answered before the next is written."""

    def __init__(self, work: Work, context: ssl.SSLContext | None) -> None:
        self._work = work
        self._context = context
        self._rest = b""
        self._groups: deque[bytes] = deque()
        self._expected = 1
        self._sent = 0.0
        self._is_content = False
        self._is_leaving = False
        self._is_upgrading = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        plan = self._work.plan
        hello = [b"EHLO load.test\r\n"]
        if plan.tls == "starttls":
            hello += [b"STARTTLS\r\n", b"EHLO load.test\r\n"]
        if plan.login:
            name, _, password = plan.login.partition(":")
            plain = base64.b64encode(f"\0{name}\0{password}".encode())
            hello.append(b"AUTH PLAIN " + plain + b"\r\n")
        self._groups.extend(hello)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        *lines, self._rest = data.split(b"\r\n")
        for line in lines:
            if line[3:4] == b"-":
                continue
            if line[:1] not in (b"2", b"3"):
                self._work.fail(RuntimeError(f"the server said {line.decode('latin-1')}"))
                self._transport.abort()
                return
            self._expected -= 1
        if self._expected == 0:
            self._go_on()

    def _go_on(self) -> None:
        """The whole group was answered."""
        if self._is_content:
            self._is_content = False
            self._work.accepted(time.perf_counter() - self._sent)
            if self._work.plan.fresh:
                self._leave()
                return
        if self._is_upgrading:
            self._work.spawn(self._secure())
        elif self._groups:
            self._write(self._groups.popleft())
        elif not self._is_leaving:
            self._begin()

    async def _secure(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._context is not None
        try:
            secured = await loop.start_tls(
                self._transport, self, self._context, server_hostname="localhost"
            )
        except OSError as error:
            self._work.fail(error)
            return
        self._transport = cast(asyncio.Transport, secured)
        self._is_upgrading = False
        self._write(self._groups.popleft())

    def _write(self, octets: bytes) -> None:
        """One group. The payload of a message goes behind its envelope when nothing is awaited."""
        self._is_upgrading = octets == b"STARTTLS\r\n"
        self._expected = 1
        self._transport.write(octets)
        if octets is self._work.payload:
            self._is_content = True
            self._sent = time.perf_counter()

    def _begin(self) -> None:
        """The next message, now or at its time."""
        number = self._work.take()
        if number is None:
            self._leave()
            return
        wait = self._work.due(number)
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._start, number)
        else:
            self._start(number)

    def _start(self, number: int) -> None:
        commands = self._work.envelope(number)
        style = self._work.plan.style
        if style == "steps":
            self._groups.extend([*commands, self._work.payload])
            self._write(self._groups.popleft())
        elif style == "pipelined":
            self._groups.append(self._work.payload)
            self._expected = len(commands)
            self._transport.write(b"".join(commands))
        else:
            self._expected = len(commands) + 1
            self._transport.write(b"".join(commands) + self._work.payload)
            self._is_content = True
            self._sent = time.perf_counter()

    def _leave(self) -> None:
        self._is_leaving = True
        self._expected = -1
        self._transport.write(b"QUIT\r\n")

    def eof_received(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_leaving:
            self._work.fail(exc or ConnectionError("the server hung up"))
        elif self._work.plan.fresh and self._work.next < self._work.plan.count:
            self._work.spawn(connect(self._work, self._context))


async def connect(work: Work, context: ssl.SSLContext | None) -> None:
    """One session; it begins with the server's greeting."""
    loop = asyncio.get_running_loop()
    implicit = context if work.plan.tls == "implicit" else None
    try:
        await loop.create_connection(
            lambda: Session(work, context),
            "127.0.0.1",
            work.plan.port,
            ssl=implicit,
            server_hostname="localhost" if implicit else None,
        )
    except OSError as error:
        work.fail(error)


async def send(plan: Plan) -> Work:
    """All of it; raises what went wrong first."""
    context = None
    if plan.tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    work = Work(plan)
    work.began = time.perf_counter()
    for _ in range(min(plan.sessions, plan.count)):
        await connect(work, context)
    async with asyncio.timeout(LIMIT):
        await work.finished
    await work.leave()
    return work


def percentile(values: list[float], share: float) -> float:
    """Milliseconds; 0 of nothing."""
    ordered = sorted(values)
    return (
        round(1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
        if ordered
        else 0.0
    )


def cpu() -> float:
    """Our own, user and system seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def report(work: Work, began: float, spent: float) -> dict[str, object]:
    """One line of JSON."""
    return {
        "count": work.done,
        "began": began,
        "ended": work.ended,
        "cpu": round(spent, 4),
        "p50": percentile(work.waits, 0.5),
        "p90": percentile(work.waits, 0.9),
        "p99": percentile(work.waits, 0.99),
        "max": percentile(work.waits, 1.0),
        "late": percentile(work.late, 0.99),
    }


def main() -> None:
    """Send and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    for name, default in (("count", 1000), ("size", 10_240), ("sessions", 20), ("recipients", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--domains", type=int, default=1)
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--login", default="")
    parser.add_argument("--style", choices=["steps", "pipelined", "bdat"], default="pipelined")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--fresh", action="store_true")
    plan = Plan(**vars(parser.parse_args()))
    gc.disable()
    began, before = time.monotonic(), cpu()
    try:
        work = uvloop.run(send(plan))
    except (OSError, RuntimeError, TimeoutError) as error:
        sys.exit(f"the load failed: {error or type(error).__name__}")
    print(json.dumps(report(work, began, cpu() - before)))


if __name__ == "__main__":
    main()
