"""What an operator's program asks and what it is told: the JSON of the control socket.

Times are UTC, written as ISO 8601. Unknown keys are refused, so that a misspelt filter never
becomes "everything".
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from merpati.certificates.reason import Reason
from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.complaint import Complaint
from merpati.feedback.received import Unreadable
from merpati.feedback.sums import Alignment, Sessions, Source
from merpati.feedback.tls import TlsReport
from merpati.journal.events import Event
from merpati.report.waiting import Waits

MAX_LISTED = 10_000
"""Lines in one answer; more are asked for with `after`."""
LONGEST_HOLD = 365 * 86400.0
"""Seconds that a site may be suspended for."""
MOST_A_DAY = 1_000_000_000
"""As far as a quota goes that is one."""

Text = Annotated[str, Meta(max_length=1000)]
DkimKind = Literal["rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]
"""Keys that can be made."""


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked."""


class Answer(Struct, frozen=True, kw_only=True):
    """What is told."""


class Nothing(Question, frozen=True):
    """A question without a detail."""


class Done(Answer, frozen=True):
    """It was done."""

    changed: int = 1


class Filter(Question, frozen=True):
    """Which recipients in the queue; every field that is given must match."""

    ids: tuple[Text, ...] = ()
    domain: Text = ""
    sender: Text = ""
    recipient: Text = ""
    state: Literal["", "waiting", "in-hand", "held"] = ""
    older: Annotated[float, Meta(ge=0)] | None = None
    """Received at least so many seconds ago."""


class SendReports(Question, frozen=True):
    """Reports to other domains, before their time."""

    day: Annotated[str, Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    """Of this day and those before, in UTC; else of yesterday."""
    only_gather: bool = False
    """Write down what was counted until now, and send nothing yet."""


class ListQueue(Question, frozen=True):
    """One line a recipient, oldest first."""

    filter: Filter = Filter()
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 1000
    after: tuple[Text, int] | None = None
    """Continue behind this line: its `id` and `n`."""


class QueueLine(Answer, frozen=True):
    """One unfinished recipient."""

    id: str
    n: int
    sender: str
    recipient: str
    state: str
    received: datetime
    due: datetime
    expires: datetime
    size: int
    attempts: int
    reply: str
    route: str
    site: str
    site_held_until: datetime | None
    site_why: str


class AlterQueue(Question, frozen=True):
    """Do something to what a filter selects."""

    filter: Filter
    action: Literal["hold", "release", "retry", "cancel", "reroute"]
    route: Text = ""
    everything: bool = False
    """Must be true when the filter is empty: nobody cancels a whole queue by a slip."""


class ReadMessage(Question, frozen=True):
    """The beginning of a queued message's content."""

    id: Text
    octets: Annotated[int, Meta(ge=0, le=1024 * 1024)] = 64 * 1024


class Content(Answer, frozen=True):
    """Octets of a message as they are kept."""

    octets: bytes
    complete: bool


class HoldSite(Question, frozen=True):
    """Send nothing to a site for so long; 0 resumes it now and makes due what waits there."""

    site: Text
    """A site's name, a domain, or a route as in merpati.toml."""
    seconds: Annotated[float, Meta(ge=0, le=LONGEST_HOLD)]
    why: Text = ""


class SitesChanged(Answer, frozen=True):
    """What was suspended or resumed."""

    sites: tuple[str, ...]
    domains: tuple[str, ...]
    """Those whose mail goes there so far."""
    changed: int = 0
    """Recipients that a resume made due."""


class HeldSite(Answer, frozen=True):
    """A site on hold."""

    site: str
    until: datetime
    why: str


class HeldSender(Answer, frozen=True):
    """A sender whose mail waits for a site that refused it several times."""

    sender: str
    """A login, or the domain of the sender."""
    site: str
    until: datetime
    why: str


class SuspendedUser(Answer, frozen=True):
    """An account that may not send."""

    address: str
    since: datetime
    why: str


class AskStory(Question, frozen=True):
    """The story of a message (`id`), or of the newest messages of an address or `@domain`."""

    id: Text = ""
    address: Text = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 20


class Story(Answer, frozen=True):
    """Everything that happened to one message, in order."""

    message: str
    events: list[Event]
    waiting: list[Waits] = []
    """Its recipients that are still in the queue."""


class Named(Question, frozen=True):
    """A domain or an address."""

    name: Text


class Revocation(Question, frozen=True):
    """A certificate that is not to be believed any more."""

    name: Text
    reason: Reason = Reason.UNSPECIFIED


class CaAccount(Question, frozen=True):
    """What becomes of our account at the CA: another key, or its end."""

    close: bool = False


class Within(Question, frozen=True):
    """Those of one domain, or all."""

    domain: Text = ""


class NewUser(Question, frozen=True):
    """A person or program with a mailbox and a login."""

    address: Text
    password: Text = ""
    elsewhere: bool = False
    """There is no password here: others know it, or issue tokens or certificates."""


class NewPassword(Question, frozen=True):
    """Replace the own password, or add that of a program."""

    address: Text
    password: Text
    program: Text = ""
    replace: bool = False
    """The program may have one already, which ends."""


class Program(Question, frozen=True):
    """An app password by the program's name."""

    address: Text
    program: Text


class Suspension(Question, frozen=True):
    """A suspended user keeps receiving and cannot log in; what waits of them is held."""

    address: Text
    suspended: bool
    reason: Annotated[str, Meta(max_length=200)] = ""


class NewQuotas(Question, frozen=True):
    """What an account may send in a day; null: as is usual here, 0: any number."""

    address: Text
    messages: Annotated[int, Meta(ge=0, le=MOST_A_DAY)] | None = None
    recipients: Annotated[int, Meta(ge=0, le=MOST_A_DAY)] | None = None
    new_recipients: Annotated[int, Meta(ge=0, le=MOST_A_DAY)] | None = None


class SenderOf(Question, frozen=True):
    """What a user may send as beside its own: an address, or `@domain` for all of one."""

    address: Text
    sender: Text


class NewDkimKey(Question, frozen=True):
    """A key that is to sign for a domain, made here or brought along."""

    domain: Text
    selector: Text = ""
    """Empty: by the month and the algorithm."""
    kind: DkimKind = "rsa-2048"
    pem: Annotated[str, Meta(max_length=10_000)] = ""
    """A private key from elsewhere; `kind` is then of no account."""


class DkimKeyOf(Question, frozen=True):
    """One key."""

    domain: Text
    selector: Text
    force: bool = False
    """To remove it even if mail that it signed may still be on its way."""


class DkimKeyLine(Answer, frozen=True):
    """A key that signs, did or will."""

    domain: str
    selector: str
    kind: str
    state: Literal["next", "active", "retired"]
    since: datetime
    name: str
    """Where its record belongs."""
    record: str
    """What its TXT record says."""
    removable: datetime | None
    """When nobody needs it any more; none while it signs."""


class DkimSecret(Answer, frozen=True):
    """A private key."""

    pem: str


class NewStampKey(Question, frozen=True):
    """A key for the stamps of senders that are rewritten from now on."""

    forget: bool = False
    """All earlier ones, so that what they stamped is void."""


class StampKeyLine(Answer, frozen=True):
    """A key for stamps, without itself."""

    number: int
    stamps: bool
    """Whether it makes stamps; the others only recognise theirs."""
    since: datetime
    until: datetime
    """When another one takes over, or did."""
    known_until: datetime


class Original(Answer, frozen=True):
    """Whose sender was rewritten."""

    address: str


class NewAlias(Question, frozen=True):
    """An address that leads to others; `*@domain` is the catch-all."""

    alias: Text
    targets: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=1000)]


