"""Compares what was put in with what came out, in the words of Jepsen."""

from collections import Counter
from dataclasses import dataclass

from tests.torture.generator import Sent
from tests.torture.sink import Key, Sink


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost` and `unexpected` must be empty; `duplicates` may only come from what was in flight."""

    acknowledged: int
    lost: tuple[Key, ...]
    unexpected: tuple[str, ...]
    duplicates: int
    in_doubt: int

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)}, unexpected "
            f"{len(self.unexpected)}, duplicate {self.duplicates}, in doubt {self.in_doubt}"
        )


def compare(sent: Sent, sink: Sink, failed: set[Key]) -> Verdict:
    """`failed` are the recipients that the journal says were refused for good."""
    owed = {(name, local) for name, locals_ in sent.acknowledged.items() for local in locals_}
    lost = sorted(owed - set(sink.delivered) - failed)
    unexpected = [
        name
        for name, hashes in sorted(sink.contents.items())
        if hashes != {sent.hashes.get(name, "never sent")}
    ]
    stray = [
        f"{name} to {local}"
        for name, local in sorted(sink.delivered)
        if local not in sent.offered.get(name, ())
    ]
    surplus = Counter({key: n - 1 for key, n in sink.delivered.items() if n > 1})
    return Verdict(
        acknowledged=len(owed),
        lost=tuple(lost),
        unexpected=tuple(unexpected + stray),
        duplicates=surplus.total(),
        in_doubt=sink.in_doubt.total(),
    )
