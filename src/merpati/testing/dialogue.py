"""Plays the client against a server's protocol core: whole, octet by octet, in random pieces."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from merpati.mail.trace import Tls
from merpati.smtp import events as happened
from merpati.smtp.replies import (
    AUTH_CANCELLED,
    CANNOT_VERIFY,
    CLOSING,
    NOT_IMPLEMENTED,
    OK,
    READY_FOR_TLS,
    RECIPIENT_OK,
    SENDER_OK,
    START_MAIL_INPUT,
    Reply,
)
from merpati.smtp.server import ServerConnection
from merpati.smtp.settings import ServerSettings

TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
SETTINGS = ServerSettings("mx.test", starttls=True, auth=("PLAIN", "LOGIN"))

Answers = Mapping[type[happened.Event], Reply | Sequence[Reply]]

_POSITIVE: Answers = {
    happened.Connected: Reply(220, "mx.test ESMTP"),
    happened.StartTls: READY_FOR_TLS,
    happened.MailFrom: SENDER_OK,
    happened.RcptTo: RECIPIENT_OK,
    happened.ContentStarted: START_MAIL_INPUT,
    happened.Verify: CANNOT_VERIFY,
    happened.Expand: NOT_IMPLEMENTED,
    happened.Help: Reply(214, "See the manual"),
    happened.Quit: CLOSING,
    happened.AuthStarted: Reply(334, ""),
    happened.AuthResponse: Reply(235, "Welcome"),
    happened.Xclient: Reply(220, "mx.test ESMTP"),
}


@dataclass(slots=True)
class Player:
    """A connection whose events are answered: yes, unless `answers` says otherwise."""

    connection: ServerConnection
    answers: Answers = field(default_factory=dict)
    events: list[happened.Event] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)

    def say(self, octets: bytes) -> bytes:
        """Hand octets over, answer all that they ask, and give back what is sent."""
        if octets:
            self.connection.receive(octets)
        while (event := self.connection.next_event()) is not None:
            self._answer(event)
        return self.connection.take()

    def _answer(self, event: happened.Event) -> None:
        if isinstance(event, happened.BodyOctets):
            self.content += event.octets
            self.connection.answer(None)
            return
        if isinstance(event, happened.ContentReceived):
            self.content += event.octets
        self.events.append(event)
        reply = self._reply_to(event)
        if isinstance(reply, Reply):
            self.connection.answer(reply)
        else:
            self.connection.answer_each(reply)
        if self.connection.wants_tls:
            self.connection.secured(TLS)

    def _reply_to(self, event: happened.Event) -> Reply | Sequence[Reply]:
        if isinstance(event, happened.Mistake):
            return event.reply
        if isinstance(event, happened.ContentReceived | happened.ChunkReceived) and event.flaw:
            self.content.clear()  # how much of it came before the flaw was seen says nothing
            return event.flaw
        if isinstance(event, happened.AuthResponse) and event.response is None:
            return AUTH_CANCELLED
        if type(event) in self.answers:
            return self.answers[type(event)]
        if isinstance(event, happened.Hello):
            return event.reply
        return _POSITIVE.get(type(event), OK)


def a_player(
    settings: ServerSettings = SETTINGS,
    answers: Answers | None = None,
    *,
    tls: Tls | None = None,
    xclient: bool = False,
    greeted: bool = True,
) -> Player:
    """A connection that was greeted, and unless told otherwise has said hello."""
    connection = ServerConnection(settings, tls, xclient=xclient)
    player = Player(connection, answers or {})
    player.say(b"")
    if greeted:
        lmtp = settings.protocol.value == "LMTP"
        player.say(b"LHLO client.test\r\n" if lmtp else b"EHLO client.test\r\n")
    player.events.clear()
    return player


def split(octets: bytes, way: str) -> Iterable[bytes]:
    """The same octets as they may arrive: `whole`, `bytes` or `random-N` with N as seed."""
    if way == "whole":
        yield octets
    elif way == "bytes":
        yield from (octets[n : n + 1] for n in range(len(octets)))
    else:
        chance = random.Random(way)  # noqa: S311 - reproducible pieces, no secret
        while octets:
            n = chance.randint(1, min(len(octets), 40))
            yield octets[:n]
            octets = octets[n:]


WAYS = ("whole", "bytes", "random-1", "random-2", "random-3")
