"""G3: the N-th system call of a kind fails, for every N of a standard scenario and every errno.

strace injects the failure into the running server: once, or from the N-th on until it is taken
away. Behind each the server must take mail again within five seconds, by itself (but for those in
which other work of the machine kept it from a processor), must have said nothing worse than "try
again later", and must not have synced a file again on which a sync failed.

A server that does not answer then is killed and started anew, so that the next case finds one that
works. One that starts with a failure may refuse to, in words, and has to come up the next time.

The N come from scenarios, and from a start, in which nothing fails (`fault.py`); a scenario is
repeated until the N-th call has come. Files in mailboxes are written by the same call as uvloop
writes to sockets by: where that fails the server runs on Python's own loop. A case that never came
about is named, and counts for nothing.
"""

import asyncio
import contextlib
import os
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec

from torture.fault import WRITE, Case, Counts, count, count_start, plan
from torture.generator import BOX, Generator, Pace, Sent
from torture.injection import Injection, Tracer, counting, untraceable
from torture.oracle import WINDOW, compare
from torture.server import REFUSALS, Setup, Victim
from torture.sink import Sink, Strike
from torture.torment import Batch, Outcome, Torment

HEALED_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
"""For the answer to a client that came within them: the machine has other work."""
_SCENARIO_SECONDS = 60
_HUNG_SECONDS = 15.0
"""More, for clients to end what they have begun; who still waits then waits for a hung server."""
_START_SECONDS = 40.0
"""Within which a server that starts with a failure serves, or has ended."""
_DEAF_SECONDS = 8
"""How long nobody is served where no connection can be accepted."""
# The longest is large to the store: it comes in pieces.
_SCENARIO = Pace(
    sessions=2, limit=8, pause=0.0, fates=("ok", "ok", "ok", BOX, "perm"), lines=(3, 40, 4000)
)
_BOXED = replace(_SCENARIO, fates=(BOX, BOX, "ok"))
_SEED = 5
_LATER = re.compile(r"4\d\d 4\.3\.\d|421")
_QUIET_SECONDS = 0.4
_LATEST_SECONDS = 3.0
"""What a scenario leaves to do has come to its calls by then: the first retry is due after one."""
_ROUNDS = 4
"""Scenarios at most until the N-th call came: how threads share the calls differs each time."""
_FOLDING_ROUNDS = 12
"""Until the log is folded back, at four MiB of it."""


