"""What happens in one run, drawn from a seed: values, so that a plan can be shrunk and kept.

Times are seconds of virtual time since the beginning.
"""

from random import Random

import msgspec
from msgspec.structs import replace

MINUTE, HOUR = 60.0, 3600.0
HERE = "here.test"
RESIDENTS = ("ann", "bob", "gone")
"""The last has no mailbox any more."""
LMTP = "lmtp://10.0.1.1:24"
ALL = -1
"""The workers of the node, all of them."""

MODES = (
    "plain",
    "lmtp",
    "greylisting",
    "few-recipients",
    "no-parameters",
    "turns-away",
    "busy",
    "slow-down",
    "full",
    "reputation",
    "spam",
    "sticky-sender",
    "leaky-chunk",
    "chunk-for-nobody",
    "deaf-behind-dot",
    "error-budget",
    "postfix-421",
    "exim-421",
    "silent-behind-chunk",
    "double-verdict",
    "chunk-after-refusal",
    "gone-before-dot",
    "gone-behind-dot",
    "garbage",
    "content-for-nobody",
    "broken-tls",
    "dies-anywhere",
    "silent-anywhere",
)
"""How a host behaves, connection by connection."""


NARROW = "narrow"
"""Well, but slow, and with few connections: only where there are workers who share them."""


