"""One shard at work in one life of its worker: the real parts; disk, network, DNS and clock are
played."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from merpati.api import questions as ask
from merpati.api.office import QueueOffice
from merpati.api.operations import Operation
from merpati.api.sites import SiteOffice
from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.dispatcher import Dispatcher, DispatcherParts, DispatcherSettings
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.mailboxes import MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.mx import HostFinder, MxSettings
from merpati.delivery.pacing import PacingSettings
from merpati.delivery.pool_parts import PoolParts
from merpati.delivery.route import Route, Routes
from merpati.delivery.security import decide
from merpati.delivery.settling import Settling, SettlingSettings
from merpati.delivery.signing import Signing, SigningParts
from merpati.delivery.siting import Siting, SitingSettings
from merpati.delivery.transaction import Host, Way
from merpati.directory.expansion import Expander
from merpati.dns.resolver import Resolver
from merpati.errors import MerpatiError
from merpati.intake import Intake, IntakeSettings, Stamped
from merpati.journal.store import JournalStore
from merpati.mail.address import Address
from merpati.mail.envelope import DEFAULT_NOTIFY, Body, Envelope, Notify, Recipient
from merpati.mail.trace import Client
from merpati.node.table import Table
from merpati.policy.judge import Judge
from merpati.policy.rule import Facts
from merpati.queue.ids import IdMaker
from merpati.queue.schedule import Schedule
from merpati.queue.store import QueueSettings, QueueStore
from merpati.report.dsn import NoticeSettings
from merpati.report.notices import Notices
from merpati.storage.connection import StorageSettings
from merpati.storage.errors import StorageError
from merpati.system.housekeeping import Housekeeping
from merpati.testing.memory_feedback import MemoryFeedback
from merpati.testing.residents import Residents
from merpati.testing.simulation.clock import MachineClock, ProcessClock
from merpati.testing.simulation.database import SimulatedDatabase
from merpati.testing.simulation.disk import SimulatedDisk
from merpati.testing.simulation.loop import Life, SimulatedLoop
from merpati.testing.simulation.network import Network
from tests.simulation import signatures
from tests.simulation.lines import Lines
from tests.simulation.oracle import SLACK, Oracle, Watched
from tests.simulation.plan import HERE, LMTP, MINUTE, RESIDENTS, Plan, Submit
from tests.simulation.rates import Rates, WatchedPaces

HOSTNAME = "us.test"
DELAYS = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE)
PACING = PacingSettings(reputation=(20 * MINUTE, 30 * MINUTE), longest_probe=30 * MINUTE)
_SETTLING = SettlingSettings(delay_notice=10 * MINUTE)
_TIDY = 5 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all workers live on."""

    plan: Plan
    loop: SimulatedLoop
    machine: MachineClock
    network: Network
    resolver: Resolver
    routes: Sequence[Route]
    lines: Lines
    rates: Rates
    lifting: Callable[[str], None]
    """Told of a site that a shard is told to let go."""
    mail: Path
    """Of Maildirs, which are on a disk that never fails."""


@dataclass(slots=True)
class File:
    """What a shard is while no worker has it."""

    number: int
    disk: SimulatedDisk
    oracle: Oracle
    found: float = 0.0
    """By how much the clock was set, as the worker believed that opened it last."""
    boot: str = ""
    """The boot of the machine in which that was; empty if none ever had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a worker gives to each of its shards."""

    ground: Ground
    worker: int
    life: Life
    clock: ProcessClock
    sites: Table
    """What the workers of the node know of sites together."""
    chance: Random


