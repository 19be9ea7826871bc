"""How fast a site is approached: what it taught us, kept per site, in memory.

The window is the number of connections that may be open. It grows slowly while it is used up and
everything goes well, and falls at once to what the site showed that it bears: simulated for half an
hour against limits of 2, 5 and 10 connections, 421s meet 0.17, 0.06 and 0.03 % of the attempts.
Nothing here waits or speaks: facts go in, permission comes out. Times are monotonic seconds.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from merpati.delivery.bucket import Bucket
from merpati.delivery.lesson import (
    Lesson,
    LowerRung,
    MessageLimit,
    RecipientLimit,
    Setback,
    SiteMemory,
    Waive,
)
from merpati.delivery.listed import Listed
from merpati.delivery.permits import Promptness
from merpati.delivery.transaction import Host
from merpati.diagnosis.replies import Refusal

Chance = Callable[[], float]
"""A number from 0 up to 1: `random.random`."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class PacingSettings:
    """Connections and back-off of one site. Times in seconds."""

    window: float = 2.0
    """Connections at the start."""
    cap: int = 10
    """Connections at most."""
    hold: float = 60.0
    """After a host had enough of our connections; doubles up to `longest_hold`."""
    longest_hold: float = 900.0
    suspended: float = 60.0
    """A host that could not be reached; doubles up to `longest_suspended`."""
    longest_suspended: float = 1800.0
    probe: float = 60.0
    """A site none of whose hosts can be reached; doubles up to `longest_probe`."""
    longest_probe: float = 3600.0
    storage: float = 300.0
    """A host whose disk is full."""
    reputation: tuple[float, float] = (7200.0, 14_400.0)
    """A site that refuses our address: a time between these."""
    ours: float = 10.0
    """When this machine has no descriptor or memory left for a connection."""
    spread: float = 0.2
    """Probes come this share earlier or later, so that sites do not fall into step."""
    remembered: float = _DAY
    """How long the ladder and limits that were learned are believed."""
    plain: float = 600.0
    """How long a host whose TLS broke is talked to without, where it is a wish. Short: whoever
    can break one handshake, or a restart that does, must not have the mail of a day in the clear.
    For as long a certificate is not looked at that is only reported on.
    """
    prompt: float = 5.0
    """A verdict that comes within it comes soon."""
    sites: int = 10_000
    """Sites that are remembered; the longest unused one is forgotten first."""
    hosts: int = 64
    """Hosts of a site that are remembered as suspended or without TLS."""


@dataclass(slots=True)
class _Setbacks:
    """How often in a row, and until when."""

    count: int = 0
    until: float = -math.inf

    def add(self, now: float, first: float, longest: float, factor: float = 1.0) -> float:
        """Wait for `first`, doubled each time in a row, up to `longest`; the time it ends."""
        # 2**32 of anything is beyond every `longest`; the bound keeps the float finite.
        seconds = min(longest, first * 2.0 ** min(self.count, 32)) * factor
        self.count += 1
        self.until = max(self.until, now + seconds)
        return self.until


@dataclass(slots=True)
class _Average:
    """A moving average that starts at a guess."""

    value: float

    def add(self, sample: float) -> None:
        self.value += 0.1 * (sample - self.value)