class UserLine(Answer, frozen=True):
    """A user."""

    address: str
    suspended: bool
    """Cannot log in."""
    may_send: bool = True
    since: datetime | None = None
    why: str = ""
    """Of a suspension."""
    messages: int | None = None
    recipients: int | None = None
    new_recipients: int | None = None
    """Quotas of its own."""


class UserShown(Answer, frozen=True):
    """One user, with what was sent today (UTC) and what may be sent as."""

    user: UserLine
    messages: int
    recipients: int
    new_recipients: int
    senders: tuple[str, ...]


class PasswordLine(Answer, frozen=True):
    """An app password, without the password."""

    program: str
    last_used: datetime | None


class AliasLine(Answer, frozen=True):
    """An alias."""

    alias: str
    targets: tuple[str, ...]


class Submission(Question, frozen=True):
    """A message from a program on this machine."""

    sender: Text
    """Empty for the null sender."""
    recipients: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10_000)]
    content: bytes
    """Lines end in CRLF."""
    notify: tuple[Literal["success", "failure", "delay"], ...] | None = None
    """When to send a notice; None as is usual, an empty list never."""
    envelope_id: Text = ""
    returned: Literal["", "full", "headers"] = ""


class Queued(Answer, frozen=True):
    """A message was taken, or the reply says why not."""

    id: str
    code: int
    reply: str


class Reload(Question, frozen=True):
    """Read the configuration again."""

    only_look: bool = False
    """Say what is wrong with it, and change nothing."""


class Health(Answer, frozen=True):
    """Whether mail can be stored."""

    trouble: str
    """What keeps it from being; empty for nothing."""
    stopping: bool = False
    """Whether only that: this worker ends, in order."""
    notices: tuple[str, ...] = ()
    """As in `Status`."""


class WorkerLine(Answer, frozen=True):
    """A worker and the file of queue and journal that it works on."""

    shard: int
    running: bool
    pid: int = 0
    started: datetime | None = None
    connections: dict[str, int] = {}
    """Open ones by port role."""
    queue: dict[str, int] = {}
    in_memory: int = 0
    """Octets of bodies that are being delivered from memory."""


