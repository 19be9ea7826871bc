"""Mail for the address of reports is kept once, whatever it is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from merpati.feedback.feedback import Selection
from merpati.feedback.received import Kind
from merpati.mail.address import Address
from merpati.report import receiving
from merpati.report.receiving import Receiver, ReceiverParts
from merpati.testing.clock import VirtualClock
from merpati.testing.deliveries import an_entry
from merpati.testing.memory_feedback import MemoryFeedback
from tests.report import provided


@dataclass
class Desk:
    feedback: MemoryFeedback
    receiver: Receiver
    defects: list[BaseException] = field(default_factory=list)

    async def take(self, message: bytes, n: int = 1) -> str:
        entry = an_entry(n, "mail-reports@a.test", size=len(message))
        return await self.receiver.take(entry, message)

    async def kinds(self) -> list[Kind]:
        return [line.kind for line in await self.feedback.reports(Selection())]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with ThreadPoolExecutor(1) as executor:
        feedback, defects = MemoryFeedback(), []
        parts = ReceiverParts(
            feedback=feedback,
            executor=executor,
            is_address=lambda address: address.local == "mail-reports",
            defect=lambda _, error: defects.append(error),
            clock=VirtualClock(),
            new_id=lambda: "P0",
        )
        yield Desk(feedback, Receiver(parts), defects)


async def test_each_kind_is_kept_and_told(desk: Desk) -> None:
    assert await desk.take(provided.google(), 1) == "kept: DMARC of a.test, told by google.com"
    assert await desk.take(provided.google_tls(), 2) == "kept: TLS, told by google.com"
    assert await desk.take(provided.complaint(), 3) == "kept: abuse, told by fbl.test"
    assert await desk.take(b"\r\n", 4) == (
        "kept for a person to look at: no attachment that could be a report"
    )
    assert await desk.kinds() == [Kind.UNREADABLE, Kind.COMPLAINT, Kind.TLS, Kind.AGGREGATE]


async def test_the_same_report_is_kept_once(desk: Desk) -> None:
    await desk.take(provided.google(), 1)
    assert await desk.take(provided.google(), 2) == "the same report is there already"
    assert await desk.kinds() == [Kind.AGGREGATE]


async def test_a_delivery_that_is_repeated_changes_nothing(desk: Desk) -> None:
    for _ in range(2):
        await desk.take(b"\r\n")
    assert await desk.kinds() == [Kind.UNREADABLE]


async def test_a_defect_of_ours_is_logged_and_the_message_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    defect = ZeroDivisionError()

    def fails(*_: object) -> None:
        raise defect

    monkeypatch.setattr(receiving, "receive", fails)
    message = provided.google()  # Made twice, it can have the time of two seconds in it.
    assert "a defect of ours: ZeroDivisionError" in await desk.take(message)
    assert desk.defects == [defect]
    report = await desk.feedback.report(an_entry(1, "x@a.test").id)
    assert report is not None
    assert report.content.octets == message  # type: ignore[union-attr]  # Unreadable


def test_whose_mail_it_is(desk: Desk) -> None:
    assert desk.receiver.is_for(Address("mail-reports", "a.test"))
    assert not desk.receiver.is_for(Address("ann", "a.test"))
