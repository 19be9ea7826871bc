"""Answers to a check's questions out of a table: no network, and without a loop if you like."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from merpati.authenticity.questions import TURN, Asking, Inquiry, Kind, Question, Together
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer, Found, Mx

T = TypeVar("T")


class Answers:
    """Records by kind and name, as {"TXT a.test": [b"v=spf1 -all"]}; a DnsError is thrown in.

    Names are compared without case. What is not there is no name, unless another kind of record
    is there: then it is no data. `asked` keeps the questions in their order.
    """

    def __init__(self, records: Mapping[str, Sequence[object] | DnsError]) -> None:
        self._records = {key.lower(): value for key, value in records.items()}
        self._names = {key.split(" ", 1)[1] for key in self._records}
        self.asked: list[Question] = []

    def answer(self, asking: Asking[T] | Inquiry[T]) -> T:
        """Run a check to its end, others together one after another; what it returns."""
        try:
            question = next(asking)
            while True:
                if isinstance(question, Together):
                    found = tuple(self.answer(each) for each in question.askings)
                    question = asking.send(found)  # type: ignore[arg-type]  # as it was asked
                    continue
                if question is not TURN:
                    self.asked.append(question)
                known = self._of(question)
                if isinstance(known, DnsError):
                    question = asking.throw(known)
                else:
                    question = asking.send(known)
        except StopIteration as end:
            return cast(T, end.value)

    def count(self, kind: Kind) -> int:
        """How many questions of a kind were asked."""
        return sum(question.kind is kind for question in self.asked)

    def look_up(self, kind: Kind, name: str) -> Answer[Any]:
        """One answer. Raises the DnsError that is in its place."""
        self.asked.append(Question(kind, name))
        known = self._of(self.asked[-1])
        if isinstance(known, DnsError):
            raise known
        return known

    def _of(self, question: Question) -> Answer[Any] | DnsError:
        name = question.name.lower()
        known = self._records.get(f"{question.kind.value.lower()} {name}")
        if isinstance(known, DnsError):
            return known
        if known:
            return Answer(Found.RECORDS, tuple(known), 300.0)
        return Answer(Found.NO_DATA if name in self._names else Found.NO_NAME)


class TableResolver:
    """A Resolver that answers from a table."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    async def mx(self, domain: str) -> Answer[Mx]:
        """MX records."""
        return self.answers.look_up(Kind.MX, domain)

    async def ipv4(self, host: str) -> Answer[str]:
        """A records."""
        return self.answers.look_up(Kind.IPV4, host)

    async def ipv6(self, host: str) -> Answer[str]:
        """AAAA records."""
        return self.answers.look_up(Kind.IPV6, host)

    async def txt(self, name: str) -> Answer[bytes]:
        """TXT records."""
        return self.answers.look_up(Kind.TXT, name)

    async def ptr(self, ip: str) -> Answer[str]:
        """Names of an address."""
        return self.answers.look_up(Kind.PTR, ip)

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        """None, whatever the name."""
        return Answer(Found.NO_NAME)
