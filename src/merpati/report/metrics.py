"""Counters for Prometheus, kept from journal events, in its text format 0.0.4.

Labels come from small closed sets or are capped, so that no stranger can make the page grow.
"""

import re
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from merpati.journal.events import (
    BY_ITSELF,
    CANNOT_CHECK,
    Accepted,
    AccountResumed,
    AccountSuspended,
    Cancelled,
    Deferred,
    Delivered,
    Event,
    Expired,
    Failed,
    Held,
    LoggedIn,
    LoginFailed,
    Noticed,
    Opened,
    Refused,
    Reported,
)
from merpati.storage.errors import StorageError


class Series(msgspec.Struct, frozen=True):
    """One metric, with its samples."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]
    """What is added to the name, labels, and the value."""
    worker: str = ""
    """Whose it is, where a node has several."""


Gauge = Callable[[], Awaitable[Mapping[str, float]]]
"""A value now, by its label; an empty label for a value without one."""

MAX_SERIES = 100
"""Label values of one counter; what comes after them counts as `other`."""

DELAYS = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds of the delivery delay histogram, seconds."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9_.:-]")


class Counter:
    """A number that only grows, by one label."""

    def __init__(self, name: str, text: str, label: str = "") -> None:
        self.name = f"merpati_{name}_total"
        self._text = text
        self._label = label
        self._values: dict[str, float] = {} if label else {"": 0.0}

    def add(self, value: str = "", amount: float = 1.0) -> None:
        """Count."""
        if value not in self._values and len(self._values) >= MAX_SERIES:
            value = "other"
        self._values[value] = self._values.get(value, 0.0) + amount

    def series(self) -> Series:
        """This counter now."""
        return _series((self.name, self._text, "counter"), self._label, self._values)


class Metrics:
    """What is counted. `take` is shown every event; `series` tells it all."""

    def __init__(self, gauges: Mapping[tuple[str, str, str], Gauge] | None = None) -> None:
        """`gauges` by (name, help, label), such as ("queue_recipients", "…", "state")."""
        self._gauges = dict(gauges or {})
        self.accepted = Counter("messages_accepted", "Messages taken, by port role.", "role")
        self.forwarded = Counter(
            "forwarded", "Recipients elsewhere that strangers' mail went on to.", "sender"
        )
        self.received = Counter("received_octets", "Octets of messages taken.")
        self.refused = Counter("refused", "What was refused to clients, by rule.", "rule")
        self.replayed = Counter(
            "replayed", "Messages whose signature came too often by others, by end.", "result"
        )
        self.delivered = Counter("delivered", "Recipients delivered, by route.", "route")
        self.deferred = Counter("deferred", "Attempts put off, by cause.", "cause")
        self.failed = Counter("failed", "Recipients that failed, by cause.", "cause")
        self.damaged = Counter("damaged", "Recipients held since their message is damaged.")
        self.notices = Counter("notices", "Delivery notices sent, by action.", "action")
        self.reports = Counter(
            "reports_out", "Reports to other domains, by kind and end.", "result"
        )
        self.accounts = Counter("accounts", "Accounts suspended and resumed.", "result")
        self.logins = Counter("logins", "Logins, by how they ended.", "result")
        self.connections = Counter("connections_out", "Connections made outward.", "result")
        self.connections_in = Counter("connections_in", "Connections taken, by port role.", "role")
        self._delays = [0] * (len(DELAYS) + 1)
        self._delay_sum = 0.0

    def take(self, event: Event) -> None:
        """Count one event; those that nothing counts are passed over."""
        count = _COUNTS.get(type(event))
        if count is not None:
            count(self, event)

    async def pause(self) -> None:
        """Counting gathers nothing."""

    def _on_accepted(self, event: Accepted) -> None:
        self.accepted.add(event.role or "local")
        self.received.add(amount=event.size)
        for forward in event.forwards:
            self.forwarded.add(forward.kept or "rewritten")
        if event.replay is not None:
            self.replayed.add("accepted")

    def _on_refused(self, event: Refused) -> None:
        self.refused.add(event.rule)
        if event.replay is not None:
            self.replayed.add("refused")

    def _on_delivered(self, event: Delivered) -> None:
        self.delivered.add(event.attempt.route)
        self._delays[bisect_left(DELAYS, event.delay)] += 1
        self._delay_sum += max(0.0, event.delay)

    def _on_deferred(self, event: Deferred) -> None:
        self.deferred.add(event.cause)

    def _on_reported(self, event: Reported) -> None:
        self.reports.add(f"{event.report}_{event.outcome}")

    def _on_failed(self, event: Failed) -> None:
        self.failed.add(event.cause)

    def _on_expired(self, event: Expired) -> None:
        self.failed.add("expired")

    def _on_cancelled(self, event: Cancelled) -> None:
        self.failed.add("cancelled")

    def _on_suspended(self, _: AccountSuspended) -> None:
        self.accounts.add("suspended")

    def _on_resumed(self, _: AccountResumed) -> None:
        self.accounts.add("resumed")

    def _on_held(self, event: Held) -> None:
        self.damaged.add(amount=event.by == BY_ITSELF)

    def _on_noticed(self, event: Noticed) -> None:
        self.notices.add(event.action)

    def _on_login(self, event: LoggedIn) -> None:
        self.logins.add("succeeded")

    def _on_failed_login(self, event: LoginFailed) -> None:
        self.logins.add("unknown" if event.why == CANNOT_CHECK else "failed")

    def _on_opened(self, event: Opened) -> None:
        self.connections.add("failed" if event.error else "opened")

    async def series(self) -> list[Series]:
        """Everything that is counted and measured, now. A gauge whose file cannot be asked has no
        samples: of the others somebody wants to know just then."""
        found = [*(counter.series() for counter in self._counters()), self._histogram()]
        for (name, text, label), gauge in self._gauges.items():
            try:
                values = await gauge()
            except StorageError:
                values = {}
            found.append(_series((f"merpati_{name}", text, "gauge"), label, values))
        return found

    def _counters(self) -> list[Counter]:
        return [value for value in vars(self).values() if isinstance(value, Counter)]

    def _histogram(self) -> Series:
        samples: list[tuple[str, dict[str, str], float]] = []
        total = 0
        for bound, count in zip((*DELAYS, "+Inf"), self._delays, strict=True):
            total += count
            samples.append(("_bucket", {"le": str(bound)}, total))
        samples += [("_sum", {}, self._delay_sum), ("_count", {}, total)]
        text = "From acceptance to delivery, a recipient."
        return Series("merpati_delivery_delay_seconds", text, "histogram", samples)


# Asked for each event: `singledispatchmethod` takes 2 us to find what this finds in 0.1.
_COUNTS: dict[type[Event], Callable[[Metrics, Any], None]] = {
    Accepted: Metrics._on_accepted,
    Refused: Metrics._on_refused,
    Delivered: Metrics._on_delivered,
    Deferred: Metrics._on_deferred,
    Failed: Metrics._on_failed,
    Expired: Metrics._on_expired,
    Cancelled: Metrics._on_cancelled,
    Held: Metrics._on_held,
    Noticed: Metrics._on_noticed,
    AccountSuspended: Metrics._on_suspended,
    AccountResumed: Metrics._on_resumed,
    LoggedIn: Metrics._on_login,
    LoginFailed: Metrics._on_failed_login,
    Opened: Metrics._on_opened,
    Reported: Metrics._on_reported,
}


def _series(head: tuple[str, str, str], label: str, values: Mapping[str, float]) -> Series:
    return Series(*head, [("", {label: v} if label else {}, n) for v, n in values.items()])


def exposition(found: Iterable[Series]) -> bytes:
    """The page of the metrics door. A node's workers have a label of their own, so that a counter
    that begins again with its worker is seen to."""
    by_name: dict[str, list[Series]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append(one)
    lines = [line for parts in by_name.values() for line in _page(parts)]
    return ("\n".join(lines) + "\n").encode()


def _page(parts: list[Series]) -> list[str]:
    first = parts[0]
    head = [f"# HELP {first.name} {first.text}", f"# TYPE {first.name} {first.kind}"]
    return head + [
        f"{part.name}{suffix}{_labels(labels, part.worker)} {number:.17g}"
        for part in parts
        for suffix, labels, number in part.samples
    ]


def _labels(labels: Mapping[str, str], worker: str) -> str:
    # Label values are made harmless instead of escaped: nobody graphs a line end.
    pairs = [f'{name}="{_harmless(value)}"' for name, value in labels.items()]
    if worker:
        pairs.append(f'worker="{worker}"')
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _harmless(value: str) -> str:
    return value if value == "+Inf" else _UNUSUAL.sub("_", value[:80])
