"""The protocol core used alone: one message sent over a plain blocking socket.

    python examples/smtp_client.py 127.0.0.1 1025 ann@b.test

No asyncio, no queue: `ClientConnection` hands out events, and each says what may be done next. It
pipelines and uses BDAT where the server offers them.
"""

import socket
import sys

from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Recipient
from merpati.smtp.answers import Nonsense
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.client_events import (
    ClientEvent,
    EnvelopeAnswered,
    Greeted,
    HelloAnswered,
    QuitAnswered,
    VerdictGiven,
)
from merpati.smtp.outgoing import Outgoing

SENDER = Address.parse("somebody@localhost")
CONTENT = b"From: somebody@localhost\r\nSubject: Halo\r\n\r\nApa kabar?\r\n"


def send(peer: socket.socket, to: Address, content: bytes) -> list[str]:
    """One session with one message; what the server answered to it."""
    smtp = ClientConnection(ClientSettings("localhost"))
    recipient = Recipient(to)
    outgoing = Outgoing(Envelope(SENDER, (recipient,)), (recipient,), len(content))
    answers: list[str] = []
    while True:
        while (event := smtp.next_event()) is None:
            peer.sendall(smtp.take())
            if not (octets := peer.recv(65536)):
                raise ConnectionError("the server hung up")
            smtp.receive(octets)
        if isinstance(event, QuitAnswered):
            return answers
        answers += go_on(smtp, event, outgoing, content)


def go_on(
    smtp: ClientConnection, event: ClientEvent, outgoing: Outgoing, content: bytes
) -> list[str]:
    """Do what comes next; the answers that decide about the message."""
    match event:
        case Greeted(answer) if answer.is_positive:
            smtp.hello()
        case HelloAnswered(answer) if answer.is_positive:
            smtp.begin(outgoing)
        case EnvelopeAnswered(mailing) if mailing.wants_body:
            smtp.write_body(content)
            smtp.finish_body()
        case EnvelopeAnswered(mailing):
            smtp.quit()
            refused = mailing.first_refusal
            return [str(refused[1])] if refused else []
        case VerdictGiven(mailing):
            smtp.quit()
            return [str(answer) for answer in mailing.verdicts]
        case Nonsense(why=why):
            raise ConnectionError(f"this server does not speak SMTP: {why}")
        case _:
            raise ConnectionError(f"the server does not want us: {event}")
    return []


def main(host: str, port: int, to: Address) -> None:
    """Send and print what was answered."""
    with socket.create_connection((host, port), timeout=60) as peer:
        for answer in send(peer, to, CONTENT):
            print(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Address.parse(sys.argv[3]))
