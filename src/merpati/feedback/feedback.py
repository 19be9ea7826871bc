"""The promises of what keeps reports.

Engines: `store` (SQLite) and `testing.memory_feedback`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from merpati.feedback.received import Kind, Origin, Received
from merpati.feedback.sums import Alignment, Sessions, Source


@dataclass(frozen=True, slots=True)
class Room:
    """How much is kept. Strangers send reports, so all of it is bounded."""

    age: float = 400 * 86400.0
    """Seconds since a report came."""
    reports: int = 20_000
    octets: int = 256 * 1024 * 1024
    """About; of all reports together."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which reports; what is empty selects all."""

    domain: str = ""
    """That they are about."""
    since: float = 0.0
    """When they came, seconds since 1970 UTC."""
    kind: Kind | None = None
    most: int = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One report in a list."""

    kind: Kind
    origin: Origin
    domain: str
    organization: str
    report_id: str
    begin: float
    end: float
    total: int
    """Messages or sessions."""
    failed: int
    """Of these."""
    why: str = ""
    """Why it cannot be read; what a complaint is about."""


class Feedback(Protocol):
    """Reports of others. What a report says is a stranger's word; texts may hold anything."""

    async def keep(self, report: Received, room: Room) -> bool:
        """Store it; False when the same report is there already. On disk when it returns.

        The same: kind, domain, author, proof, organization and report id, or the id of the
        message. What has no report id of its own is the same only by the message. Where there is
        no room, what nobody proved goes first, then the oldest of whoever takes most.
        """
        ...

    async def reports(self, selection: Selection) -> Sequence[Line]:
        """Those selected, newest first."""
        ...

    async def report(self, id_: str) -> Received | None:
        """A whole one."""
        ...

    async def sources(self, domain: str, since: float, most: int) -> Sequence[Source]:
        """Who sent mail in a domain's name, "" for all domains, told by reports that end after
        `since`; those where most failed first, then those that sent most."""
        ...

    async def sessions(self, domain: str, since: float) -> Sequence[Sessions]:
        """How TLS went with a domain's hosts, "" for all domains; by domain and policy."""
        ...

    async def alignment(self, domain: str, since: float) -> Alignment:
        """How a domain's mail did with DMARC, told by reports that end after `since`."""
        ...

    async def forget(self, now: float, room: Room, most: int) -> int:
        """Remove at most `most` reports that are too old or for which there is no room any more;
        how many it removed."""
        ...