class Shard:
    """Begun once; then it is stopped, or it dies with its worker."""

    def __init__(self, given: Birth, file: File) -> None:
        self.is_ready = False
        self.file = file
        self.worker = given.worker
        self.life = given.life
        self.clock = clock = given.clock
        self._chance = given.chance
        self._ground = ground = given.ground
        self._sites = given.sites
        self._believes = ground.machine.set_by, ground.machine.boot
        disk = file.disk
        settings = StorageSettings(disk.folder / "0.db", hold=0.0, ride=0.0, vfs=disk.name)
        self.database = SimulatedDatabase(settings, clock, self._delay)
        self.journal = JournalStore(self.database)
        in_hand = QueueSettings(in_hand_octets=ground.plan.in_hand_octets)
        self.store = QueueStore(self.database, self.journal, clock, in_hand)
        self.queue = Watched(self.store, file.oracle)
        self.defects: list[BaseException] = []
        self._directory = Residents()
        for resident in RESIDENTS[:-1]:
            self._directory.move_in(f"{resident}@{HERE}")
        self.intake = self._make_intake()
        self.paces = WatchedPaces(replace(PACING, cap=ground.plan.cap), self._chance.random)
        self.paces.told = self._took
        self.dispatcher = self._make_dispatcher()
        self.notices = self._make_notices()
        self._is_nudged = False

    def _delay(self) -> float:
        return self._chance.choice((0.0001, 0.0005, 0.002, 0.02))

    def _make_intake(self) -> Intake:
        return Intake(
            settings=IntakeSettings(HOSTNAME, max_age=self._ground.plan.max_age),
            queue=self.queue,
            journal=self.journal,
            expander=Expander(self._directory, HOSTNAME),
            judge=Judge([]),
            clock=self.clock,
            new_id=IdMaker(self.clock.now, self._chance.randbytes).make,
        )

    def _make_dispatcher(self) -> Dispatcher:
        ground, chance = self._ground, self._chance
        plan = ground.plan
        finder = HostFinder(MxSettings(HOSTNAME), ground.resolver, chance.shuffle)
        settings = DispatcherSettings(
            permits=plan.permits, sweep=plan.sweep, recipients=plan.recipients
        )
        maildirs = Maildirs(MaildirSettings(ground.mail, ground.mail, HOSTNAME))
        schedule = Schedule(DELAYS)
        parts = DispatcherParts(
            queue=self.queue,
            sites=self.queue,
            routes=Routes(self._directory, ground.routes),
            siting=Siting(SitingSettings(), finder, self.queue, self.clock),
            paces=self.paces,
            pools=PoolParts(
                finder, self._talk, permits=max(1, plan.permits // 2), table=self._sites
            ),
            settling=Settling(_SETTLING, lambda n: schedule.delay(n, chance.random())),
            mailboxes=MailboxParts(maildirs, self._directory, _NO_EXECUTOR, self.clock, 1),
            signing=Signing(
                SigningParts(signatures.keys(), self._directory, _NO_EXECUTOR, self._unsigned)
            ),
            clock=self.clock,
            note=self.journal.note,
            log=lambda event, error: self.defects.append(error),
        )
        return Dispatcher(settings, parts)

    def _took(self, site: str, now: float) -> None:
        self._ground.rates.took(self._sites, site, self._sites._workers, now)

    def _unsigned(self, message: str, why: str) -> None:
        self.defects.append(AssertionError(f"{message} is not signed: {why}"))

    def _talk(
        self, way: Way, host: Host, memory: SiteMemory, learn: Callable[[Lesson], None]
    ) -> Conversation:
        surroundings = Surroundings(
            settings=ConversationSettings(HOSTNAME),
            dial=partial(self._ground.lines.dial, self.file.number, way.site),
            clock=self.clock,
            entropy=self._chance.randbytes,
            note=self.journal.note,
            learn=learn,
        )
        security = decide(way, host, memory)
        return Conversation(way, host, security, surroundings, memory)

    def _make_notices(self) -> Notices:
        books = (self.queue, self.queue, self.journal)
        return Notices(books, self.intake, self.clock, NoticeSettings(HOSTNAME))

    async def run(self) -> None:
        """Until a stop is over; its file was opened."""
        self.queue.on_ready(self._nudge)
        async with asyncio.TaskGroup() as group:
            keeping = Housekeeping(self.queue, self.journal, MemoryFeedback(), self.clock)
            keeping.patience, keeping.retention = _SETTLING.delay_notice, 1e12
            chores = [
                group.create_task(self._keep_on(self.notices.run)),
                group.create_task(self._keep_on(partial(_tidy_on, keeping, self.clock))),
            ]
            await self.dispatcher.run()
            for chore in chores:
                chore.cancel()

    def _nudge(self) -> None:
        """As `system.delivering` does: debts are looked for soon, but not after each settlement."""
        if not self._is_nudged:
            self._is_nudged = True
            self._ground.loop.call_later(0.5, self._wake_notices)

    def _wake_notices(self) -> None:
        self._is_nudged = False
        self.notices.wake()

    async def open(self) -> None:
        """The service manager starts it again until the disk lets it."""
        while True:
            try:
                await self.database.open()
                break
            except StorageError:
                await asyncio.sleep(5.0)
        while True:
            try:
                await self.queue.open(await self.journal.last())
                self.file.found, self.file.boot = self._believes
                return
            except StorageError:
                await asyncio.sleep(5.0)

    async def _keep_on(self, work: Callable[[], Awaitable[None]]) -> None:
        """As `system.chores` does."""
        while True:
            try:
                await work()
                return
            except MerpatiError:
                await asyncio.sleep(5.0)
            except Exception as error:
                self.defects.append(error)
                await asyncio.sleep(5.0)

    async def submit(self, step: Submit) -> None:
        """A program hands in a message; what it is told is remembered."""
        oracle = self.file.oracle
        content = Body((_content(step),))
        sender = Address.parse(step.sender) if step.sender else None
        notify = DEFAULT_NOTIFY if step.notify < 0 else Notify(step.notify)
        recipients = tuple(
            Recipient(Address.parse(one), notify, named_notify=step.notify >= 0) for one in step.to
        )
        envelope = Envelope(sender, recipients)
        client = Client("192.0.2.77", role="submission", protocol="ESMTP")
        facts = Facts(client, trusted=True, envelope=envelope)
        if step.streamed:
            name = await self._stream(facts, content)
        else:
            name = (await self.intake.submit(facts, envelope, content)).id
        if name:
            oracle.accepted[name] = self._ground.loop.time()

    async def _stream(self, facts: Facts, content: Body) -> str:
        stamp = self.intake.stamp(facts)
        octets = stamp.octets + content.octets()
        draft = self.queue.draft()
        self.file.oracle.will_be(stamp.id, octets)
        try:
            for start in range(0, len(octets), 50_000):
                await draft.write(octets[start : start + 50_000])
            stamped = Stamped(draft, stamp, len(octets), eight_bit=False)
            return (await self.intake.accept(facts, stamped)).id
        except StorageError:
            return ""
        finally:
            await draft.discard()

    async def obey(self, operation: Operation[Any, Any], question: ask.Question) -> Any:
        """What an operator asks of this shard."""
        return await operation.perform(self.office, question)

    @property
    def office(self) -> Any:
        """As much of it as operators need here."""
        queue = QueueOffice(self.queue, self.queue, self.clock, lambda route: True)
        sites = SiteOffice(
            desk=self.queue,
            sites=self.queue,
            clock=self.clock,
            host_of=lambda *_: "",
            hosts=lambda: [LMTP],
            suspended=self.dispatcher.suspend,
            resumed=self._resume,
        )
        return SimpleNamespace(queue=queue, sites=sites)

    def _resume(self, site: str) -> None:
        self._ground.lifting(site)
        self.dispatcher.resume(site)

    def counts(self) -> dict[str, int]:
        """What is counted of what is in hand: nothing, behind a stop."""
        dispatcher = self.dispatcher
        return {
            "recipients": dispatcher._in_hand.count,
            "octets": dispatcher.octets,
            "permits out": self._ground.plan.permits - dispatcher.permits.all._value,
            "connections": dispatcher._connections,
            "look-ups": len(dispatcher._lookups),
            "claimed": len(self.store._in_hand._claimed),
        }


async def _tidy_on(keeping: Housekeeping, clock: ProcessClock) -> None:
    while True:
        await keeping.tidy()
        await clock.sleep(_TIDY)


def _content(step: Submit) -> bytes:
    author = signatures.author_of(step.n, step.sender)
    head = f"Subject: message {step.n}\r\nFrom: <{author}>\r\n\r\n".encode()
    line = f".line of {step.n}\r\n".encode()
    return head + line * max(1, (step.size - len(head)) // len(line))


class _NoExecutor:
    """The loop works inline."""


_NO_EXECUTOR = _NoExecutor()
LONGEST_WAIT = max(DELAYS) * 1.2 + 1.0
LONGEST_HOLD = max(PACING.reputation[1], PACING.longest_probe * 1.2) + 1.0
# A transaction that stands before it holds a permit for ten minutes at most: RFC 5321 §4.5.3.2.6.
LONGEST_GAP = max(LONGEST_WAIT, LONGEST_HOLD) + 10 * MINUTE + SLACK
