"""What is to be had by HTTPS where a domain's records lead people: which documents to ask for, and
how what came differs from what should. Pure; who asks is `system/visiting`."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from xml.sax.saxutils import escape

from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import Purpose
from merpati.setup.sts import PATH, Mode, OwnPolicy, policy_host

HTTPS = 443
LONG_ENOUGH = 604_800
"""Seconds. RFC 8461 §3.2 expects weeks or more: who keeps a policy as long as he is attacked for is
not to be had by keeping him from renewing it."""
AUTOCONFIG_PATH = "/mail/config-v1.1.xml"
AUTODISCOVER_PATH = "/autodiscover/autodiscover.xml"


class Page(Enum):
    """The documents; the values are what people read."""

    POLICY = "MTA-STS policy"
    AUTOCONFIG = "autoconfig document"
    AUTODISCOVER = "autodiscover answer"


class Flaw(Enum):
    """What can be wrong with a document."""

    UNANSWERED = "unanswered"
    """The DNS gave no answer: nobody knows."""
    PORT = "port"
    """It is published at another port than 443, where we ask nobody."""
    NOWHERE = "no address"
    INSIDE = "not public"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    CERTIFICATE_NAME = "certificate name"
    CERTIFICATE_TIME = "certificate time"
    CERTIFICATE_AUTHORITY = "certificate authority"
    CERTIFICATE = "certificate"
    REDIRECT = "redirect"
    ABSENT = "absent"
    STATUS = "status"
    TYPE = "type"
    LENGTH = "length"
    TEXT = "text"
    """It cannot be read."""
    OTHER = "other"
    """It is not what this server would say."""
    SAME_ID = "same id"
    """The DNS has the id of another text."""
    REFUSED = "hosts refused"
    """It is enforced, and does not name hosts that mail goes to."""
    UNLISTED = "hosts not named"
    """The same while it is only tested."""
    SHORT = "short"
    NONE = "mode none"
    TESTING = "mode testing"


_NOTICES = frozenset({Flaw.SHORT, Flaw.NONE, Flaw.TESTING})
"""Worth a word, and as somebody wants it."""
NOT_ASKED = frozenset({Flaw.UNANSWERED, Flaw.PORT})
"""Nobody knows how the document is."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A document to ask for."""

    page: Page
    host: str
    path: str
    port: int = HTTPS

    @property
    def url(self) -> str:
        """Where it is."""
        port = "" if self.port == HTTPS else f":{self.port}"
        return f"https://{self.host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Remark:
    """One flaw, and what shows it."""

    flaw: Flaw
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServedFinding:
    """A document and how it is."""

    visit: Visit
    remarks: tuple[Remark, ...] = ()

    @property
    def state(self) -> State:
        """THERE: it is as it should be, with a notice at most."""
        flaws = {one.flaw for one in self.remarks} - _NOTICES
        if not flaws:
            return State.THERE
        return State.UNKNOWN if flaws <= self._unknown else State.WRONG

    @property
    def is_fault(self) -> bool:
        """Whether somebody has to do something."""
        return self.state is State.WRONG

    @property
    def _unknown(self) -> frozenset[Flaw]:
        # Mail programs go where they are led, each in its way; we do not.
        is_policy = self.visit.page is Page.POLICY
        return NOT_ASKED if is_policy else NOT_ASKED | {Flaw.REDIRECT}


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """A policy of MTA-STS as senders read it."""

    policy: OwnPolicy
    allows: Callable[[str], bool]
    """Whether it names a host."""


def visits(subject: Subject, findings: Iterable[Finding]) -> Iterator[Visit]:
    """What the records that are there lead people to."""
    there = {one.record.purpose: one for one in findings if one.seen}
    if there.keys() & {Purpose.STS, Purpose.STS_HOST}:
        yield Visit(Page.POLICY, policy_host(subject.domain), PATH)
    if not subject.serves_autoconfig:
        return
    if Purpose.AUTOCONFIG in there:
        yield Visit(Page.AUTOCONFIG, there[Purpose.AUTOCONFIG].record.name, AUTOCONFIG_PATH)
    if (found := there.get(Purpose.AUTODISCOVER)) and found.state is State.THERE:
        _, _, port, host = min((text.split() for text in found.seen), key=lambda one: int(one[0]))
        yield Visit(Page.AUTODISCOVER, host, AUTODISCOVER_PATH, int(port))


def policy_remarks(
    subject: Subject, findings: Iterable[Finding], seen: PolicySeen
) -> Iterator[Remark]:
    """What is wrong with a policy, or worth a word."""
    said = {one.record.purpose: one.seen for one in findings}
    yield from _text(subject, said.get(Purpose.STS, ()), seen.policy)
    if seen.policy.mode is Mode.NONE:
        yield Remark(Flaw.NONE)
        return
    yield from _hosts(subject, said.get(Purpose.MX, ()), seen)
    if seen.policy.mode is Mode.TESTING:
        yield Remark(Flaw.TESTING)
    elif seen.policy.max_age < LONG_ENOUGH:
        yield Remark(Flaw.SHORT, f"max_age: {seen.policy.max_age}")


def _text(subject: Subject, records: tuple[str, ...], policy: OwnPolicy) -> Iterator[Remark]:
    if _meaning(policy) == _meaning(subject.policy):
        return
    detail = " ".join(policy.text.split("\r\n")).strip()
    if subject.serves_policy:
        yield Remark(Flaw.OTHER, detail)
    elif any(subject.policy.ident in text for text in records):
        # Printed by us for the text of then. Of ids that others made nobody can tell.
        yield Remark(Flaw.SAME_ID, detail)


def _meaning(policy: OwnPolicy) -> tuple[Mode, int, frozenset[str]]:
    return policy.mode, policy.max_age, frozenset(one.lower() for one in policy.mx)


def _hosts(subject: Subject, records: tuple[str, ...], seen: PolicySeen) -> Iterator[Remark]:
    published = [host for text in records if (host := text.split()[-1].lower().rstrip("."))]
    hosts = dict.fromkeys([subject.hostname, *published])
    if missing := [host for host in hosts if not seen.allows(host)]:
        enforced = seen.policy.mode is Mode.ENFORCE
        yield Remark(Flaw.REFUSED if enforced else Flaw.UNLISTED, ", ".join(missing))


_SERVER = re.compile(r"<(?:hostname|server)>\s*([^<>\s]{1,255})\s*</", re.I)
_MOST = 10


def settings_remarks(subject: Subject, octets: bytes) -> Iterator[Remark]:
    """What is wrong with what mail programs are told. Looked for and not parsed as XML: there is
    one name to find, and nothing to expand."""
    named = [one.lower() for one in _SERVER.findall(octets.decode("utf-8", "replace"))]
    if escape(subject.hostname) not in named:
        yield Remark(Flaw.OTHER, ", ".join(dict.fromkeys(named[:_MOST])))