class RollLine(Answer, frozen=True):
    """A change of a certificate's key on its way."""

    since: datetime
    records: tuple[str, ...]
    """TLSA records of the new key, as lines of a zone file."""
    seen: datetime | None = None
    """When they were first seen in the DNS."""
    safe: datetime | None = None
    """When everybody knows them, and the key is taken into use."""
    switched: datetime | None = None
    """When it was."""
    trouble: str = ""
    """What has to be done before it goes on."""
    hurried: bool = False
    """The old key is known to others: nothing is waited for."""


class CertificateLine(Answer, frozen=True):
    """A certificate that is shown, or is to be."""

    name: str
    names: tuple[str, ...]
    origin: Literal["file", "ca", "self-signed"]
    file: str
    begins: datetime | None = None
    ends: datetime | None = None
    """Both none where there is none yet."""
    renewal: datetime | None = None
    """When the CA is asked for the next one."""
    issued: datetime | None = None
    failures: int = 0
    """Attempts in a row that brought none."""
    trouble: str = ""
    suggested: bool = False
    """Whether the CA said when it would like that."""
    records: tuple[str, ...] = ()
    """TLSA records of its key, as lines of a zone file."""
    rolling: RollLine | None = None


class TlsaLine(Answer, frozen=True):
    """A TLSA record that stands in the DNS."""

    record: str
    """As a line of a zone file."""
    of: Literal["key", "certificate", "authority", "next-key", "other", "unmade", "void"]
    """What it is of: the key in use; the certificate, so that it is wrong after its renewal; one
    above that; the key that is to follow; others; a form that we cannot make, which may hide ours;
    one that nobody goes by in SMTP."""


class HostTlsa(Answer, frozen=True):
    """The TLSA records of one host of a certificate, and those that it should have."""

    host: str
    found: tuple[TlsaLine, ...] = ()
    secure: bool = False
    """Whether DNSSEC proves what was found, by a resolver that we believe."""
    missing: tuple[str, ...] = ()
    """What has to be published for the key in use, in the forms that stand there; the usual one
    where nothing does."""
    coming: tuple[str, ...] = ()
    """The same for the key that is to follow, whether it stands there or not."""
    trouble: str = ""
    """Why nobody can say what stands there."""


class CertificateDetail(CertificateLine, frozen=True):
    """A certificate, and what the DNS has of it."""

    hosts: tuple[HostTlsa, ...] = ()


class Status(Answer, frozen=True):
    """How the server is."""

    running: bool
    version: str
    pid: int
    started: datetime | None
    data: str
    config: str
    ports: tuple[str, ...]
    queue: dict[str, int]
    held_sites: int
    held_senders: tuple[HeldSender, ...] = ()
    suspended: tuple[SuspendedUser, ...] = ()
    """Accounts that may not send."""
    trouble: str = ""
    """Why no mail is taken; empty: it is."""
    limits: dict[str, int] = {}
    """How often each limit turned somebody away since the start."""
    certificates: tuple[CertificateLine, ...] = ()
    """Those that somebody should look at."""
    notices: tuple[str, ...] = ()
    """What keeps no mail from going, and somebody should look at some day."""
    workers: tuple[WorkerLine, ...] = ()


class ListReports(Question, frozen=True):
    """What others reported lately."""

    domain: Text = ""
    seconds: Annotated[float, Meta(ge=0)] = 30 * 86400.0
    """How far back."""
    kind: Literal["", "dmarc", "tls", "complaint", "unreadable"] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 1000


class ReportOrigin(Answer, frozen=True):
    """How a report came."""

    id: str
    """Also of the message that brought it."""
    at: datetime
    author: str
    """The domain of From."""
    proof: str
    """passed, failed, unknown: whether the mail was proven to be of its author."""
    evidence: str


class ReportLine(Answer, frozen=True):
    """One report."""

    kind: str
    origin: ReportOrigin
    domain: str
    organization: str
    report_id: str
    begin: datetime
    end: datetime
    total: int
    failed: int
    why: str


class ReadReport(Question, frozen=True):
    """A whole report."""

    id: Text
    rows: Annotated[int, Meta(ge=0, le=50_000)] = 1000


class ReportShown(Answer, frozen=True):
    """One of the four is there."""

    origin: ReportOrigin
    left_out: int
    """Rows that were not asked for."""
    dmarc: AggregateReport | None = None
    tls: TlsReport | None = None
    complaint: Complaint | None = None
    unreadable: Unreadable | None = None


class SumReports(Question, frozen=True):
    """What reports say together, of one domain or all."""

    domain: Text = ""
    seconds: Annotated[float, Meta(ge=0)] = 30 * 86400.0


class ReportSummary(Answer, frozen=True):
    """Of one domain. Reports that prove nothing are counted in `dmarc.unproven` alone."""

    domain: str
    since: datetime
    policy: str
    """Of DMARC, as the newest report has it."""
    dmarc: Alignment
    complaints: int
    """Messages that somebody complained of, or whose authentication failed."""
    sources: tuple[Source, ...]
    tls: tuple[Sessions, ...]
