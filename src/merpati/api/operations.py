"""The one table of what can be asked: name, question, answer, and the method that answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from merpati.api import questions as ask
from merpati.api import spreading
from merpati.api.office import Office
from merpati.api.spreading import Spread, all_who_know, any_one, every
from merpati.report.metrics import Series

Q = TypeVar("Q", bound=ask.Question)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Operation(Generic[Q, A]):
    """One operation; `POST /v1/{name}` with the question as JSON."""

    name: str
    question: type[Q]
    answer: Any
    """The type that an answer is decoded to: a class or `list[...]`, which `type[A]` excludes."""
    perform: Callable[[Office, Q], Awaitable[A]]
    """What one shard does."""
    spread: Spread = any_one
    """Which shards of a node do it, and what their answers are together."""
    max_octets: int = 1024 * 1024
    """The longest question."""


class Counter(Protocol):
    """Where questions are put: an office in this process, or a server's over its socket."""

    async def ask(self, operation: Operation[Q, A], question: Q) -> A:
        """The answer; ApiError or another MerpatiError when there is none."""
        ...


# The largest message is bounded by the queue's own limit; in JSON it is longer by a third.
_SUBMISSION_OCTETS = 150 * 1024 * 1024

QUEUE_LIST = Operation(
    "queue/list",
    ask.ListQueue,
    list[ask.QueueLine],
    lambda office, q: office.queue.lines(q),
    every(spreading.lines),
)
QUEUE_ALTER = Operation(
    "queue/alter",
    ask.AlterQueue,
    ask.Done,
    lambda office, q: office.queue.alter(q),
    every(spreading.changed),
)
QUEUE_READ = Operation(
    "queue/read",
    ask.ReadMessage,
    ask.Content,
    lambda office, q: office.queue.read(q),
    spreading.who_knows,
)
SITES_HOLD = Operation(
    "sites/hold",
    ask.HoldSite,
    ask.SitesChanged,
    lambda office, q: office.sites.hold(q),
    all_who_know(spreading.sites_changed),
)
SITES_HELD = Operation(
    "sites/held",
    ask.Nothing,
    list[ask.HeldSite],
    lambda office, q: office.sites.held(q),
    every(spreading.held),
)
STORY = Operation(
    "story",
    ask.AskStory,
    list[ask.Story],
    lambda office, q: office.journal.story(q),
    spreading.story,
)
REFUSED = Operation(
    "refused",
    ask.AskStory,
    ask.Story,
    lambda office, q: office.journal.refused(q),
    every(spreading.refused),
)
REFRESH = Operation(
    "directory/refresh",
    ask.Nothing,
    ask.Done,
    lambda office, q: office.refresh(q),
    every(spreading.changed),
)
_CHANGE = spreading.change_of_directory(REFRESH)
DOMAINS = Operation(
    "domains/list", ask.Nothing, list[str], lambda office, q: office.directory.domains(q)
)
DOMAINS_ADD = Operation(
    "domains/add", ask.Named, ask.Done, lambda office, q: office.directory.add_domain(q), _CHANGE
)
DOMAINS_REMOVE = Operation(
    "domains/remove",
    ask.Named,
    ask.Done,
    lambda office, q: office.directory.remove_domain(q),
    _CHANGE,
)
USERS = Operation(
    "users/list", ask.Within, list[ask.UserLine], lambda office, q: office.directory.users(q)
)
USERS_ADD = Operation(
    "users/add", ask.NewUser, ask.Done, lambda office, q: office.directory.add_user(q), _CHANGE
)
USERS_REMOVE = Operation(
    "users/remove", ask.Named, ask.Done, lambda office, q: office.directory.remove_user(q), _CHANGE
)
USERS_SUSPEND = Operation(
    "users/suspend",
    ask.Suspension,
    ask.Done,
    lambda office, q: office.directory.suspend(q),
    _CHANGE,
)
USERS_SHOW = Operation(
    "users/show", ask.Named, ask.UserShown, lambda office, q: office.directory.user(q)
)
QUOTAS_SET = Operation(
    "quotas/set",
    ask.NewQuotas,
    ask.Done,
    lambda office, q: office.directory.set_quotas(q),
    _CHANGE,
)
SENDERS_GRANT = Operation(
    "senders/grant",
    ask.SenderOf,
    ask.Done,
    lambda office, q: office.directory.grant(q),
    _CHANGE,
)
SENDERS_REVOKE = Operation(
    "senders/revoke",
    ask.SenderOf,
    ask.Done,
    lambda office, q: office.directory.ungrant(q),
    _CHANGE,
)
PASSWORDS = Operation(
    "passwords/list",
    ask.Named,
    list[ask.PasswordLine],
    lambda office, q: office.directory.passwords(q),
)
PASSWORDS_SET = Operation(
    "passwords/set",
    ask.NewPassword,
    ask.Done,
    lambda office, q: office.directory.set_password(q),
    _CHANGE,
)
PASSWORDS_REVOKE = Operation(
    "passwords/revoke",
    ask.Program,
    ask.Done,
    lambda office, q: office.directory.revoke_password(q),
    _CHANGE,
)
ALIASES = Operation(
    "aliases/list", ask.Within, list[ask.AliasLine], lambda office, q: office.directory.aliases(q)
)
ALIASES_ADD = Operation(
    "aliases/add", ask.NewAlias, ask.Done, lambda office, q: office.directory.add_alias(q), _CHANGE
)
ALIASES_REMOVE = Operation(
    "aliases/remove",
    ask.Named,
    ask.Done,
    lambda office, q: office.directory.remove_alias(q),
    _CHANGE,
)
DKIM = Operation(
    "dkim/list", ask.Within, list[ask.DkimKeyLine], lambda office, q: office.dkim.keys(q)
)
DKIM_ADD = Operation(
    "dkim/add", ask.NewDkimKey, ask.DkimKeyLine, lambda office, q: office.dkim.add(q), _CHANGE
)
DKIM_ROTATE = Operation(
    "dkim/rotate",
    ask.Named,
    list[ask.DkimKeyLine],
    lambda office, q: office.dkim.rotate(q),
    _CHANGE,
)
DKIM_EXPORT = Operation(
    "dkim/export", ask.DkimKeyOf, ask.DkimSecret, lambda office, q: office.dkim.export(q)
)
DKIM_REMOVE = Operation(
    "dkim/remove", ask.DkimKeyOf, ask.Done, lambda office, q: office.dkim.remove(q), _CHANGE
)
REPORTS = Operation(
    "reports/list",
    ask.ListReports,
    list[ask.ReportLine],
    lambda office, q: office.reports.lines(q),
)
REPORTS_SHOW = Operation(
    "reports/show", ask.ReadReport, ask.ReportShown, lambda office, q: office.reports.show(q)
)
REPORTS_SUMMARY = Operation(
    "reports/summary",
    ask.SumReports,
    list[ask.ReportSummary],
    lambda office, q: office.reports.summary(q),
)
SRS = Operation(
    "srs/list", ask.Nothing, list[ask.StampKeyLine], lambda office, q: office.srs.keys(q)
)
SRS_ROTATE = Operation(
    "srs/rotate", ask.NewStampKey, list[ask.StampKeyLine], lambda office, q: office.srs.rotate(q)
)
SRS_ORIGINAL = Operation(
    "srs/original", ask.Named, ask.Original, lambda office, q: office.srs.original(q)
)
CERTIFICATES = Operation(
    "certificates/list",
    ask.Nothing,
    list[ask.CertificateLine],
    lambda office, q: office.certificates.certificates(q),
)
CERTIFICATES_SHOW = Operation(
    "certificates/show",
    ask.Named,
    ask.CertificateDetail,
    lambda office, q: office.certificates.show(q),
)
CERTIFICATES_RENEW = Operation(
    "certificates/renew",
    ask.Named,
    ask.CertificateLine,
    lambda office, q: office.certificates.renew(q),
)
CERTIFICATES_ROLL = Operation(
    "certificates/roll",
    ask.Named,
    ask.CertificateLine,
    lambda office, q: office.certificates.roll(q),
)
CERTIFICATES_REVOKE = Operation(
    "certificates/revoke",
    ask.Revocation,
    ask.CertificateLine,
    lambda office, q: office.certificates.revoke(q),
)
CERTIFICATES_ACCOUNT = Operation(
    "certificates/account",
    ask.CaAccount,
    ask.Done,
    lambda office, q: office.certificates.account(q),
)
SUBMIT = Operation(
    "submit",
    ask.Submission,
    ask.Queued,
    lambda office, q: office.doors.submit(q),
    max_octets=_SUBMISSION_OCTETS,
)
STATUS = Operation(
    "status",
    ask.Nothing,
    ask.Status,
    lambda office, q: office.doors.status(q),
    spreading.status(SITES_HELD),
)
HEALTH = Operation(
    "health",
    ask.Nothing,
    ask.Health,
    lambda office, q: office.doors.health(q),
    spreading.first_trouble,
)
METRICS = Operation(
    "metrics",
    ask.Nothing,
    list[Series],
    lambda office, q: office.doors.metrics(q),
    spreading.metrics,
)
REPORTS_SEND = Operation(
    "reports/send",
    ask.SendReports,
    ask.Done,
    lambda office, q: office.doors.send_reports(q),
    spreading.send_reports,
)
RELOAD = Operation(
    "reload", ask.Reload, ask.Done, lambda office, q: office.doors.reload(q), spreading.reload
)
RESTART = Operation("restart", ask.Nothing, ask.Done, lambda office, q: office.doors.restart(q))
STOP = Operation("stop", ask.Nothing, ask.Done, lambda office, q: office.doors.stop(q))

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    QUEUE_LIST,
    QUEUE_ALTER,
    QUEUE_READ,
    SITES_HOLD,
    SITES_HELD,
    STORY,
    REFUSED,
    REFRESH,
    DOMAINS,
    DOMAINS_ADD,
    DOMAINS_REMOVE,
    USERS,
    USERS_ADD,
    USERS_REMOVE,
    USERS_SUSPEND,
    USERS_SHOW,
    QUOTAS_SET,
    SENDERS_GRANT,
    SENDERS_REVOKE,
    PASSWORDS,
    PASSWORDS_SET,
    PASSWORDS_REVOKE,
    ALIASES,
    ALIASES_ADD,
    ALIASES_REMOVE,
    DKIM,
    DKIM_ADD,
    DKIM_ROTATE,
    DKIM_EXPORT,
    DKIM_REMOVE,
    CERTIFICATES,
    CERTIFICATES_SHOW,
    CERTIFICATES_RENEW,
    CERTIFICATES_ROLL,
    CERTIFICATES_REVOKE,
    CERTIFICATES_ACCOUNT,
    REPORTS,
    REPORTS_SHOW,
    REPORTS_SUMMARY,
    SRS,
    SRS_ROTATE,
    SRS_ORIGINAL,
    SUBMIT,
    STATUS,
    HEALTH,
    METRICS,
    REPORTS_SEND,
    RELOAD,
    RESTART,
    STOP,
)


class OwnCounter:
    """Puts questions to an office in this process."""

    def __init__(self, office: Office) -> None:
        self.office = office

    async def ask(self, operation: Operation[Q, A], question: Q) -> A:
        """The office's own answer."""
        return await operation.perform(self.office, question)
