"""Mail of one site in the order in which it is taken: what is fresh, and what waits for a line."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from merpati.queue.flow import TURNS, Flow

T = TypeVar("T")


class Turns(Generic[T]):
    """What is urgent comes first; else four of five turns are single mail's, one is bulk mail's,
    and within each kind the tenants take turns."""

    def __init__(self) -> None:
        self._urgent: deque[T] = deque()
        self._single: OrderedDict[str, deque[T]] = OrderedDict()
        self._bulk: OrderedDict[str, deque[T]] = OrderedDict()
        self._turn = 0
        self._count = 0
        self._of_bulk = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Everything, in no order of meaning."""
        yield from self._urgent
        for kind in (self._single, self._bulk):
            for line in kind.values():
                yield from line

    def add(self, one: T, flow: Flow, *, is_urgent: bool = False) -> None:
        """Behind all of its flow; what is urgent, behind all that is (RFC 6710 §4.1)."""
        self._count += 1
        if is_urgent:
            self._urgent.append(one)
            return
        self._of_bulk += flow.is_bulk
        kind = self._bulk if flow.is_bulk else self._single
        line = kind.get(flow.tenant)
        if line is None:
            kind[flow.tenant] = deque((one,))
        else:
            line.append(one)

    def put_back(self, one: T, flow: Flow) -> None:
        """Before everything, bulk mail before all bulk mail: its turn was given up."""
        self._count += 1
        self._of_bulk += flow.is_bulk
        if not flow.is_bulk:
            self._urgent.appendleft(one)
            return
        self._bulk.setdefault(flow.tenant, deque()).appendleft(one)
        self._bulk.move_to_end(flow.tenant, last=False)

    @property
    def bulk(self) -> int:
        """How much of it is bulk mail, that which is urgent aside."""
        return self._of_bulk

    @property
    def single(self) -> int:
        """How much is not."""
        return self._count - self._of_bulk

    def first(self, *, spares_bulk: bool = False) -> T:
        """Whose turn it is, while there is anything; with `spares_bulk` of single mail alone."""
        if self._urgent:
            return self._urgent[0]
        return next(iter(self._next(spares_bulk).values()))[0]

    def pop(self, *, spares_bulk: bool = False, last: bool = False) -> T:
        """Take that one, or with `last` the last that came of the same flow."""
        if self._urgent:
            self._count -= 1
            return self._urgent.popleft()
        kind = self._next(spares_bulk)
        self._turn += 1
        return self._take(kind, next(iter(kind)), last)

    def shed(self) -> T:
        """Take the first of the longest line, of bulk mail's if there are any."""
        kind = self._bulk or self._single
        if not kind:
            self._count -= 1
            return self._urgent.popleft()
        return self._take(kind, max(kind, key=lambda tenant: len(kind[tenant])), last=False)

    def _take(self, kind: "OrderedDict[str, deque[T]]", tenant: str, last: bool) -> T:
        self._count -= 1
        self._of_bulk -= kind is self._bulk
        line = kind[tenant]
        one = line.pop() if last else line.popleft()
        if line:
            kind.move_to_end(tenant)
        else:
            del kind[tenant]
        return one

    def remove(self, goes: Callable[[T], bool]) -> list[T]:
        """Take out all of a sort."""
        gone = [one for one in self if goes(one)]
        if gone:
            self._count -= len(gone)
            out = set(map(id, gone))
            self._urgent = deque(one for one in self._urgent if id(one) not in out)
            for kind in (self._single, self._bulk):
                for tenant, line in list(kind.items()):
                    kind[tenant] = deque(one for one in line if id(one) not in out)
                    if not kind[tenant]:
                        del kind[tenant]
            self._of_bulk = sum(map(len, self._bulk.values()))
        return gone

    def _next(self, spares_bulk: bool) -> "OrderedDict[str, deque[T]]":
        """The kind whose turn it is."""
        if spares_bulk:
            return self._single
        if self._single and self._bulk:
            return self._bulk if self._turn % TURNS == TURNS - 1 else self._single
        return self._single or self._bulk
