"""A developer's inbox as tests see it: what an application sent, as values."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from merpati.mail.headers import Field, Headers
from merpati.mail.parts import Part, read_parts

SECONDS = 5.0
"""How long is waited for mail, unless told otherwise."""
_PAUSE = 0.01
_ANSWER_SECONDS = 60.0
"""For the server to say what is under way."""
_UNDER_WAY = (
    'merpati_queue_recipients{state="waiting"}',
    'merpati_queue_recipients{state="in_hand"}',
)


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """One message that the application sent."""

    id: str
    """What the server said behind `queued as`."""
    sender: str
    """Of the envelope (MAIL FROM); empty for `<>`."""
    recipients: tuple[str, ...]
    """Of the envelope (RCPT TO), blind copies among them."""
    source: bytes
    """The message with its trace field on top; lines end in LF."""
    headers: Headers
    """`headers.text("From")` is decoded, `headers.get("X-Mine")` as written."""
    parts: tuple[Part, ...]
    """Every entity, each container before its parts; the first one is the whole message."""

    @property
    def subject(self) -> str:
        """As a person reads it."""
        return self.headers.text("Subject")

    @property
    def text(self) -> str:
        """The first plain text that is no attachment; empty when there is none."""
        return self._first("text/plain")

    @property
    def html(self) -> str:
        """The first HTML that is no attachment; empty when there is none."""
        return self._first("text/html")

    @property
    def attachments(self) -> tuple[Part, ...]:
        """What has a file name: `attachment.filename`, `.media_type`, `.content`."""
        return tuple(part for part in self.parts if part.filename)

    def _first(self, media_type: str) -> str:
        shown = (part for part in self.parts if not part.is_container and not part.filename)
        found = (part.text for part in shown if part.media_type == media_type)
        return next(found, "").replace("\r\n", "\n")


class Inbox:
    """A running developer's inbox: point the application at `host` and `port`."""

    def __init__(self, port: int, http_port: int, data: Path) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.certificate = data / "tls" / "self-signed.pem"
        """What a client that insists on a valid certificate has to trust."""
        self._http_port = http_port
        self._new = data / "inbox" / "new"

    def messages(self) -> list[InboxMessage]:
        """What came since the test began, oldest first. What got its 250 is there."""
        self._wait_until_stored()
        return [_read(path) for path in self._paths()]

    def wait(self, count: int = 1, seconds: float = SECONDS) -> list[InboxMessage]:
        """Messages as soon as at least `count` came; AssertionError when the time is over.

        For applications that send in the background; otherwise `messages` is enough.
        """
        end = time.monotonic() + seconds
        while len(self._paths()) < count and time.monotonic() < end:
            time.sleep(_PAUSE)
        found = self.messages()
        subjects = [message.subject for message in found]
        assert len(found) >= count, f"{len(found)} of {count} messages came: {subjects}"
        return found

    def clear(self) -> None:
        """Forget what came."""
        self._wait_until_stored()
        for path in self._paths():
            path.unlink()

    def _paths(self) -> list[Path]:
        # Names begin with the time and the id, which is sortable: the order of acceptance.
        return sorted(self._new.iterdir()) if self._new.is_dir() else []

    def _wait_until_stored(self) -> None:
        """250 means stored in the queue; a moment later it is in the mailbox.

        Mail that asked to be held back (FUTURERELEASE) stays, so this does not wait for ever.
        """
        end = time.monotonic() + SECONDS
        while self._is_anything_under_way() and time.monotonic() < end:
            time.sleep(_PAUSE)

    def _is_anything_under_way(self) -> bool:
        door = HTTPConnection(self.host, self._http_port, timeout=_ANSWER_SECONDS)
        try:
            door.request("GET", "/metrics")
            page = door.getresponse().read().decode()
        finally:
            door.close()
        values = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith(_UNDER_WAY))
        return any(float(value) for _, value in values)


def _read(path: Path) -> InboxMessage:
    kept = path.read_bytes()
    envelope = list(_envelope(Headers.scan(kept)))
    source = kept[sum(len(field.raw) for field in envelope) :]
    return InboxMessage(
        id=path.name.split(".")[1].rpartition("N")[0],
        sender=envelope[0].value.strip("<>"),
        recipients=tuple(field.value for field in envelope[1:]),
        source=source,
        headers=Headers.scan(source),
        parts=tuple(read_parts(source)),
    )


def _envelope(headers: Headers) -> Iterator[Field]:
    """The fields that the inbox put on top; what is called so further down is the sender's own."""
    wanted = "X-Envelope-From"
    for field in headers.fields:
        if field.name != wanted:
            return
        wanted = "X-Envelope-To"
        yield field
