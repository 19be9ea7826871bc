"""A small data directory as the present version writes it, kept for all versions to come.

`python -m tests.upgrade.sample FOLDER` makes it, before a migration changes the format. Only the
promises of the engines are used, so that the same file makes the sample of any later version.
"""

import asyncio
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from merpati.config.places import Places
from merpati.directory.directory import Secret
from merpati.directory.policies import KeptPolicy, PolicyRoom
from merpati.feedback.aggregate import AggregateReport, Period, Published, Reporter, Row
from merpati.feedback.feedback import Room
from merpati.feedback.received import Origin, Proof, Received
from merpati.journal.events import Accepted, Deferred, Failed
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry, Notice, Selection, Settlement, State
from merpati.system.stores import Stores, open_stores
from merpati.testing.clock import VirtualClock

RECEIVED = 1_790_000_000.0
NEVER = 4_102_444_800.0
"""The year 2100: what waits in a sample must not expire before it is tried."""
ANN = Address("ann", "a.test")
LARGE = 600_000
FILES = ("queue-0.db", "directory.db", "feedback.db")


def content(subject: str, size: int = 0) -> bytes:
    """A message that a reader knows by its subject."""
    head = f"From: ann@a.test\r\nSubject: {subject}\r\n\r\n".encode()
    line = f"{subject}, a line of the sample that tells nothing\r\n".encode()
    return head + line * max(1, -(-(size - len(head)) // len(line)))


MESSAGES = {
    "fresh": ("bob@b.test",),
    "deferred": ("budi@b.test", "citra@b.test"),
    "large": ("dewi@b.test",),
    "held": ("eko@b.test",),
    "refused": ("nobody@b.test",),
    "mailbox": ("ann@a.test",),
}
"""Subjects and recipients. `held` is held, `refused` has failed and owes ann a notice."""


REPORT = Received(
    Origin("01R", RECEIVED, "b.test", Proof.PASSED, "dmarc=pass"),
    AggregateReport(
        Reporter("B", "dmarc@b.test", "1"),
        Period(int(RECEIVED) - 86400, int(RECEIVED)),
        Published("a.test", "none"),
        (Row("192.0.2.1", 3, "pass", True, False, "a.test"),),
    ),
)
"""What another host tells of ann's mail."""

POLICY = KeptPolicy(
    "b.test",
    "1",
    b"version: STSv1\nmode: enforce\nmx: mx.b.test\nmax_age: 604800\n",
    RECEIVED + 604_800,
    RECEIVED,
    used=RECEIVED,
    is_ours=True,
)
"""What b.test demands of who sends to it."""


def octets(subject: str) -> bytes:
    """The whole content of one of them."""
    return content(subject, LARGE if subject == "large" else 0)


def entry(number: int, subject: str) -> Entry:
    """From ann to its recipients."""
    to = tuple(Recipient(Address(*address.split("@"))) for address in MESSAGES[subject])
    size = len(octets(subject))
    name = f"01M{number:023}"
    return Entry(name, RECEIVED, NEVER, Envelope(ANN, to), Client("127.0.0.1"), size)


def accepted(one: Entry) -> Accepted:
    """The event that came with it."""
    to = tuple(str(recipient.address) for recipient in one.envelope.recipients)
    return Accepted(at=RECEIVED, message=one.id, sender="ann@a.test", recipients=to, size=one.size)


async def fill(stores: Stores) -> None:
    """People, and mail in every state that it can be found in."""
    await stores.directory.add_domain("a.test")
    await stores.directory.add_user(ANN, Secret("", "argon2", b"salt", 4096, b"stored", b"server"))
    targets = (ANN, Address("bob", "b.test"))
    await stores.directory.add_alias(Address("sales", "a.test"), targets)
    await stores.feedback.keep(REPORT, Room())
    await stores.policies.keep(POLICY, PolicyRoom(1, RECEIVED))
    for number, subject in enumerate(MESSAGES):
        await _put(stores, entry(number, subject), octets(subject))
    claims = await stores.queue.claim(RECEIVED, 100)
    for claim in claims:
        await _settle(stores, claim.entry, [one.n for one in claim.recipients])
    await stores.queue.alter(Selection(ids=(entry(3, "held").id,)), "hold", "operator")
    unfinished = stores.queue.draft()
    await unfinished.write(b"x" * 300_000)


async def _put(stores: Stores, one: Entry, whole: bytes) -> None:
    if len(whole) < LARGE:
        await stores.queue.put(one, Body((whole,)), [accepted(one)])
        return
    draft = stores.queue.draft()
    await draft.write(whole)
    await stores.queue.put(one, draft, [accepted(one)])


async def _settle(stores: Stores, one: Entry, numbers: Sequence[int]) -> None:
    subject = list(MESSAGES)[int(one.id[3:])]
    if subject == "fresh":
        return  # As a kill leaves it: its row says that it is in hand.
    words = {"at": RECEIVED, "message": one.id}
    address = str(one.envelope.recipients[0].address)
    if subject == "refused":
        reply = "550 5.1.1 no such user"
        notice = Notice("failed", "5.1.1", reply, "mx.b.test", "unknown-user")
        gone = Settlement(one.id, 0, State.FAILED, reply=reply, notice=notice)
        event = Failed(**words, address=address, reply=reply, cause="unknown-user")  # type: ignore[arg-type]  # of Fact
        await stores.queue.settle([gone], [event])
        return
    reply, due = "450 4.2.0 try again", RECEIVED + 60
    waits = [Settlement(one.id, n, State.WAITING, due=due, reply=reply) for n in numbers]
    later = Deferred(**words, address=address, reply=reply, cause="greylisted", due=due)  # type: ignore[arg-type]  # of Fact
    await stores.queue.settle(waits, [later])


async def make(folder: Path) -> None:
    """Write the sample, each file compressed."""
    folder.mkdir(parents=True)
    with TemporaryDirectory() as data:
        async with open_stores(Places(Path(data)), VirtualClock(RECEIVED)) as stores:
            await fill(stores)
        for name in FILES:
            packed = gzip.compress((Path(data) / name).read_bytes(), mtime=0)
            (folder / f"{name}.gz").write_bytes(packed)


def unpack(folder: Path, data: Path) -> None:
    """Lay a sample out as a data directory."""
    data.mkdir(parents=True, exist_ok=True)
    for packed in folder.glob("*.gz"):
        (data / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