class Step(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Something that happens at a time."""

    at: float


class Submit(Step, frozen=True, tag="submit", kw_only=True):
    """A program hands a message in."""

    n: int
    sender: str
    to: tuple[str, ...]
    size: int
    notify: int = -1
    """As `Notify`; -1: nothing was said."""
    streamed: bool = False


class Behave(Step, frozen=True, tag="behave", kw_only=True):
    """A host behaves so for a while; `share` of its connections do, the others are plain."""

    host: int
    mode: str
    seconds: float
    share: float


class Down(Step, frozen=True, tag="down", kw_only=True):
    """A host is not to be had for a while."""

    host: int
    answers: str
    """refused, unreachable or silent."""
    seconds: float


class DnsFails(Step, frozen=True, tag="dns-fails", kw_only=True):
    """The DNS fails for a while: for a name, or for all."""

    name: str
    how: str
    """timeout or failure."""
    seconds: float


class DiskFails(Step, frozen=True, tag="disk-fails", kw_only=True):
    """So many operations of the disk fail, or it is full for that long."""

    operations: tuple[str, ...]
    full: bool
    count: int
    seconds: float


class Lacking(Step, frozen=True, tag="lacking", kw_only=True):
    """The worker has no descriptors left for a while."""

    seconds: float


class Crash(Step, frozen=True, tag="crash", kw_only=True):
    """A worker ends between two callbacks, or all of them with their supervisor."""

    cut: bool
    """The power goes for all, and with it what was not synced."""
    down: float
    on: str = ""
    """Not at once, but at the next: kept, when a host has taken a message and not said so; or
    commit, when something is on disk and nobody knows it."""
    worker: int = 0


class Restart(Step, frozen=True, tag="restart", kw_only=True):
    """A worker is stopped in good order, or the whole node."""

    down: float
    worker: int = 0
    workers: int = 0
    """How many a whole node is started with; 0: as many as before."""


class Jump(Step, frozen=True, tag="jump", kw_only=True):
    """The time of day is set."""

    seconds: float


class Alter(Step, frozen=True, tag="alter", kw_only=True):
    """An operator holds, releases, retries, cancels or reroutes."""

    action: str
    domain: str = ""
    message: int = 0
    route: str = ""
    """Where `reroute` leads to."""


class Suspend(Step, frozen=True, tag="suspend", kw_only=True):
    """An operator suspends a site for so many seconds; 0 resumes it."""

    site: str
    seconds: float


AnyStep = (
    Submit
    | Behave
    | Down
    | DnsFails
    | DiskFails
    | Lacking
    | Crash
    | Restart
    | Jump
    | Alter
    | Suspend
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is decided beforehand. What is left to chance draws from the seed."""

    seed: int
    hosts: int
    domains: tuple[tuple[tuple[int, int], ...], ...]
    """Of each domain its MX: (preference, host)."""
    permits: int
    sweep: float
    recipients: int
    """That may be out of the queue at once."""
    in_hand_octets: int
    max_age: float
    ends: float
    """When all that goes wrong is over."""
    steps: tuple[AnyStep, ...]
    workers: int = 1
    cap: int = 10
    """Connections to a site at most."""


def domain(n: int) -> str:
    """The name of a domain."""
    return f"d{n}.test"


def draw(seed: int, workers: int = 0) -> Plan:
    """The plan of a seed; of so many workers, if that is said."""
    plan = _Drawing(Random(f"plan {seed}")).draw(seed)
    # Drawn apart: with one worker a seed means what it meant before there were more.
    chance = Random(f"node {seed}")
    workers = workers or chance.choice((1, 1, 2, 3))
    return plan if workers == 1 else _share_out(plan, workers, chance)


def _share_out(plan: Plan, workers: int, chance: Random) -> Plan:
    """The same for so many workers, and what only they meet."""
    steps = [_strike(step, workers, chance) for step in plan.steps]
    if chance.random() < 0.7:
        steps += _crowd(plan, chance)
    for _ in range(chance.choice((0, 0, 1, 3))):
        steps += _lift(plan, chance)
    return replace(
        plan,
        # Who waits for a connection of another worker looks once a second, says `allotment`.
        sweep=1.0,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        workers=workers,
        cap=chance.choice((1, 2, 10, 10)),
    )


def _strike(step: AnyStep, workers: int, chance: Random) -> AnyStep:
    """Crashes and restarts are one worker's, or the whole node's."""
    if not isinstance(step, Crash | Restart):
        return step
    struck = chance.choice((ALL, *range(workers)))
    if isinstance(step, Crash):
        return replace(step, worker=ALL if step.cut else struck)
    behind = chance.choice((0, 1, 2, 3)) if struck == ALL else 0
    return replace(step, worker=struck, workers=behind)


def _crowd(plan: Plan, chance: Random) -> list[AnyStep]:
    """More mail for one domain than all its connections carry at once."""
    n, at = chance.randrange(len(plan.domains)), round(chance.uniform(0, plan.ends), 3)
    steps = _rush(domain(n), at, chance)
    if chance.random() < 0.5:
        host = plan.domains[n][0][1]
        steps.append(Behave(at=at, host=host, mode=NARROW, seconds=10 * MINUTE, share=1.0))
    return steps


def _rush(where: str, at: float, chance: Random) -> list[AnyStep]:
    return [
        Submit(
            at=round(at + chance.expovariate(1.0), 3),
            n=1000 + n,
            sender=f"s{n}@senders.test",
            to=(f"ok-{n}-0@{where}",),
            size=2_000,
        )
        for n in range(chance.choice((10, 40, 80)))
    ]


def _lift(plan: Plan, chance: Random) -> list[AnyStep]:
    """Hosts complain while there is mail for them, and an operator lets their site go."""
    n, at = chance.randrange(len(plan.domains)), round(chance.uniform(0, plan.ends), 3)
    mode = chance.choice(("turns-away", "turns-away", "slow-down", "postfix-421", "exim-421"))
    steps = _rush(domain(n), at, chance)
    for _, host in plan.domains[n]:
        share = chance.choice((0.5, 1.0))
        steps.append(Behave(at=at, host=host, mode=mode, seconds=20.0, share=share))
    lifted = round(at + chance.uniform(1, 60), 3)
    return [*steps, Suspend(at=lifted, site=domain(n), seconds=0.0)]


class _Drawing:
    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._ends = chance.choice((10 * MINUTE, 30 * MINUTE, 1 * HOUR))
        self._hosts = chance.randint(2, 6)
        self._domains = chance.randint(2, 8)
        self._bursts = [chance.uniform(0, self._ends) for _ in range(chance.randint(1, 4))]

    def draw(self, seed: int) -> Plan:
        chance = self._chance
        domains = tuple(self._mx() for _ in range(self._domains))
        steps = [*self._submissions(), *self._troubles()]
        if chance.random() < 0.4:
            steps += [self._jump() for _ in range(chance.randint(1, 2))]
        return Plan(
            seed=seed,
            hosts=self._hosts,
            domains=domains,
            permits=chance.choice((2, 4, 8, 64)),
            sweep=chance.choice((1.0, 5.0, 15.0)),
            recipients=chance.choice((5, 50, 2000)),
            in_hand_octets=chance.choice((0, 20_000, 64 * 1024 * 1024)),
            max_age=chance.choice((1 * HOUR, 3 * HOUR)),
            ends=self._ends,
            steps=tuple(sorted(steps, key=lambda step: step.at)),
        )

    def _mx(self) -> tuple[tuple[int, int], ...]:
        count = self._chance.choice((1, 1, 1, 2, 3))
        hosts = self._chance.sample(range(self._hosts), min(count, self._hosts))
        return tuple((self._chance.choice((10, 10, 20)), host) for host in hosts)

    def _at(self) -> float:
        """Mostly when much else happens."""
        chance = self._chance
        if chance.random() < 0.3:
            return round(chance.uniform(0, self._ends), 3)
        return round(chance.choice(self._bursts) + chance.expovariate(2.0), 3)

    def _for(self) -> float:
        return self._chance.choice((1.0, 20.0, 2 * MINUTE, 15 * MINUTE, self._ends))

    def _submissions(self) -> list[AnyStep]:
        chance = self._chance
        count = chance.randint(5, 40)
        return [self._submission(n, self._at()) for n in range(count)]

    def _submission(self, n: int, at: float) -> Submit:
        chance = self._chance
        count = chance.choice((1, 1, 1, 2, 3, 8))
        streamed = chance.random() < 0.03
        small = chance.choice((200, 2_000, 10_000))
        return Submit(
            at=at,
            n=n,
            sender="" if chance.random() < 0.08 else f"s{n}@senders.test",
            to=tuple(self._recipient(n, m) for m in range(count)),
            size=chance.choice((300_000, 1_100_000)) if streamed else small,
            notify=chance.choice((-1, -1, -1, 0, 2, 7)),
            streamed=streamed,
        )

    def _recipient(self, n: int, m: int) -> str:
        chance = self._chance
        kind = chance.choices(("ok", "no", "later", "soon"), weights=(75, 8, 4, 13))[0]
        where = chance.choices(
            (
                domain(chance.randrange(self._domains)),
                "lmtp.test",
                "nobody.test",
                "null.test",
                HERE,
            ),
            weights=(80, 8, 2, 2, 8),
        )[0]
        return f"{chance.choice(RESIDENTS)}@{HERE}" if where == HERE else f"{kind}-{n}-{m}@{where}"

    def _troubles(self) -> list[AnyStep]:
        chance = self._chance
        draws = {
            self._behave: 5,
            self._down: 3,
            self._dns: 1,
            self._disk: 2,
            self._crash: 3,
            self._restart: 1,
            self._alter: 2,
            self._suspend: 1,
            self._lacking: 0.3,
        }
        count = chance.choice((0, 2, 5, 10, 20))
        chosen = chance.choices(list(draws), weights=list(draws.values()), k=count)
        return [draw() for draw in chosen]

    def _behave(self) -> AnyStep:
        chance = self._chance
        return Behave(
            at=self._at(),
            host=chance.randrange(self._hosts),
            mode=chance.choice(MODES),
            seconds=self._for(),
            share=chance.choice((0.2, 0.5, 1.0)),
        )

    def _down(self) -> AnyStep:
        chance = self._chance
        return Down(
            at=self._at(),
            host=chance.randrange(self._hosts),
            answers=chance.choice(("refused", "unreachable", "silent")),
            seconds=self._for(),
        )

    def _dns(self) -> AnyStep:
        chance = self._chance
        names = ("*", "*", domain(chance.randrange(self._domains)), f"mx{chance.randrange(3)}.test")
        return DnsFails(
            at=self._at(),
            name=chance.choice(names),
            how=chance.choice(("timeout", "failure")),
            seconds=self._for(),
        )

    def _disk(self) -> AnyStep:
        chance = self._chance
        full = chance.random() < 0.3
        kinds = (("write",), ("sync",), ("write", "sync", "truncate"), ("open",))
        return DiskFails(
            at=self._at(),
            operations=("write",) if full else chance.choice(kinds),
            full=full,
            count=chance.choice((1, 1, 2, 20, 100_000)),
            seconds=chance.choice((0.2, 5.0, 2 * MINUTE)),
        )

    def _lacking(self) -> AnyStep:
        return Lacking(at=self._at(), seconds=self._chance.choice((1.0, 60.0)))

    def _crash(self) -> AnyStep:
        chance = self._chance
        return Crash(
            at=self._at(),
            cut=chance.random() < 0.5,
            down=chance.choice((0.1, 1.0, 30.0, 10 * MINUTE)),
            on=chance.choice(("", "kept", "commit")),
        )

    def _restart(self) -> AnyStep:
        return Restart(at=self._at(), down=self._chance.choice((0.1, 1.0, 60.0)))

    def _alter(self) -> AnyStep:
        chance = self._chance
        action = chance.choice(("hold", "hold", "release", "retry", "cancel", "reroute"))
        by_id = chance.random() < 0.5
        return Alter(
            at=self._at(),
            action=action,
            message=chance.randrange(20) + 1 if by_id else 0,
            domain="" if by_id else domain(chance.randrange(self._domains)),
            route=LMTP if action == "reroute" else "",
        )

    def _suspend(self) -> AnyStep:
        chance = self._chance
        return Suspend(
            at=self._at(),
            site=domain(chance.randrange(self._domains)),
            seconds=chance.choice((0.0, 60.0, 10 * MINUTE, 5 * HOUR)),
        )

    def _jump(self) -> AnyStep:
        chance = self._chance
        # The first is a step that is followed, the others are not.
        by = chance.choice((25.0, HOUR, 24 * HOUR, 3652 * 24 * HOUR))
        return Jump(at=self._at(), seconds=by * chance.choice((1, -1)))
