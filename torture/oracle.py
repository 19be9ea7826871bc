"""Compares what was put in with what came out, in the words of Jepsen.

When a copy may come again. The server has to send once more what it sent, if it cannot know that it
was taken: the sink cut the connection off instead of answering, or took its answer back by breaking
off before anything came behind it (`Taken.is_in_doubt`). Each such copy excuses one further copy,
whenever that comes, and no more.

Any other copy was answered. Then its worker must have been interrupted between the last octet of
the body and the commit of the verdict: read or not, on its way to the disk or not. So a strike lies
between the two copies: the one during which the first came, or the next one behind it. The second
may come at any time later, for its retry does. Within a calm epoch nothing comes twice.

Each further copy is charged to one strike, the first that can have caused it. A strike can have
caused one copy more of a recipient's message for each time that it interrupted (`Strike.repeats`),
and all together as many transactions as the workers that it killed had permits. A worker that is
interrupted by each of many strikes can repeat the same message each time, but to be in flight in so
many moments takes more luck than `_UNLUCKY` allows: then what was settled is sent anew. Not so what
the sink stalls over: it is in flight for most of the time between two strikes, and goes out at once
behind the next start.

Notices are messages to the sender: all this holds for them as well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from torture.generator import DOMAIN, SENDER, Sent
from torture.sink import Key, Sink, Strike, Taken

WINDOW = 64
"""Transactions of one worker between the last octet of a body and the commit of its verdict."""
_UNLUCKY = 7
"""Strikes in which one message may have been in flight. Of a hundred messages two are in one; but
it goes out first behind the next, and on a busy machine kills come close together."""
_FRONT = frozenset(
    ("return-path", "delivered-to", "received", "authentication-results", "dkim-signature")
)
"""Header fields that the server puts before those that it was given."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost` and `unexpected` must be empty; `worst` may be as large as the window."""

    acknowledged: int
    """Recipients that the server answered for."""
    lost: tuple[Key, ...]
    """Acknowledged, and neither delivered nor told of."""
    unexpected: tuple[str, ...]
    """Changed, never put in, to the wrong recipient, from the wrong sender, given up without a
    reason, or come again without one."""
    duplicates: int
    """Deliveries beyond the first, but for those that the sink itself left in doubt."""
    worst: int
    """Transactions that came before a strike and again behind it, in the strike that is nearest to
    what it may be."""
    window: int
    """That many may be, in that strike."""
    in_doubt: int
    """Deliveries that the sink cut off before it answered."""

    @property
    def holds(self) -> bool:
        """Whether the promises were kept."""
        return not self.lost and not self.unexpected and self.worst <= self.window

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)}, unexpected "
            f"{len(self.unexpected)}, duplicate {self.duplicates}, in flight {self.worst} of "
            f"{self.window}, in doubt {self.in_doubt}"
        )


def compare(
    sent: Sent,
    sink: Sink,
    boxed: Iterable[Taken] = (),
    *,
    workers: int = 1,
    interrupted: bool = True,
) -> Verdict:
    """`boxed` lay in mailboxes. Without interruption no duplicate is allowed at all.

    `workers` were killed in a strike of which the sink knows only the epoch.
    """
    taken = [*sink.taken, *boxed]
    mail = [one for one in taken if not one.gives_up]
    notices = [one for one in taken if one.gives_up]
    delivered = {(one.message, local) for one in mail for local in one.recipients}
    given_up = {_local(address) for one in notices for address in one.gives_up}
    owed = set(sent.acknowledged)
    names = {local: name for name, locals_ in sent.offered.items() for local in locals_}
    again = _Again(lambda epoch: sink.strikes.get(epoch, Strike(workers)))
    for what, copies in _copies(taken).items():
        again.follow(what, copies)
    worst, window = again.worst(sink.strikes) if interrupted else (again.charges, 0)
    return Verdict(
        acknowledged=len(owed),
        lost=tuple(sorted(key for key in owed - delivered if key[1] not in given_up)),
        unexpected=(
            *sorted({flaw for one in mail for flaw in _flaws(sent, one)}),
            *sorted({flaw for one in notices for flaw in _wrongs(sent, names, one)}),
            *again.unexplained,
        ),
        duplicates=again.duplicates,
        worst=worst,
        window=window,
        in_doubt=sum(len(one.recipients) for one in taken if one.is_in_doubt),
    )


