"""What the server's protocol core costs: CPU a message, no socket, no storage.

python benchmarks/core.py [seconds for each row]
"""

import sys
import time
from collections.abc import Iterable

from merpati.smtp.events import BodyOctets, Connected, ContentReceived, ContentStarted, Hello
from merpati.smtp.replies import OK, START_MAIL_INPUT, Reply
from merpati.smtp.server import ServerConnection
from merpati.smtp.settings import ServerSettings

SEGMENT = 64 * 1024
LINE = b"x" * 76 + b"\r\n"
BODY = LINE * (10 * 1024 // len(LINE))
LARGE = LINE * (10 * 1024 * 1024 // len(LINE))
GREETING = Reply(220, "bench.test ESMTP")
ENVELOPE = [b"MAIL FROM:<ann@a.test> SIZE=10240\r\n", b"RCPT TO:<bob@b.test>\r\n"]


def answer(connection: ServerConnection) -> None:
    while (event := connection.next_event()) is not None:
        kind = type(event)
        if kind is BodyOctets:
            connection.answer(None)
        elif kind is ContentStarted:
            connection.answer(START_MAIL_INPUT)
        elif isinstance(event, Hello):
            connection.answer(event.reply)
        else:
            assert not isinstance(event, ContentReceived) or event.flaw is None
            connection.answer(GREETING if kind is Connected else OK)
    connection.take()


def say(connection: ServerConnection, segments: Iterable[bytes]) -> None:
    for segment in segments:
        connection.receive(segment)
        answer(connection)


def cut(octets: bytes) -> list[bytes]:
    return [octets[n : n + SEGMENT] for n in range(0, len(octets), SEGMENT)]


def chunk(body: bytes) -> bytes:
    return b"BDAT %d LAST\r\n" % len(body) + body


def microseconds(segments: list[bytes], seconds: float) -> float:
    """The best of many rounds of 20 messages, each in one connection."""
    connection = ServerConnection(ServerSettings("bench.test"))
    answer(connection)
    say(connection, [b"EHLO bench\r\n"])
    repeats = 1 if sum(map(len, segments)) > SEGMENT else 20
    best = float("inf")
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        for _ in range(repeats):
            say(connection, segments)
        best = min(best, (time.perf_counter() - began) / repeats)
    return best * 1e6


def main(seconds: float) -> None:
    small: dict[str, list[bytes]] = {
        "DATA, unpipelined": [*ENVELOPE, b"DATA\r\n", BODY + b".\r\n"],
        "DATA, pipelined": [b"".join(ENVELOPE) + b"DATA\r\n", BODY + b".\r\n"],
        "BDAT, pipelined": [b"".join(ENVELOPE) + chunk(BODY)],
    }
    large: dict[str, list[bytes]] = {
        "DATA, 10 MB": [*ENVELOPE, b"DATA\r\n", *cut(LARGE + b".\r\n")],
        "BDAT, 10 MB": [*ENVELOPE, *cut(chunk(LARGE))],
    }
    for name, segments in small.items():
        print(f"{name:20} {microseconds(segments, seconds):8.1f} us a message of 10 KB")
    for name, segments in large.items():
        print(f"{name:20} {len(LARGE) / microseconds(segments, seconds):8.0f} MB/s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
