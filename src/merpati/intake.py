"""The one door into the queue: judge, expand aliases, stamp, store, journal, answer.

SMTP and LMTP sessions call `accept`, doors without a conversation (sendmail, HTTP) call `submit`,
notices of our own come in by `accept_notice`. One Intake serves one set of rules.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from merpati.clock import Clock
from merpati.directory.directory import Directory
from merpati.directory.errors import DirectoryError
from merpati.directory.expansion import Expansion, expand
from merpati.journal.events import MAX_TEXT, Accepted, Event, Noticed, Refused
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope
from merpati.mail.trace import Client, date_time, received
from merpati.mail.ulid import ENTROPY, ulid
from merpati.policy.judge import Judge
from merpati.policy.rule import Facts, Moment
from merpati.policy.verdict import Verdict
from merpati.queue.entry import Entry, Owed
from merpati.queue.queue import Draft, Queue
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status
from merpati.storage.errors import StorageError

MAX_HEADERS = 128 * 1024
"""Octets of a header section; a longer one is refused at every door."""

_FULL = Verdict(Reply(452, "No space left, try again later", Status(4, 3, 1)), "storage")
_BROKEN = Verdict(Reply(451, "Cannot store mail now, try again later", Status(4, 3, 0)), "storage")
_LOOP = Verdict(Reply(451, "Aliases here need repair", Status(4, 3, 5)), "directory")
_BARE = Verdict(Reply(554, "Lines must end in CRLF only", Status(5, 6, 0)), "line-endings")
_LONG = Verdict(Reply(552, "Header section too large", Status(5, 3, 4)), "headers")

# RFC 6409 §8: only a submission server may complete a message; a relay must not.
_COMPLETES = frozenset({"submission", "submissions", "local"})
_LOCAL = Client(ip="", role="local", protocol="")


@dataclass(frozen=True, slots=True)
class Settings:
    """What this host promises to the mail that it takes."""

    hostname: str
    max_age: float = 5 * 86400.0
    """Seconds that a message is tried for (RFC 5321 §4.5.4.1: at least 4 or 5 days)."""
    postmaster: Address | None = None
    """Where mail for the postmaster of any domain here goes when the domain names none."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """An id and the fields that go on top of the message that gets it."""

    id: str
    at: float
    octets: bytes


@dataclass(frozen=True, slots=True)
class Streamed:
    """Content that went into a draft as it came, behind the octets of its stamp."""

    draft: Draft
    stamp: Stamp
    eight_bit: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message: the answer, and the id if it was taken."""

    reply: Reply
    id: str = ""
    """Empty: refused, and nothing is kept."""
    close: bool = False
    """A rule asks to end the connection."""


class Intake:
    """Takes responsibility for messages, or says why not."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        journal: Journal,
        directory: Directory,
        judge: Judge,
        clock: Clock,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._journal = journal
        self._directory = directory
        self._judge = judge
        self._clock = clock
        self._entropy = entropy

    async def accept(self, facts: Facts, content: Body | Streamed) -> Receipt:
        """Judge and store. A positive reply means: on stable storage (promise 1).

        `facts` has the complete envelope, the header section and the size as it was received.
        A Body comes without a stamp and is stamped here; a draft stays its owner's to discard.
        """
        raise NotImplementedError

    async def submit(self, facts: Facts, envelope: Envelope, content: Body) -> Receipt:
        """Accept from a door without a conversation: sender and recipients are judged here too.

        All or nothing: the first refusal of anything is the answer.
        """
        raise NotImplementedError

    async def accept_notice(
        self, envelope: Envelope, content: Body, answers: Sequence[Owed]
    ) -> str:
        """Store a notice of our own and clear the debts that it answers, in one transaction.

        It is not judged and is never answered with another. Journals Noticed for each debt and
        returns the id. Raises StorageError; then nothing was stored and nothing cleared.
        """
        raise NotImplementedError

    def stamp(self, facts: Facts) -> Stamp:
        """The stamp for a message that is about to be streamed; its header section is known."""
        raise NotImplementedError
