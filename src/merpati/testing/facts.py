"""What rules look at, built in one line."""

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.mail.trace import Client
from merpati.policy.rule import Facts


def some_facts(
    *,
    ip: str = "192.0.2.7",
    to: str = "",
    sender: str = "eve@b.test",
    login: str = "",
    size: int = 0,
) -> Facts:
    """What a stranger's transaction looks like."""
    recipient = Address.parse(to) if to else None
    envelope = Envelope(
        Address.parse(sender) if sender else None,
        (Recipient(recipient),) if recipient else (),
    )
    return Facts(
        Client(ip),
        login=Address.parse(login) if login else None,
        envelope=envelope,
        recipient=recipient,
        size=size,
    )