class Pace:
    """One site as it showed itself to us."""

    def __init__(self, settings: PacingSettings, chance: Chance) -> None:
        self._settings = settings
        self._chance = chance
        self.window = min(settings.window, float(settings.cap))
        self.bucket = Bucket()
        self.paused_for = ""
        """Why it rests: kept here, since a pool that has nothing to do is let go of."""
        self.listed: Listed | None = None
        """What it said when it last refused us for who we are, until a connection stands."""
        self.promptness = Promptness.UNPROVEN
        self._hold = _Setbacks()
        self._down = _Setbacks()
        self._hosts: OrderedDict[str, _Setbacks] = OrderedDict()
        self._waived: OrderedDict[str, tuple[Waive, float]] = OrderedDict()
        self._memory = SiteMemory()
        self._forget_at = math.inf
        self._message = _Average(0.1)
        self._setup = _Average(0.5)

    def memory(self, now: float) -> SiteMemory:
        """What is known of the site."""
        if now >= self._forget_at:
            self._memory, self._forget_at = SiteMemory(), math.inf
        return self._memory

    def memory_for(self, host: str, now: float) -> SiteMemory:
        """What the next conversation with a host should know."""
        memory = self.memory(now)
        waive, until = self._waived.get(host, (None, -math.inf))
        if waive is None or now >= until:
            return memory
        return replace(memory, waived=waive.what, failure=waive.failure)

    def waive(self, host: str, waive: Waive, now: float) -> None:
        """A handshake failed over what was only wished for: this host goes without for minutes."""
        self._waived[host] = waive, now + self._settings.plain
        self._waived.move_to_end(host)
        while len(self._waived) > self._settings.hosts:
            self._waived.popitem(last=False)

    @property
    def paused_until(self) -> float:
        """Until when no connection is opened, whoever of the workers was told so."""
        return self._hold.until

    @paused_until.setter
    def paused_until(self, until: float) -> None:
        self._hold.until = until

    def connections(self, now: float) -> int:
        """How many may be open, of all workers together; a young complaint narrows it to one."""
        return int(self.bucket.window(now, self.window))

    def may_open(
        self, now: float, opened: int, ready: int, elsewhere: int = 0, busy: int = 0
    ) -> bool:
        """Whether another connection pays and is allowed.

        `opened` counts those being opened, `elsewhere` those of other workers, and `busy` those of
        the opened that what is ready shall not wait for.

        It pays when the work that is ready keeps those that are open busy for longer than two
        connection set-ups, and for more than half a second; the first one always pays.
        """
        if not ready or now < self._hold.until or now < self._down.until:
            return False
        if opened + elsewhere >= self.connections(now):
            return False
        if opened and self.is_probing:
            return False
        if self.bucket.seconds_to_next(now) > 1.0:
            return False  # It would only stand there until it is idle enough to be closed.
        able = opened - busy
        busy_for = ready * self._message.value / max(1, able)
        return able == 0 or busy_for > max(2 * self._setup.value, 0.5)

    def opened_after(self, seconds: float) -> None:
        """A connection was made and is ready for mail."""
        self._setup.add(seconds)

    def done_after(self, seconds: float) -> None:
        """A transaction took so long."""
        self._message.add(seconds)

    def judged_after(self, seconds: float) -> None:
        """So long after its last octets a message had its verdict, or was given up on."""
        soon = seconds <= self._settings.prompt
        self.promptness = Promptness.PROMPT if soon else Promptness.SLOW

    def went_well(self, now: float, opened: int) -> None:
        """A transaction ended well while so many connections were open, of all workers."""
        self._hold.count = self._down.count = 0
        self.bucket.sent(now)
        if opened >= self.window - 1:
            self.window = min(float(self._settings.cap), self.window + 1 / self.window)

    def too_many(self, now: float, live: int) -> float:
        """421 before MAIL: no more than those that live, of all workers, and none for a while;
        until when."""
        self.window = float(min(max(1, live), self._settings.cap))
        return self.pause(now)

    def pause(self, now: float) -> float:
        """Open nothing for a while; until when."""
        return self._hold.add(now, self._settings.hold, self._settings.longest_hold)

    def pause_for_us(self, now: float) -> None:
        """Open nothing for a moment, by no fault of the site: it counts for nothing."""
        self._hold.until = max(self._hold.until, now + self._settings.ours)

    def suspend_host(self, host: str, now: float) -> None:
        """A host could not be reached. The window is not touched: others may be well."""
        setbacks = self._remembered(host)
        setbacks.add(now, self._settings.suspended, self._settings.longest_suspended)

    def host_is_full(self, host: str, now: float) -> None:
        """452 4.3.1: its disk is full; this host rests, the site goes on."""
        setbacks = self._remembered(host)
        setbacks.until = max(setbacks.until, now + self._settings.storage)

    def host_works(self, host: str) -> None:
        """A host was reached."""
        self._hosts.pop(host, None)

    def is_suspended(self, host: str, now: float) -> bool:
        """Whether a host is left alone for now."""
        setbacks = self._hosts.get(host)
        return setbacks is not None and now < setbacks.until

    def next_probe(self, now: float) -> float:
        """All hosts are down: when to try one again, 1, 2, 4 … 60 min from now ±20 %."""
        factor = 1 + self._settings.spread * (2 * self._chance() - 1)
        return self._down.add(now, self._settings.probe, self._settings.longest_probe, factor)

    def refused_our_address(self, now: float, listed: Listed | None = None) -> float:
        """The site speaks ill of our address: leave it alone; until when."""
        self.listed = listed
        shortest, longest = self._settings.reputation
        self._down.until = now + shortest + (longest - shortest) * self._chance()
        return self._down.until

    def suspend(self, until: float, why: str) -> None:
        """An operator wants the site left alone, also by mail that comes later; the last word."""
        self.listed = None
        self._down.until = until
        self.paused_for = why

    def resume(self) -> None:
        """An operator, or the end of the hold, lets the site be tried now."""
        self.listed = None
        self._hold.until = self._down.until = -math.inf
        self._hosts.clear()

    def room(self, now: float) -> int:
        """Recipients that may wait in memory: 20 a connection, or what may go in 5 minutes."""
        rows = 20 * self.window
        return max(2, int(min(rows, self.bucket.rate(now) * 300)))

    def is_down(self, now: float) -> bool:
        """Whether the whole site is left alone: nobody can be reached, or we are not wanted."""
        return now < self._down.until

    @property
    def is_probing(self) -> bool:
        """Whether the next connection is a try after the site was down."""
        return self._down.count > 0

    def first_of(self, hosts: Sequence[Host]) -> float:
        """When the first of these suspended hosts may be tried again."""
        return min(self._hosts[host.ip].until for host in hosts)

    def resumes_at(self) -> float:
        """From when connections may be opened again."""
        return max(self._hold.until, self._down.until)

    def learn(self, lesson: Lesson, now: float) -> None:
        """Take in what a conversation learned; setbacks of the rate slow the site."""
        known = self.memory(now)
        if isinstance(lesson, LowerRung):
            self._remember(replace(known, rung=max(known.rung, lesson.rung)), now)
        elif isinstance(lesson, MessageLimit):
            self._remember(replace(known, max_messages=max(1, lesson.count)), now)
        elif isinstance(lesson, RecipientLimit):
            limit = max(1, min(known.max_rcpt, lesson.count))
            self._remember(replace(known, max_rcpt=limit), now)
        elif isinstance(lesson, Setback) and lesson.meaning.refusal is Refusal.RATE:
            self.bucket.slow_down(now)

    def _remember(self, memory: SiteMemory, now: float) -> None:
        if self._forget_at == math.inf:
            self._forget_at = now + self._settings.remembered
        self._memory = memory

    def _remembered(self, host: str) -> _Setbacks:
        setbacks = self._hosts.setdefault(host, _Setbacks())
        self._hosts.move_to_end(host)
        while len(self._hosts) > self._settings.hosts:
            self._hosts.popitem(last=False)
        return setbacks


@dataclass(slots=True)
class Paces:
    """The paces of all sites that were used lately; the system chooses the address we go from."""

    settings: PacingSettings
    chance: Chance
    _known: OrderedDict[str, Pace] = field(default_factory=OrderedDict)

    def of(self, site: str) -> Pace:
        """The pace of a site."""
        pace = self._known.get(site)
        if pace is None:
            pace = self._known[site] = Pace(self.settings, self.chance)
        self._known.move_to_end(site)
        while len(self._known) > self.settings.sites:
            self._known.popitem(last=False)
        return pace
