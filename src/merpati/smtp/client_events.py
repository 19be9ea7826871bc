"""What a client connection tells its owner."""

from dataclasses import dataclass, field

from merpati.smtp.answers import Answer, Nonsense
from merpati.smtp.capabilities import Capabilities
from merpati.smtp.client_states import Command
from merpati.smtp.outgoing import Outgoing

# What servers say that lost the thread of a pipeline; also 5.5.1 with any code (RFC 3463 §3.6).
_OUT_OF_ORDER = {500, 502, 503}


@dataclass(slots=True, eq=False)
class Mailing:
    """One transaction as far as it has come. Its connection writes it, everyone else reads."""

    outgoing: Outgoing
    pipelined: bool
    chunked: bool
    """The content goes by BDAT."""
    commands: list[bytes] = field(default_factory=list)
    """MAIL, then each RCPT, as they are sent."""
    reset: Answer | None = None
    mail: Answer | None = None
    rcpts: list[Answer] = field(default_factory=list)
    data: Answer | None = None
    verdicts: list[Answer] = field(default_factory=list)
    """One for all accepted recipients; in LMTP one for each (RFC 2033 §4.2)."""
    owed: int = 0
    """Replies of the envelope that have not come."""
    begun: bool = False
    """Some of its content was handed out to be sent."""
    finished: bool = False
    """The final octets were handed out to be sent."""

    @property
    def accepted(self) -> list[int]:
        """Which recipients were accepted, as indices. None are when MAIL or RSET was refused."""
        if self.refusal_of_all is not None:
            return []
        return [n for n, answer in enumerate(self.rcpts) if answer.code < 300]

    @property
    def refusal_of_all(self) -> tuple[Command, Answer] | None:
        """RSET or MAIL refused: nobody is accepted, whatever was said behind it."""
        if self.reset is not None and self.reset.code >= 400:
            return Command.RSET, self.reset
        if self.mail is not None and self.mail.code >= 400:
            return Command.MAIL, self.mail
        return None

    @property
    def wants_body(self) -> bool:
        """Somebody was accepted and, behind DATA, the server waits for content."""
        if not self.chunked and (self.data is None or self.data.code >= 400):
            return False
        return bool(self.accepted)

    @property
    def first_refusal(self) -> tuple[Command, Answer] | None:
        """What the envelope failed at: all refusals behind it are its echo. None: it stands.

        Recipients are only the reason when all were refused.
        """
        refusal = self.refusal_of_all
        if refusal is not None:
            return refusal
        if self.rcpts and not self.accepted:
            return Command.RCPT, self.rcpts[0]
        if self.data is not None and not self.data.is_positive:
            return Command.DATA, self.data
        return None

    def is_void(self, answer: Answer) -> bool:
        """Whether a refusal speaks of the pipeline, not of the mail: never a verdict."""
        if not self.pipelined:
            return False
        status = answer.status
        return answer.code in _OUT_OF_ORDER or (
            status is not None and (status.severity, status.subject, status.detail) == (5, 5, 1)
        )


@dataclass(frozen=True, slots=True)
class Greeted:
    """The greeting came; a refusal when it is not positive."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class HelloAnswered:
    """EHLO, LHLO or HELO was answered."""

    answer: Answer
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class TlsAnswered:
    """STARTTLS was answered. After a 220: do the handshake, then call `secured`."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class LoginAnswered:
    """AUTH came to its end."""

    answer: Answer
    error: str = ""
    """Why the server is not trusted, whatever it answered; then do not go on."""


@dataclass(frozen=True, slots=True)
class EnvelopeAnswered:
    """Every reply of an envelope is in."""

    mailing: Mailing


@dataclass(frozen=True, slots=True)
class VerdictGiven:
    """The content was answered; see `mailing.verdicts`."""

    mailing: Mailing


@dataclass(frozen=True, slots=True)
class ShutDown:
    """421 (RFC 5321 §3.8): what is still owed never comes."""

    answer: Answer
    command: Command | None
    """What it answered; None: it came unasked."""
    mailing: Mailing | None


@dataclass(frozen=True, slots=True)
class QuitAnswered:
    """QUIT was answered: close."""

    answer: Answer


ClientEvent = (
    Greeted
    | HelloAnswered
    | TlsAnswered
    | LoginAnswered
    | EnvelopeAnswered
    | VerdictGiven
    | ShutDown
    | QuitAnswered
    | Nonsense
)
