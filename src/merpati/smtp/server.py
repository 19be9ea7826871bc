"""The server's side of a connection, SMTP or LMTP. No I/O: octets in, events out, replies back."""

from collections.abc import Sequence

from merpati.mail.trace import Tls
from merpati.smtp.events import Event
from merpati.smtp.replies import Reply
from merpati.smtp.settings import ServerSettings


class ServerConnection:
    """Octets in, one event at a time out, an answer to each, replies to send.

    The first event is `Connected`, before any octet. `None` from `next_event` means that more
    octets are needed: send what `take` gives, then read, then `receive`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        tls: Tls | None = None,
        *,
        xclient: bool = False,
        now: float = 0.0,
    ) -> None:
        """`tls` for implicit TLS. `xclient`: the peer is listed for it.

        `now`, seconds since 1970 UTC, is said by FUTURERELEASE, which promises a latest date.
        """
        raise NotImplementedError

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in what arrived. b"" is the peer's end: what is complete is still served."""
        raise NotImplementedError

    def next_event(self) -> Event | None:
        """The next thing to answer. None: more octets are needed, or the connection `is_closed`."""
        raise NotImplementedError

    def answer(self, reply: Reply | None) -> None:
        """Answer the event; the only place where the state moves. None for BodyOctets alone.

        421 to anything closes the connection after it. When the peer spoke where it had to wait,
        the answer is not sent: a fatal Mistake is the next event instead.
        """
        raise NotImplementedError

    def answer_each(self, replies: Sequence[Reply]) -> None:
        """LMTP: answer ContentReceived with a reply for each accepted recipient, in RCPT order."""
        raise NotImplementedError

    def take(self) -> bytes:
        """Replies that are to be sent now, all of a pipelined group at once. They are gone then."""
        raise NotImplementedError

    def secured(self, tls: Tls) -> None:
        """The handshake after STARTTLS is done: all that was known of the client is forgotten."""
        raise NotImplementedError

    def close(self, reply: Reply | None = None) -> None:
        """End the session out of turn (time-out, shutdown), also with an event unanswered."""
        raise NotImplementedError

    @property
    def wants_tls(self) -> bool:
        """STARTTLS was answered with 220: send `take()`, do the handshake, call `secured`."""
        raise NotImplementedError

    @property
    def is_closed(self) -> bool:
        """Send what `take` gives, then close."""
        raise NotImplementedError

    @property
    def is_authenticated(self) -> bool:
        """AUTH was answered with 235."""
        raise NotImplementedError

    @property
    def in_transaction(self) -> bool:
        """Between a MAIL that was taken and the end of its transaction."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Octets received and not yet understood."""
        raise NotImplementedError
