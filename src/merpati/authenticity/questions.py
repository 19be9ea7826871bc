"""What a check has to know from the DNS, asked without I/O.

A check is a generator: it yields a Question, is sent the Answer (a DnsError is thrown in where no
usable one came) and returns what it found. Checks ask one another by `yield from`. `drive` lets a
Resolver answer; a program without one answers with `send` and `throw` itself (`examples/`). A check
of several that know nothing of one another is an Inquiry: it yields them Together, and is sent what
they found; so it takes as long as the slowest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, TypeVar, cast

from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.resolver import Answer, Mx, Resolver

T = TypeVar("T")


class Kind(Enum):
    """A type of record, and with it what the Answer holds."""

    TXT = "TXT"  # bytes, the strings of each record joined
    MX = "MX"  # dns.resolver.Mx
    IPV4 = "A"  # str
    IPV6 = "AAAA"  # str
    PTR = "PTR"  # str; asked by the address itself


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the DNS; a name is of A-labels without a final dot."""

    kind: Kind
    name: str


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
        try:
            question = next(asking)
            while True:
                self.left -= 1
                try:
                    if self.left < 0:
                        raise DnsTimeout("more questions than one message is worth")
                    answer = yield question
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
    return await _drive(asking, methods)


async def _drive(asking: Asking[T] | Inquiry[T], methods: _Methods) -> T:
    try:
        question = next(asking)
        while True:
            answer: object
            try:
                if isinstance(question, Together):
                    answer = await _side_by_side(question.askings, methods)
                else:
                    answer = await methods[question.kind](question.name)
            except DnsError as error:
                question = asking.throw(error)
            else:
                question = asking.send(answer)  # type: ignore[arg-type]  # as it was asked
    except StopIteration as end:
        return cast(T, end.value)
    finally:
        asking.close()


async def _side_by_side(askings: tuple[Asking[Any], ...], methods: _Methods) -> tuple[Any, ...]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_drive(each, methods)) for each in askings]
    return tuple(each.result() for each in running)
