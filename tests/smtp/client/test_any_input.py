"""Any octets from the server, at any time: only what is documented, and the books stay right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merpati.smtp.answers import Nonsense
from merpati.smtp.client import ClientConnection, ClientSettings
from merpati.smtp.client_events import (
    EnvelopeAnswered,
    Greeted,
    HelloAnswered,
    LoginAnswered,
    Mailing,
    QuitAnswered,
    ShutDown,
    TlsAnswered,
    VerdictGiven,
)
from merpati.smtp.client_states import Phase
from merpati.smtp.rung import Rung
from merpati.smtp.sasl.passwords import LoginClient
from merpati.testing.caller import BODY, an_outgoing, hello_reply

LINES = [
    b"220 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"334 \r\n",
    b"235 in\r\n", b"421 bye\r\n", b"450 4.2.0 later\r\n", b"550 5.1.1 no\r\n", b"503 order\r\n",
    b"250-more\r\n", b"oops\r\n", b"250", b"\r\n", b"221 bye\r\n",
    hello_reply(["PIPELINING", "CHUNKING", "AUTH LOGIN", "STARTTLS"]), hello_reply(["PIPELINING"]),
]  # fmt: skip
HEARD = st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=12)), max_size=30)
CHOICES = st.lists(st.integers(0, 5), max_size=30)


class Owner:
    """Does whatever may be done next; which of it, its choices say."""

    def __init__(self, client: ClientConnection, choices: list[int]) -> None:
        self.client = client
        self.choices = choices
        self.mailings: list[Mailing] = []
        self.answered: list[Mailing] = []
        self.judged: list[Mailing] = []

    def hear(self, octets: bytes) -> None:
        self.client.receive(octets)
        while (event := self.client.next_event()) is not None:
            self.take(event)
            self.check()
        self.client.take()

    def take(self, event: object) -> None:
        match event:
            case Greeted() | TlsAnswered() if self.client.phase is Phase.GREETED:
                self.client.hello()
            case TlsAnswered() if self.client.phase is Phase.SECURING:
                # Octets that stand behind are Nonsense before this event is ever seen.
                self.client.secured()
                self.client.hello()
            case HelloAnswered() if self.client.phase is Phase.GREETED:
                self.client.hello()
            case HelloAnswered() | LoginAnswered() | TlsAnswered():
                self.act()
            case EnvelopeAnswered(mailing):
                self.answered.append(mailing)
                self.after_envelope(mailing)
            case VerdictGiven(mailing):
                self.judged.append(mailing)
                if self.client.phase is Phase.READY:
                    self.act()
            case Nonsense() | ShutDown() | QuitAnswered():
                assert self.client.phase is Phase.OVER

    def act(self) -> None:
        choice = self.choices.pop() if self.choices else 0
        if choice == 1 and self.client.capabilities.offers("STARTTLS"):
            self.client.start_tls()
        elif choice == 2 and self.client.capabilities.mechanisms:
            self.client.log_in(LoginClient("ann", "pencil"))
        elif choice == 3:
            self.client.quit()
        else:
            self.client.rung = Rung(min(3, choice)) if choice else self.client.rung
            self.begin()

    def begin(self) -> None:
        to = ["a@b.test", "b@b.test", "c@b.test"][: len(self.choices) % 3 + 1]
        self.mailings.append(self.client.begin(an_outgoing(*to)))

    def after_envelope(self, mailing: Mailing) -> None:
        if not mailing.wants_body:
            self.act()
            return
        self.client.write_body(BODY)
        self.client.finish_body()
        if self.client.may_look_ahead and len(self.choices) % 2:
            self.begin()

    def check(self) -> None:
        assert self.answered == self.mailings[: len(self.answered)]
        for mailing in self.mailings:
            recipients = len(mailing.outgoing.recipients)
            assert len(mailing.rcpts) <= recipients
            assert set(mailing.accepted) <= set(range(recipients))
            assert mailing.owed >= 0
            assert not mailing.finished or (mailing in self.answered and mailing.accepted)
            assert len(mailing.verdicts) <= max(1, len(mailing.accepted))
            assert not mailing.verdicts or mailing.finished
        for mailing in self.judged:
            assert mailing.verdicts


@pytest.mark.slow
@settings(max_examples=4 * settings.default.max_examples)
@given(HEARD, CHOICES, st.sampled_from(Rung), st.booleans())
def test_nothing_a_server_sends_breaks_the_client(
    heard: list[bytes], choices: list[int], rung: Rung, lmtp: bool
) -> None:
    owner = Owner(ClientConnection(ClientSettings("us.test", lmtp), rung), choices)
    owner.hear(b"220 mx\r\n")
    owner.hear(hello_reply(["PIPELINING", "CHUNKING", "AUTH LOGIN", "STARTTLS"]))
    for octets in heard:
        owner.hear(octets)


@given(HEARD, CHOICES)
def test_nor_before_it_said_hello(heard: list[bytes], choices: list[int]) -> None:
    owner = Owner(ClientConnection(ClientSettings("us.test")), choices)
    for octets in heard:
        owner.hear(octets)
