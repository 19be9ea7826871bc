"""Which system calls fail, the how-manieth, and with what: counted in a run in which none does.

Every N that a thread of the server comes to fails once, with one errno after the other; with all of
them at the first ones, where a thread turns to another file (a log that is folded back, a message
that goes to another mailbox) and on both sides of a rename.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

_SEED = 5
_FIRST = 3
"""So many of the first of a kind fail with every errno."""
_STAYING = (1, 2, 5)
_STARTING = (1, 2, 3, 5, 8)
_FOLDING = (1, 2, 3, 5, 8, 13, 21, 34)
_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_PLACE = re.compile(r'<(/[^>]*)>|"(/[^"]*)"')


@dataclass(frozen=True, slots=True)
class Kind:
    """Calls that are counted together, and what they may fail with."""

    calls: str
    errors: tuple[str, ...]
    is_boxed: bool = False
    """Whether mailboxes make them: then all mail goes there."""
    stays: bool = False
    """Whether they also fail from the N-th on, until the fault is taken away,"""
    starts: bool = False
    """and at a start."""
    folds: bool = False
    """Whether they are made on the file itself when its log is folded back into it."""
    within: str = ""
    """Part of the path that they have to be made on."""

    @property
    def names(self) -> list[str]:
        """The calls, one by one."""
        return self.calls.split(",")


WRITE = "write"
_DISK = ("EIO", "ENOSPC")
_TABLE = ("EMFILE", "ENFILE")
KINDS = (
    Kind("pwrite64", _DISK, stays=True, starts=True, folds=True),
    # A socket is written to by the same call, by uvloop alone: see `faults`.
    Kind(WRITE, ("EIO", "ENOSPC", "EDQUOT"), is_boxed=True, stays=True, within="/mail/"),
    Kind("fdatasync", _DISK, stays=True, starts=True, folds=True),
    Kind("fsync", _DISK, is_boxed=True, stays=True, starts=True),
    Kind("ftruncate", _DISK, starts=True),
    Kind("openat", (*_TABLE, "ENOMEM", "EACCES", *_DISK), is_boxed=True, stays=True),
    Kind("pread64", ("EIO",)),
    Kind("rename,renameat,renameat2", _DISK, is_boxed=True, stays=True),
    Kind("link,linkat", _DISK, is_boxed=True),
    Kind("unlink,unlinkat", ("EIO", "EACCES"), is_boxed=True),
    Kind("mkdir,mkdirat", _DISK, is_boxed=True),
    Kind("accept,accept4", (*_TABLE, "ENOBUFS", "ENOMEM"), stays=True),
    Kind("socket", (*_TABLE, "ENOBUFS"), stays=True),
    Kind("connect", ("EADDRNOTAVAIL", "ENETUNREACH", "ETIMEDOUT")),
    Kind("mmap", ("ENOMEM",)),
)
_KINDS = {name: kind for kind in KINDS for name in kind.names}


@dataclass(frozen=True, slots=True)
class Case:
    """One failure."""

    kind: Kind
    error: str
    nth: int
    """Of each thread."""
    stays: bool = False
    """Whether all that follow fail, too, until the fault is taken away."""
    at_start: bool = False
    """Whether the server starts with it; it may then refuse to, in words."""
    folding: bool = False
    """Whether only calls on the database's own file count: its log is being folded back."""

    @property
    def calls(self) -> str:
        """As strace takes them."""
        return self.kind.calls

    @property
    def is_deaf(self) -> bool:
        """Whether no connection can be accepted, so that nobody is served until it is over."""
        return self.stays and self.calls.startswith("accept")

    @property
    def name(self) -> str:
        """Short, and good for a message's id."""
        more = "+" * self.stays + "s" * self.at_start + "f" * self.folding
        return f"{self.kind.names[0]}.{self.error}.{self.nth}{more}"


class Counts(msgspec.Struct, frozen=True):
    """Of each kind, by its calls, the N that came."""

    every: dict[str, list[int]]
    notable: dict[str, list[int]]
    """Those where a file is turned to, or a rename is near."""
    starting: dict[str, list[int]] = {}
    """Those that come at a start."""

    def joined(self, other: "Counts") -> "Counts":
        """Both."""
        return Counts(
            _union(self.every, other.every),
            _union(self.notable, other.notable),
            _union(self.starting, other.starting),
        )


def _union(one: Mapping[str, list[int]], other: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {key: sorted({*one.get(key, ()), *other.get(key, ())}) for key in {*one, *other}}


@dataclass(frozen=True, slots=True)
class _Call:
    kind: Kind
    nth: int
    place: str


def count(log: Iterable[str], *, is_boxed: bool) -> Counts:
    """Read from what strace wrote of all kinds in a scenario of either sort."""
    every: dict[str, set[int]] = defaultdict(set)
    notable: dict[str, set[int]] = defaultdict(set)
    for calls in _by_thread(log).values():
        for before, call, after in zip([None, *calls], calls, [*calls[1:], None], strict=False):
            if call.kind.is_boxed is not is_boxed or call.kind.within not in call.place:
                continue
            every[call.kind.calls].add(call.nth)
            if any(one is not None and _turns(call, one) for one in (before, after)):
                notable[call.kind.calls].add(call.nth)
    return Counts(
        {key: sorted(values) for key, values in every.items()},
        {key: sorted(values) for key, values in notable.items()},
    )


def count_start(log: Iterable[str]) -> Counts:
    """Read from what strace wrote of all kinds while a server started."""
    starting: dict[str, set[int]] = defaultdict(set)
    for calls in _by_thread(log).values():
        for call in calls:
            starting[call.kind.calls].add(call.nth)
    return Counts({}, {}, {key: sorted(values) for key, values in starting.items()})


def _by_thread(log: Iterable[str]) -> dict[str, list[_Call]]:
    threads: dict[str, list[_Call]] = defaultdict(list)
    counters: dict[str, Counter[str]] = defaultdict(Counter)
    for line in log:
        if (match := _CALL.match(line)) is None or match[2] not in _KINDS:
            continue
        kind = _KINDS[match[2]]
        counters[match[1]][kind.calls] += 1
        place = _PLACE.search(match[3])
        where = (place[1] or place[2]) if place else ""
        threads[match[1]].append(_Call(kind, counters[match[1]][kind.calls], where))
    return threads


def _turns(call: _Call, beside: _Call) -> bool:
    renames = "rename" in beside.kind.names
    return renames or (beside.kind is call.kind and beside.place != call.place)


def plan(counts: Counts) -> list[Case]:
    """All cases, in an order of no meaning, so that a few of them are of every kind."""
    found = [case for kind in KINDS for case in _of(kind, counts)]
    found.sort(key=lambda one: one.name)
    random.Random(_SEED).shuffle(found)
    return found


def _of(kind: Kind, counts: Counts) -> Iterable[Case]:
    notable = {*counts.notable.get(kind.calls, ()), *range(1, _FIRST + 1)}
    for turn, nth in enumerate(counts.every.get(kind.calls, ())):
        one = (kind.errors[turn % len(kind.errors)],)
        yield from (Case(kind, error, nth) for error in (kind.errors if nth in notable else one))
    starting = set(counts.starting.get(kind.calls, ())) if kind.starts else set()
    for error in kind.errors:
        yield from (Case(kind, error, n, stays=True) for n in _STAYING if kind.stays)
        yield from (Case(kind, error, n, at_start=True) for n in _STARTING if n in starting)
        yield from (Case(kind, error, n, folding=True) for n in _FOLDING if kind.folds)
