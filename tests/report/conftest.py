"""Builders of debts and of messages that owe them."""

from collections.abc import Callable

import pytest

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.trace import Client
from merpati.queue.entry import Entry, Owed

MESSAGE = (
    b"From: ann@a.test\r\nTo: bob@b.test\r\nMessage-ID: <1@a.test>\r\n"
    b"Subject: =?utf-8?q?Laporan_=C3=A9?=\r\n\r\nIsi pesan.\r\n"
)


def make_owed(
    action: str = "failed",
    *,
    reply: str = "550 5.1.1 User unknown",
    host: str = "mx.b.test",
    status: str = "5.1.1",
    sender: str | None = "ann@a.test",
    to: str = "bob@b.test",
    id_: int = 1,
    until: float = 0.0,
    cause: str = "unknown-user",
    known_as: str | None = "rfc822;robert@b.test",
    **envelope: object,
) -> Owed:
    recipient = Recipient(Address.parse(to), original=known_as)
    entry = Entry(
        id="01JD0000000000000000000000",
        received=1_700_000_000.0,
        expires=1_700_432_000.0,
        envelope=Envelope(
            Address.parse(sender) if sender else None,
            (recipient,),
            **{"envelope_id": "QQ314159", **envelope},  # type: ignore[arg-type]
        ),
        client=Client("192.0.2.1"),
        size=len(MESSAGE),
    )
    at = 1_700_000_100.0
    return Owed(id_, entry, recipient, action, at, status, reply, host, until=until, cause=cause)


@pytest.fixture
def owed() -> Callable[..., Owed]:
    return make_owed


@pytest.fixture
def original() -> bytes:
    return MESSAGE
