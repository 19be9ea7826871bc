"""Answers to a check's questions out of a table: no resolver, no loop."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from merpati.authenticity.questions import Asking, Kind, Question
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer, Found

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

    def answer(self, asking: Asking[T]) -> T:
        """Run a check to its end; what it returns."""
        try:
            question = next(asking)
            while True:
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

    def _of(self, question: Question) -> Answer[Any] | DnsError:
        name = question.name.lower()
        known = self._records.get(f"{question.kind.value.lower()} {name}")
        if isinstance(known, DnsError):
            return known
        if known:
            return Answer(Found.RECORDS, tuple(known), 300.0)
        return Answer(Found.NO_DATA if name in self._names else Found.NO_NAME)
