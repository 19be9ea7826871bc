"""What a report to another domain is, before it leaves: who makes it, who wants it, how it goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from merpati.feedback.tallies import DAY, Due
from merpati.mail.address import Address

MAX_DESTINATIONS = 5
"""Of one report; more would make us a means of sending. RFC 7489 §6.2 demands two at least."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we say that we are."""

    organization: str
    sender: Address
    """In From and MAIL FROM: of a domain whose key signs it."""
    contact: str
    """An address of mail."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who wants a report."""

    mail: tuple[Address, ...] = ()
    limits: tuple[int, ...] = ()
    """For each of these the octets of the largest report, 0 for none."""
    posts: tuple[str, ...] = ()
    """URIs of https."""
    left_out: tuple[str, ...] = ()
    """Destinations that get none, each with why."""


class Maker(Protocol):
    """Makes the reports of one kind."""

    async def wanted(self, due: Due) -> Wanted:
        """Ask the DNS. Raises DnsError when it does not say now."""
        ...

    async def known(self, due: Due) -> Due:
        """With what is known of the domain beside what was counted."""
        ...

    def mail(
        self, due: Due, who: Identity, to: Sequence[Address], now: float
    ) -> tuple[bytes, bytes]:
        """The header section and the body of the mail. The same but for the date each time."""
        ...

    async def post(self, due: Due, who: Identity, uri: str) -> None:
        """Post it. Raises WireError or DnsError when nobody took it."""
        ...


def report_id(due: Due, who: Identity) -> str:
    """Unique among our reports, and the same when it is made again (RFC 9990 §2.6.1)."""
    return f"{due.subject.domain}.{due.name}@{who.sender.domain}"


def period(due: Due, now: float) -> tuple[int, int]:
    """First and last second: a whole day, or what there is of it when it is made early."""
    begin = due.subject.day * DAY
    return begin, max(begin, min(begin + DAY - 1, int(now)))


def day_of(due: Due) -> str:
    """`2026-04-01`."""
    return f"{datetime.fromtimestamp(due.subject.day * DAY, UTC):%Y-%m-%d}"
