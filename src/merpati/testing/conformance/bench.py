"""An engine of the queue on trial, and what the checks of it are made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

from merpati.journal.events import (
    Accepted,
)
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Claim, Entry, Settlement, State
from merpati.queue.queue import Desk, Ledger, Queue, Sites
from merpati.storage.errors import StorageError

NOW = 1_800_000_000.0


class Engine(Queue, Sites, Ledger, Desk, Protocol):
    """All four in one."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine on trial. Its clock stands at NOW."""

    queue: Engine
    journal: Journal


Check = Callable[[Bench], Awaitable[None]]
ANN = Address("ann", "a.test")


def an_entry(
    number: int,
    *to: str,
    sender: Address | None = ANN,
    release_at: float | None = None,
    size: int = 5,
) -> Entry:
    """A message to these addresses."""
    addresses = [Address(*one.rsplit("@", 1)) for one in to or ("bob@b.test",)]
    recipients = tuple(Recipient(address) for address in addresses)
    envelope = Envelope(sender, recipients, release_at=release_at)
    return Entry(f"01J{number:023}", NOW, NOW + 86_400, envelope, Client("::1"), size)


def accepted(entry: Entry) -> Accepted:
    """Its first event."""
    to = tuple(str(one.address) for one in entry.envelope.recipients)
    return Accepted(
        at=NOW, message=entry.id, sender=str(entry.envelope.sender), recipients=to, size=5
    )


def becomes(claim: Claim, state: State, **more: object) -> list[Settlement]:
    """Every recipient of a claim with the same end."""
    return [Settlement(claim.entry.id, one.n, state, **more) for one in claim.recipients]  # type: ignore[arg-type]  # fields of Settlement


async def put(bench: Bench, *entries: Entry) -> None:
    for entry in entries:
        await bench.queue.put(entry, Body((b"hel", b"lo")), [accepted(entry)])


async def content_of(bench: Bench, entry: Entry) -> bytes:
    return b"".join([piece async for piece in bench.queue.read(entry.id)])


async def is_gone(bench: Bench, entry: Entry) -> bool:
    try:
        await content_of(bench, entry)
    except StorageError:
        return True
    return False


async def waiting(bench: Bench, entry: Entry, due: float = NOW) -> None:
    """Put it and let its first attempt fail."""
    await put(bench, entry)
    # What waits already may come with the second claim.
    for claim in await bench.queue.claim(NOW, 100) + await bench.queue.claim(NOW, 100):
        await bench.queue.settle(becomes(claim, State.WAITING, due=due, reply="450 no"))


async def all_ready(bench: Bench) -> list[Claim]:
    """Everything that is due."""
    claims: list[Claim] = []
    while more := await bench.queue.claim(NOW, 100):
        claims += more
    return claims


def addresses_of(claims: list[Claim]) -> list[str]:
    return sorted(str(one.recipient.address) for claim in claims for one in claim.recipients)


def sent_by(login: str, first: int, count: int, *, is_bulk: bool = False) -> list[Entry]:
    client = Client("::1", login=login)
    entries = [an_entry(number) for number in range(first, first + count)]
    return [structs.replace(one, client=client, is_ours=True, is_bulk=is_bulk) for one in entries]
