"""A session from the greeting to the end, over memory."""

from merpati.journal.events import Accepted, Refused
from merpati.reception.port import Role
from merpati.testing.doors import House, greeted, talking

MESSAGE = b"From: eve@b.test\r\nSubject: Hello\r\nMessage-ID: <1@b.test>\r\n\r\nHi.\r\n"


async def test_mail_for_someone_here_is_queued_and_its_id_told() -> None:
    house = House()
    async with greeted(house.port()) as client:
        reply = await client.send(MESSAGE, "ann@a.test")
    [accepted] = await house.events(Accepted)
    assert reply == f"250 2.0.0 queued as {accepted.message}"
    assert accepted.recipients == ("ann@a.test",)