class Patient:
    """A server that case after case is done to."""

    def __init__(self, folder: Path) -> None:
        self.sink = Sink()
        self.sent = Sent()
        self.flaws: list[str] = []
        self.struck: Counter[str] = Counter()
        """How often calls of each kind failed, as they were meant to."""
        self.missed: list[str] = []
        """What never came."""
        self._folder = folder

    async def begin(self) -> None:
        """Start."""
        await self.sink.start()
        self.server = Victim(self._folder, Setup(f"smtp://127.0.0.1:{self.sink.port}"))
        self._doors = [self.server.doors[0], self.server.doors[-1]]
        self._database = self.server.data / "queue-0.db"
        await asyncio.to_thread(self.server.populate)
        self.server.options = ("--no-uvloop",)
        await self._start()

    async def go_on_with_uvloop(self) -> None:
        """Start anew: from now on no `write` may fail, for sockets are written to by it."""
        await asyncio.to_thread(self.server.stop)
        self.server.options = ()
        await self._start()

    async def count(self) -> Counts:
        """What calls the scenarios make when nothing fails."""
        found = Counts({}, {})
        for turn, pace in enumerate((_SCENARIO, _BOXED, _SCENARIO, _BOXED)):
            tracer = counting(self._folder / f"counting{turn}.strace")
            with tracer.attached(self.server.tree()):
                generator = Generator(self._doors, _SEED, pace)
                generator.prefix = f"counting{turn}"
                await generator.run()
                await self._settle(tracer)
            self.sent.add(generator.sent)
            found = found.joined(count(tracer.lines(), is_boxed=pace is _BOXED))
        tracer = counting(self._folder / "counting.start.strace")
        await self._start_traced(tracer)
        await self._settle(tracer)
        found = found.joined(count_start(tracer.lines()))
        await self._start_alone()
        return found

    async def _settle(self, tracer: Tracer) -> None:
        """Return when no more calls come, or the one that was meant has."""
        end, before = time.monotonic() + _LATEST_SECONDS, -1
        while (now := len(tracer.lines())) != before and time.monotonic() < end:
            if isinstance(tracer, Injection) and tracer.strikes():
                return
            before = now
            await asyncio.sleep(_QUIET_SECONDS)

    async def _start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.wait_greeting)

    async def suffer(self, case: Case) -> None:
        """One case, and what it did to the server."""
        self.sink.strike()
        log = self._folder / f"{case.name}.strace"
        said = len(self._words())
        injection = Injection(case, log, self._database)
        # What a case before did to connections would keep mail from the only host for minutes.
        with contextlib.suppress(*REFUSALS):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.server.hurry()
        if case.at_start:
            await self._start_with(case, injection, said)
        else:
            await self._suffer_running(case, injection)
        self.flaws += [f"{case.name}: {one}" for one in injection.retried()]
        if injection.strikes():
            self.struck[f"{case.kind.names[0]} failed"] += 1
        else:
            self.missed.append(case.name)
        log.unlink(missing_ok=True)
        if self.server.has_ended:
            self.flaws.append(f"{case.name}: the server ended: {self.server.output()[-600:]}")
            await self._revive(case)
        if not await self._is_healed(case):
            self.flaws.append(f"{case.name}: takes no mail {HEALED_SECONDS:g} s after the fault")
            await self._revive(case)
        if b"Traceback" in self._words()[said:]:
            self.flaws.append(f"{case.name}: a traceback in {self.server.log}")
        self.sink.calm(Strike(1, WINDOW if case.stays else 4))

    def _words(self) -> bytes:
        log = self.server.log
        return log.read_bytes() if log.exists() else b""

    async def _suffer_running(self, case: Case, injection: Injection) -> None:
        with injection.attached(self.server.tree()):
            for turn in range(_FOLDING_ROUNDS if case.folding else _ROUNDS):
                is_over = await self._scenario(case, turn, injection)
                if not is_over or self.server.has_ended:
                    return
                await self._settle(injection)
                if injection.strikes():
                    return

    async def _revive(self, case: Case) -> None:
        """Start anew; once more, if it does not come up."""
        try:
            await self._start_alone()
        except AssertionError as error:
            self.flaws.append(f"{case.name}: the next start fails: {str(error)[-600:]}")
            await self._start_alone()

    async def _start_alone(self) -> None:
        """Kill what there is, and start without a tracer."""
        await asyncio.to_thread(self.server.kill_all)
        self.server.wrapper = ()
        await self._start()

    async def _scenario(self, case: Case, turn: int, injection: Injection) -> bool:
        """Whether every client has got to its end."""
        pace = _BOXED if case.kind.is_boxed else _SCENARIO
        if case.is_deaf:
            pace = replace(pace, greeting=_DEAF_SECONDS)
        generator = Generator(self._doors, _SEED, pace)
        generator.prefix = f"{case.name}-{turn}"
        async with asyncio.TaskGroup() as group:
            working = group.create_task(generator.run())
            watching = group.create_task(self._watch(case, generator, injection))
            limit = _SCENARIO_SECONDS + _HUNG_SECONDS
            done, _ = await asyncio.wait({working}, timeout=limit)
            if not done:
                self.flaws.append(f"{case.name}: clients are not answered in {limit:g} s")
                working.cancel()
            watching.cancel()
        harsh = [said for said in generator.sent.refused if not _LATER.match(said)]
        self.flaws += [f"{case.name}: was told {said}" for said in harsh]
        self.sent.add(generator.sent)
        return bool(done)

    async def _watch(self, case: Case, generator: Generator, injection: Injection) -> None:
        """Send no more once it has happened; wait for none that has ended or says nothing."""
        before = self._processor_seconds()
        seconds = _DEAF_SECONDS - 1 if case.is_deaf else _SCENARIO_SECONDS
        for _ in range(seconds * 5):
            await asyncio.sleep(0.2)
            if self.server.has_ended or (injection.strikes() and not case.stays):
                generator.stop()
        generator.stop()
        if not case.is_deaf:
            self.flaws.append(f"{case.name}: the scenario is not over after a minute")
        elif (spent := self._processor_seconds() - before) > seconds / 4:
            self.flaws.append(f"{case.name}: {spent:.1f} s of CPU in {seconds} s of waiting")

    def _processor_seconds(self) -> float:
        """Of the whole server, while it lives."""
        ticks = os.sysconf("SC_CLK_TCK")
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in self.server.tree()]
        return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats) / ticks

    async def _is_healed(self, case: Case) -> bool:
        """Whether mail is taken again without a restart, soon."""
        begun, starved = time.monotonic(), self.server.starved()
        turn = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5 * HEALED_SECONDS + _ANSWER_SECONDS):
                while self.server.elapsed(begun, starved) < HEALED_SECONDS:
                    turn += 1
                    generator = Generator(self._doors[:1], turn, Pace(1, 1, 0.0, ("ok",), (3,)))
                    generator.prefix = f"{case.name}-healed{turn}"
                    try:
                        await generator.run()
                    finally:
                        self.sent.add(generator.sent)
                    if generator.sent.acknowledged:
                        return True
        return False

    async def _start_traced(self, tracer: Tracer) -> bool:
        """Kill it with mail in the queue, and start it so; whether it serves then."""
        await asyncio.to_thread(self.server.kill_all)
        self.server.wrapper = tuple(tracer.command)
        await asyncio.to_thread(self.server.spawn)
        begun, starved = time.monotonic(), self.server.starved()
        while not self.server.has_ended:
            if self.server.elapsed(begun, starved) > _START_SECONDS:
                return False
            with contextlib.suppress(AssertionError):
                await asyncio.to_thread(self.server.wait_greeting, 1)
                return True
        return False

    async def _start_with(self, case: Case, injection: Injection, said: int) -> None:
        """Start with the fault; it may refuse to, in words, and comes up without it."""
        if await self._start_traced(injection):
            self.struck["served from the start"] += 1
        elif not self.server.has_ended and b'"event":"full"' in self._words()[said:]:
            # Each try is a thread of its own, and the N-th call of each fails: as if still full.
            self.struck["waited for room"] += 1
        elif not self.server.has_ended:
            limit = _START_SECONDS
            self.flaws.append(f"{case.name}: neither serves nor ends {limit:g} s after its start")
        elif self._words()[said:].strip():
            self.struck["refused to start, in words"] += 1
        else:
            self.flaws.append(f"{case.name}: ends at its start without a word")
        await self._revive(case)