def _flaws(sent: Sent, one: Taken) -> Iterable[str]:
    """What is not as it was put in."""
    if one.digest != sent.digests.get(one.message):
        yield f"{one.message} is changed"
    if one.sender != sent.senders.get(one.message, SENDER):
        yield f"{one.message} came from <{one.sender}>"
    for name in sorted(set(one.front) - _FRONT):
        yield f"{one.message} has a field {name} before its own"
    for local, domain in zip(one.recipients, one.domains, strict=True):
        if local not in sent.offered.get(one.message, ()):
            yield f"{one.message} came to {local}"
        elif domain != sent.domains.get(local, DOMAIN):
            yield f"{one.message} came to {local} of {domain}"


def _wrongs(sent: Sent, names: dict[str, str], notice: Taken) -> Iterable[str]:
    """What a notice says that is not so, or says to somebody else; `names` by recipient."""
    told = tuple(
        f"{local}@{domain}" for local, domain in zip(notice.recipients, notice.domains, strict=True)
    )
    for address in notice.gives_up:
        local = _local(address)
        name = names.get(local)
        if name is None or not local.startswith("perm-"):
            yield f"{local} was given up"
        elif address != f"{local}@{sent.domains.get(local, DOMAIN)}":
            yield f"{address} was given up instead of {local}"
        elif told != (sender := sent.senders.get(name, SENDER),):
            yield f"{', '.join(told)} instead of {sender} was told of {local}"


def _local(address: str) -> str:
    return address.partition("@")[0]


def _copies(taken: list[Taken]) -> dict[str, list[tuple[int, Taken]]]:
    """Whatever may come once, with the numbers of the transactions in which it came."""
    found: dict[str, list[tuple[int, Taken]]] = defaultdict(list)
    for number, one in enumerate(taken):
        for address in one.gives_up:
            found[f"the notice of {address}"].append((number, one))
        for local in () if one.gives_up else one.recipients:
            found[f"{one.message} for {local}"].append((number, one))
    return found


class _Again:
    """What came again, charged to the strikes that can have caused it."""

    def __init__(self, strike: Callable[[int], Strike]) -> None:
        self.unexplained: list[str] = []
        self.duplicates = 0
        self._strike = strike
        self._charged: dict[int, set[int]] = defaultdict(set)
        """Transactions that were in flight, by the strike's epoch."""

    @property
    def charges(self) -> int:
        """Transactions that were in flight, of all strikes."""
        return sum(map(len, self._charged.values()))

    def follow(self, what: str, copies: list[tuple[int, Taken]]) -> None:
        """Account for each copy behind the first."""
        spent = Counter[int]()
        for (number, first), (_, further) in pairwise(copies):
            if first.is_in_doubt:
                continue
            self.duplicates += 1
            strike = self._cause(first.epoch, further.epoch, spent)
            if strike is None:
                self.unexplained.append(
                    f"{what} came again in epoch {further.epoch} behind {first.epoch}"
                )
                continue
            spent[strike] += 1
            self._charged[strike].add(number)
        stalls = any(one.startswith("slow") for _, copy in copies for one in copy.recipients)
        if len(spent) > _UNLUCKY and not stalls:
            self.unexplained.append(f"{what} came again behind each of {len(spent)} strikes")

    def _cause(self, first: int, further: int, spent: Counter[int]) -> int | None:
        strikes = range(first | 1, further + 1, 2)  # Odd epochs are struck.
        return next((one for one in strikes if spent[one] < self._strike(one).repeats), None)

    def worst(self, known: Iterable[int]) -> tuple[int, int]:
        """In flight, and how much may be, in the strike that is nearest to its bound."""
        epochs = {*known, *self._charged} or {1}
        pairs = [(len(self._charged[one]), self._strike(one).workers * WINDOW) for one in epochs]
        return max(pairs, key=lambda pair: pair[0] - pair[1])
