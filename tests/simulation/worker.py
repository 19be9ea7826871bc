"""One life of the worker: the real parts; disk, network, DNS and clock are played."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from merpati.api import questions as ask
from merpati.api.errors import Unknown
from merpati.api.office import QueueOffice
from merpati.api.sites import SiteOffice
from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.dispatcher import Dispatcher, DispatcherParts, DispatcherSettings
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.link import ConversationSettings
from merpati.delivery.mailboxes import MailboxParts
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.delivery.mx import HostFinder, MxSettings
from merpati.delivery.pacing import Paces, PacingSettings
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
from tests.simulation.oracle import BY_OPERATOR, SLACK, Oracle, Watched
from tests.simulation.plan import HERE, LMTP, MINUTE, RESIDENTS, Alter, Plan, Submit

HOSTNAME = "us.test"
DELAYS = (1 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE)
PACING = PacingSettings(reputation=(20 * MINUTE, 30 * MINUTE), longest_probe=30 * MINUTE)
_SETTLING = SettlingSettings(delay_notice=10 * MINUTE)
_TIDY = 5 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a worker is born into."""

    plan: Plan
    loop: SimulatedLoop
    machine: MachineClock
    network: Network
    resolver: Resolver
    routes: Sequence[Route]
    oracle: Oracle
    chance: Random
    mail: Path
    """Of Maildirs, which are on a disk that never fails."""


class Worker:
    """Begun once; then it is stopped, or it dies."""

    def __init__(self, given: Birth, disk: SimulatedDisk, name: str) -> None:
        self.life = Life(name)
        self.is_ready = False
        self.lines = Lines(given.network, PACING.cap)
        self.disk = disk
        self._given = given
        clock = self.clock = ProcessClock(given.loop, given.machine)
        settings = StorageSettings(disk.folder / "0.db", hold=0.0, ride=0.0, vfs=disk.name)
        self.database = SimulatedDatabase(settings, clock, self._delay)
        self.journal = JournalStore(self.database)
        in_hand = QueueSettings(in_hand_octets=given.plan.in_hand_octets)
        self.store = QueueStore(self.database, self.journal, clock, in_hand)
        self.queue = Watched(self.store, given.oracle)
        self.defects: list[BaseException] = []
        self._directory = Residents()
        for resident in RESIDENTS[:-1]:
            self._directory.move_in(f"{resident}@{HERE}")
        self.intake = self._make_intake()
        self.dispatcher = self._make_dispatcher()
        self.notices = self._make_notices()
        self._is_nudged = False

    def _delay(self) -> float:
        return self._given.chance.choice((0.0001, 0.0005, 0.002, 0.02))

    def _make_intake(self) -> Intake:
        given = self._given
        return Intake(
            settings=IntakeSettings(HOSTNAME, max_age=given.plan.max_age),
            queue=self.queue,
            journal=self.journal,
            expander=Expander(self._directory, HOSTNAME),
            judge=Judge([]),
            clock=self.clock,
            new_id=IdMaker(self.clock.now, given.chance.randbytes).make,
        )

    def _make_dispatcher(self) -> Dispatcher:
        given, plan = self._given, self._given.plan
        finder = HostFinder(MxSettings(HOSTNAME), given.resolver, given.chance.shuffle)
        settings = DispatcherSettings(
            permits=plan.permits, sweep=plan.sweep, recipients=plan.recipients
        )
        maildirs = Maildirs(MaildirSettings(given.mail, given.mail, HOSTNAME))
        schedule = Schedule(DELAYS)
        parts = DispatcherParts(
            queue=self.queue,
            sites=self.queue,
            routes=Routes(self._directory, given.routes),
            siting=Siting(SitingSettings(), finder, self.queue, self.clock),
            paces=Paces(PACING, given.chance.random),
            pools=PoolParts(finder, self._talk, permits=max(1, plan.permits // 2)),
            settling=Settling(_SETTLING, lambda n: schedule.delay(n, given.chance.random())),
            mailboxes=MailboxParts(maildirs, self._directory, _NO_EXECUTOR, self.clock, 1),
            signing=Signing(
                SigningParts(signatures.keys(), self._directory, _NO_EXECUTOR, self._unsigned)
            ),
            clock=self.clock,
            note=self.journal.note,
            log=lambda event, error: self.defects.append(error),
        )
        return Dispatcher(settings, parts)

    def _unsigned(self, message: str, why: str) -> None:
        self.defects.append(AssertionError(f"{message} is not signed: {why}"))

    def _talk(
        self, way: Way, host: Host, memory: SiteMemory, learn: Callable[[Lesson], None]
    ) -> Conversation:
        given = self._given
        surroundings = Surroundings(
            settings=ConversationSettings(HOSTNAME),
            dial=partial(self.lines.dial, way.site),
            clock=self.clock,
            entropy=given.chance.randbytes,
            note=self.journal.note,
            learn=learn,
        )
        security = decide(way, host, memory)
        return Conversation(way, host, security, surroundings, memory)

    def _make_notices(self) -> Notices:
        books = (self.queue, self.queue, self.journal)
        return Notices(books, self.intake, self.clock, NoticeSettings(HOSTNAME))

    async def run(self) -> None:
        """From the opening of its file to the end of a stop."""
        await self._open()
        self.queue.on_ready(self._nudge)
        self.is_ready = True
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
        await self.database.close()

    def _nudge(self) -> None:
        """As `system.delivering` does: debts are looked for soon, but not after each settlement."""
        if not self._is_nudged:
            self._is_nudged = True
            self._given.loop.call_later(0.5, self._wake_notices)

    def _wake_notices(self) -> None:
        self._is_nudged = False
        self.notices.wake()

    async def _open(self) -> None:
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
        oracle = self._given.oracle
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
            oracle.accepted[name] = self._given.loop.time()

    async def _stream(self, facts: Facts, content: Body) -> str:
        stamp = self.intake.stamp(facts)
        octets = stamp.octets + content.octets()
        draft = self.queue.draft()
        self._given.oracle.will_be(stamp.id, octets)
        try:
            for start in range(0, len(octets), 50_000):
                await draft.write(octets[start : start + 50_000])
            stamped = Stamped(draft, stamp, len(octets), eight_bit=False)
            return (await self.intake.accept(facts, stamped)).id
        except StorageError:
            return ""
        finally:
            await draft.discard()

    async def alter(self, step: Alter, ids: Sequence[str]) -> None:
        """An operator's command."""
        office = QueueOffice(self.queue, self.queue, self.clock, lambda route: True)
        chosen = ask.Filter(ids=tuple(ids), domain=step.domain)
        await office.alter(ask.AlterQueue(filter=chosen, action=step.action, route=step.route))

    async def suspend(self, site: str, seconds: float) -> None:
        """The same for a site."""
        office = SiteOffice(
            desk=self.queue,
            sites=self.queue,
            clock=self.clock,
            host_of=lambda *_: "",
            hosts=lambda: [LMTP],
            suspended=self.dispatcher.suspend,
            resumed=self.dispatcher.resume,
        )
        try:
            await office.hold(ask.HoldSite(site=site, seconds=seconds, why=BY_OPERATOR))
        except Unknown:
            return


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
