"""The client's protocol core used alone: one message over a plain blocking socket.

    python examples/smtp_client.py 127.0.0.1 1025 ann@b.test

No asyncio, no queue: `ClientConnection` is fed octets, says what came of them, and what to send.
"""

import socket
import sys
from collections.abc import Sequence
from typing import TypeVar

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.client_events import (
    EnvelopeAnswered,
    Greeted,
    HelloAnswered,
    QuitAnswered,
    ShutDown,
    VerdictGiven,
)
from merpati.smtp.outgoing import Outgoing, Shelter, hindrance

CONTENT = b"From: example@localhost\r\nSubject: Halo\r\n\r\nSelamat pagi!\r\n"

T = TypeVar("T")


class NotSent(Exception):
    """The server would not have it; the text is what it said."""


def wait_for(peer: socket.socket, smtp: ClientConnection, awaited: type[T]) -> T:
    """Send what waits, and read until the replies amount to what is awaited."""
    while (event := smtp.next_event()) is None:
        peer.sendall(smtp.take())
        octets = peer.recv(65536)
        if not octets:
            raise NotSent("the server closed the connection")
        smtp.receive(octets)
    if isinstance(event, awaited):
        return event
    raise NotSent(str(event.answer) if isinstance(event, ShutDown) else str(event))


def open_session(peer: socket.socket, smtp: ClientConnection) -> None:
    """Greeting and hello; HELO where EHLO is not known."""
    answer = wait_for(peer, smtp, Greeted).answer
    if answer.is_positive:
        for _ in ("EHLO", "HELO"):
            smtp.hello()
            answer = wait_for(peer, smtp, HelloAnswered).answer
            if answer.is_positive:
                return
    raise NotSent(str(answer))


def send(
    peer: socket.socket, sender: str, recipients: Sequence[str], content: bytes
) -> dict[str, str]:
    """Send one message; gives back who was refused and why. NotSent if nobody has it."""
    smtp = ClientConnection(ClientSettings("localhost"))
    open_session(peer, smtp)
    outgoing = Outgoing(
        Envelope(Address.parse(sender)),
        tuple(Recipient(Address.parse(one)) for one in recipients),
        size=len(content),
        eight_bit=not content.isascii(),
    )
    why = hindrance(outgoing, smtp.capabilities, Shelter.NONE)
    if why is not None:
        raise NotSent(why.text)
    mailing = smtp.begin(outgoing)
    wait_for(peer, smtp, EnvelopeAnswered)
    if mailing.first_refusal is not None:
        raise NotSent(str(mailing.first_refusal[1]))
    smtp.write_body(content)
    smtp.finish_body()
    (verdict,) = wait_for(peer, smtp, VerdictGiven).mailing.verdicts
    if not verdict.is_positive:
        raise NotSent(str(verdict))
    smtp.quit()
    wait_for(peer, smtp, QuitAnswered)
    answers = zip(recipients, mailing.rcpts, strict=True)
    return {who: str(answer) for who, answer in answers if not answer.is_positive}


def main(host: str, port: str, *recipients: str) -> None:
    """Send a greeting."""
    with socket.create_connection((host, int(port)), timeout=60) as peer:
        for who, why in send(peer, "example@localhost", recipients, CONTENT).items():
            print(f"{who}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
