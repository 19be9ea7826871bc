"""Compares what was put in with what came out, in the words of Jepsen."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from torture.generator import Sent
from torture.sink import Key, Sink, Taken

WINDOW = 64
"""Transactions of one worker between the last octet of a body and the commit of its verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost` and `unexpected` must be empty; `worst` may be as large as the window."""

    acknowledged: int
    """Recipients that the server answered for."""
    lost: tuple[Key, ...]
    """Acknowledged, and neither delivered nor told of."""
    unexpected: tuple[str, ...]
    """Changed, never put in, to the wrong recipient, or given up without a reason."""
    duplicates: int
    """Deliveries beyond the first, but for those that the sink itself left in doubt."""
    worst: int
    """Most messages that were delivered before one interruption and again behind it."""
    window: int
    """That many may be."""
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
    """`boxed` lay in mailboxes. Without interruption no duplicate is allowed at all."""
    taken = [*sink.taken, *boxed]
    delivered = Counter((one.message, local) for one in taken for local in one.recipients)
    owed = set(sent.acknowledged)
    given_up = {(name, local) for name, local in owed if sink.notices[local]}
    again = _again(taken, sink.in_doubt)
    return Verdict(
        acknowledged=len(owed),
        lost=tuple(sorted(owed - set(delivered) - given_up)),
        unexpected=(*_changed(sent, taken), *_strays(sent, delivered), *_wrongs(sink, sent)),
        duplicates=sum(n - 1 for key, n in delivered.items() if key not in sink.in_doubt),
        worst=max(again.values(), default=0),
        window=WINDOW * workers if interrupted else 0,
        in_doubt=len(sink.in_doubt),
    )


def _changed(sent: Sent, taken: list[Taken]) -> list[str]:
    return sorted(
        {
            f"{one.message} is changed"
            for one in taken
            if one.digest != sent.digests.get(one.message)
        }
    )


def _strays(sent: Sent, delivered: Counter[Key]) -> list[str]:
    return [
        f"{name} came to {local}"
        for name, local in sorted(delivered)
        if local not in sent.offered.get(name, ())
    ]


def _wrongs(sink: Sink, sent: Sent) -> list[str]:
    known = {local for locals_ in sent.offered.values() for local in locals_}
    return [
        f"{local} was given up"
        for local in sorted(sink.notices)
        if not local.startswith("perm-") or local not in known
    ]


def _again(taken: list[Taken], in_doubt: set[Key]) -> Counter[int]:
    """Messages that came again, by the interruption that they first came before."""
    first: dict[Key, int] = {}
    counted: Counter[int] = Counter()
    seen: set[tuple[int, str]] = set()
    for one in taken:
        for key in ((one.message, local) for local in one.recipients):
            if key not in first:
                first[key] = one.epoch
            elif key not in in_doubt and (first[key], one.message) not in seen:
                seen.add((first[key], one.message))
                counted[first[key]] += 1
    return counted
