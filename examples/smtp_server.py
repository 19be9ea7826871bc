"""The protocol core used alone: a whole SMTP server session over a plain blocking socket.

    python examples/smtp_server.py 2525

takes mail for anyone on loopback and prints it. No asyncio, no queue: `ServerConnection` is fed
octets, hands out one event at a time, and is told what to answer.
"""

import socket
import sys
from collections.abc import Callable

from merpati.smtp.events import BodyOctets, Connected, ContentReceived, ContentStarted, Event, Quit
from merpati.smtp.replies import CLOSING, OK, START_MAIL_INPUT, Reply
from merpati.smtp.server import ServerConnection
from merpati.smtp.settings import ServerSettings

SETTINGS = ServerSettings("localhost", max_size=1024 * 1024)
GREETING = Reply(220, "localhost ESMTP example")
REPLIES = {Connected: GREETING, ContentStarted: START_MAIL_INPUT, Quit: CLOSING}


def serve(peer: socket.socket, deliver: Callable[[bytes], None]) -> None:
    """One session: read, feed, answer what is asked, write, until either side ends it."""
    smtp = ServerConnection(SETTINGS)
    content = bytearray()
    while not smtp.is_closed:
        while (event := smtp.next_event()) is not None:
            smtp.answer(answer_to(event, content, deliver))
        peer.sendall(smtp.take())
        if not smtp.is_closed:
            smtp.receive(peer.recv(65536))


def answer_to(event: Event, content: bytearray, deliver: Callable[[bytes], None]) -> Reply | None:
    """What this server says: yes to everything that is well formed."""
    match event:
        case BodyOctets(octets):
            content += octets
            return None
        case ContentReceived(flaw=None, octets=last):
            deliver(bytes(content + last))
            content.clear()
            return OK
        case ContentReceived(flaw=flaw):
            content.clear()
            return flaw
        case _:
            # Hello and Mistake bring the reply that fits them.
            return getattr(event, "reply", None) or REPLIES.get(type(event), OK)


def main(port: int) -> None:
    """Serve one client after the other."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            peer, _ = listener.accept()
            with peer:
                serve(peer, lambda content: print(content.decode("utf-8", "replace")))


if __name__ == "__main__":
    main(int(sys.argv[1]))
