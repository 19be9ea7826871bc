"""A failure becomes a notice in the queue, through the real intake, and its debt is gone."""

from collections.abc import Callable

from msgspec import structs

from merpati.journal.events import Noticed, Unnoticed
from merpati.mail.envelope import Body
from merpati.queue.entry import Notice, Owed, Settlement, State
from merpati.report.dsn import NoticeSettings
from merpati.report.notices import Notices
from merpati.testing.doors import HOSTNAME, House


async def fail_all(house: House) -> int:
    """Claim everything and let it fail for good, owing a notice; how many failed."""
    claims = await house.queue.claim(house.clock.now(), 10)
    told = Notice("failed", "5.1.1", "550 5.1.1 User unknown", "mx.b.test")
    settled = [
        Settlement(claim.entry.id, waiting.n, State.FAILED, notice=told)
        for claim in claims
        for waiting in claim.recipients
    ]
    await house.queue.settle(settled)
    return len(settled)


async def test_a_failure_becomes_a_notice_and_a_failed_notice_becomes_none(
    owed: Callable[..., Owed], original: bytes
) -> None:
    house = House()
    notices = Notices(
        (house.queue, house.queue, house.journal),
        house.intake(),
        house.clock,
        NoticeSettings(HOSTNAME),
    )
    now = house.clock.now()
    entry = structs.replace(owed().entry, received=now, expires=now + 1000)
    await house.queue.put(entry, Body((original,)))
    assert await fail_all(house) == 1

    assert await notices.pay() == 1
    [noticed] = await house.events(Noticed)
    assert (noticed.message, noticed.address, noticed.action) == (entry.id, "bob@b.test", "failed")
    content = b"".join([piece async for piece in house.queue.read(noticed.notice)])
    assert content.count(b"\r\nDate: ") == 1
    assert b"\r\nMessage-ID: " in content
    assert await house.queue.owed(10) == []

    assert await fail_all(house) == 1
    assert await notices.pay() == 1
    [unnoticed] = await house.events(Unnoticed)
    assert unnoticed.message == noticed.notice
    assert not any((await house.queue.count()).values())
