"""What a check has to know from the DNS, asked without I/O.

A check is a generator: it yields a Question, is sent the Answer (a DnsError is thrown in where no
usable one came) and returns what it found. Checks ask one another by `yield from`. `drive` lets a
Resolver answer; a program without one answers with `send` and `throw` itself (`examples/`). A check
of several that know nothing of one another is an Inquiry: it yields them Together, and is sent what
they found; so it takes as long as the slowest.

Checks run on the event loop, and a stranger writes what they read. So a check that has much to do
says between two pieces of it that others may have their TURN, and `drive` lets them when all checks
that it drives have held the loop for a millisecond since they had it. Of most mail nothing is that
long, and nothing is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Any, TypeAlias, TypeVar, cast

from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.resolver import Answer, Found, Mx, Resolver

T = TypeVar("T")


class Kind(Enum):
    """A type of record, and with it what the Answer holds."""

    TXT = "TXT"  # bytes, the strings of each record joined
    MX = "MX"  # dns.resolver.Mx
    IPV4 = "A"  # str
    IPV6 = "AAAA"  # str
    PTR = "PTR"  # str; asked by the address itself
    NOTHING = ""  # see TURN


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the DNS; a name is of A-labels without a final dot."""

    kind: Kind
    name: str


TURN = Question(Kind.NOTHING, "")
"""Nothing is asked: what others wait for may be done now. Any answer will do."""
_NOTHING: Answer[Any] = Answer(Found.NO_NAME)

# What an Answer holds depends on the Kind, which no annotation of a generator can say; the
# functions below can.
Asking: TypeAlias = Generator[Question, Answer[Any], T]
"""A check that asks Questions and returns a T."""


@dataclass(frozen=True, slots=True)
class Together:
    """Checks that go on side by side; what they return is sent in, in this order."""

    askings: tuple[Asking[Any], ...]


Inquiry: TypeAlias = Generator[Question | Together, Any, T]
"""A check that asks Questions, and others Together, and returns a T."""


@dataclass(slots=True)
class Allowance:
    """How many questions some checks may ask between them."""

    left: int

    def of(self, asking: Asking[T]) -> Asking[T]:
        """This check, to which the DNS has no answer any more when enough was asked."""
        return by_way_of(asking, self._ask)

    def _ask(self, question: Question) -> Asking[Answer[Any]]:
        if question is not TURN:
            self.left -= 1
            if self.left < 0:
                raise DnsTimeout("more questions than one message is worth")
        return (yield question)


def by_way_of(asking: Asking[T], ask: Callable[[Question], Asking[Answer[Any]]]) -> Asking[T]:
    """This check, whose questions `ask` answers: itself, by asking, or with a DnsError."""
    try:
        question = next(asking)
        while True:
            try:
                answer = yield from ask(question)
            except DnsError as error:
                question = asking.throw(error)
            else:
                question = asking.send(answer)
    except StopIteration as end:
        return cast(T, end.value)
    finally:
        asking.close()


def txt(name: str) -> Asking[Answer[bytes]]:
    """TXT records. Raises DnsError where no usable answer came, as all of these do."""
    return cast(Answer[bytes], (yield Question(Kind.TXT, name)))


def mx(domain: str) -> Asking[Answer[Mx]]:
    """MX records, unsorted."""
    return cast(Answer[Mx], (yield Question(Kind.MX, domain)))


def ipv4(host: str) -> Asking[Answer[str]]:
    """A records."""
    return cast(Answer[str], (yield Question(Kind.IPV4, host)))


def ipv6(host: str) -> Asking[Answer[str]]:
    """AAAA records."""
    return cast(Answer[str], (yield Question(Kind.IPV6, host)))


def ptr(ip: str) -> Asking[Answer[str]]:
    """Names of an address."""
    return cast(Answer[str], (yield Question(Kind.PTR, ip)))


_Methods: TypeAlias = dict[Kind, Callable[[str], Awaitable[Answer[Any]]]]
_LONG = 0.001
"""Seconds for which checks hold the loop before others have their turn."""


class _Turn:
    """What is left of the turn of the loop that some checks share: tasks that are ready together
    run one after another, and nothing else is looked at between them."""

    def __init__(self) -> None:
        self.until = 0.0
        """By `perf_counter`; 0: it has not begun."""

    async def begin(self) -> None:
        """Called where it has not begun or is over; returns, mostly at once, in one with time left.

        Of those who wait together one goes on, and the others wait for the next: no event can say
        that, which would wake all of them at once.
        """
        while self.until and perf_counter() > self.until:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if not self.until:
            self.until = perf_counter() + _LONG
            # It runs as soon as the loop has looked at what others wait for.
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self.until = 0.0


async def drive(asking: Asking[T] | Inquiry[T], resolver: Resolver) -> T:
    """Let a resolver answer every question of a check; its result. Raises what the check raises,
    of checks Together in an ExceptionGroup."""
    methods: _Methods = {
        Kind.TXT: resolver.txt,
        Kind.MX: resolver.mx,
        Kind.IPV4: resolver.ipv4,
        Kind.IPV6: resolver.ipv6,
        Kind.PTR: resolver.ptr,
    }
    return await _drive(asking, methods, _Turn())


async def _drive(asking: Asking[T] | Inquiry[T], methods: _Methods, turn: _Turn) -> T:
    try:
        if perf_counter() > turn.until:
            await turn.begin()
        question = next(asking)
        while True:
            answer: object = _NOTHING
            failure: DnsError | None = None
            try:
                if isinstance(question, Together):
                    answer = await _side_by_side(question.askings, methods, turn)
                elif question is not TURN:
                    answer = await methods[question.kind](question.name)
            except DnsError as error:
                failure = error
            if perf_counter() > turn.until:
                await turn.begin()
            if failure is not None:
                question = asking.throw(failure)
                continue
            question = asking.send(answer)  # type: ignore[arg-type]  # as it was asked
    except StopIteration as end:
        return cast(T, end.value)
    finally:
        asking.close()


async def _side_by_side(
    askings: tuple[Asking[Any], ...], methods: _Methods, turn: _Turn
) -> tuple[Any, ...]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_drive(each, methods, turn)) for each in askings]
    return tuple(each.result() for each in running)