def _read(file: Path) -> Counts | None:
    return msgspec.json.decode(file.read_bytes(), type=Counts) if file.exists() else None


def _write(file: Path, counts: Counts) -> None:
    file.write_bytes(msgspec.json.encode(counts))


async def run(batch: Batch) -> Outcome:
    """Some of all cases, one after the other, on one server."""
    patient = Patient(batch.folder)
    await patient.begin()
    try:
        # Counted by the first batch for all, lest one counts otherwise and leaves out an N.
        if (counts := _read(file := batch.folder.with_name("faults.counts"))) is None:
            counts = await patient.count()
            _write(file, counts)
        chosen = plan(counts)[batch.before :][: batch.count]
        for case in (one for one in chosen if one.calls == WRITE):
            await patient.suffer(case)
        await patient.go_on_with_uvloop()
        for case in (one for one in chosen if one.calls != WRITE):
            await patient.suffer(case)
        # Each failure of a connection doubles the rest of the only host, up to an hour.
        await patient.server.drain(hurried=True)
    finally:
        await asyncio.to_thread(patient.server.stop)
        await patient.sink.stop()
    verdict = compare(patient.sent, patient.sink, patient.server.boxed())
    tally = {**patient.struck, **patient.sent.refused, "never came to it": len(patient.missed)}
    return Outcome(
        len(chosen) - len(patient.missed),
        (verdict,),
        tuple(patient.flaws),
        tally=tuple(tally.items()),
        missed=tuple(patient.missed),
    )


FAULTS = Torment(
    name="faults",
    guarantee="G3",
    counted="faults",
    full=1200,  # More than there are, by any count: the last batches are empty.
    short=12,
    size=60,
    run=run,
    missing=untraceable,
)
