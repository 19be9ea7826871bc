"""What counts for reports about TLS, from the journal: how sessions went, by the domain whose hosts
were meant (RFC 8460 §4).

A session counts once for each domain whose mail it carried or should have carried. What went wrong
with a connection is told by its Opened event; what it was for, by the attempts that name it.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping

import msgspec

from merpati.diagnosis.own_words import cause_of
from merpati.feedback.tallies import DAY
from merpati.feedback.tls import PolicyType, ResultType
from merpati.journal.events import Attempt, Deferred, Delivered, Failed, Opened, PolicyUnread

_SESSIONS = 20_000
"""Remembered so that each counts once; one lives for five minutes."""
_OPENED = 1_000
"""Connections of which is remembered how they began; not those that went as they should."""
_BROKEN = 1_000
"""Hosts of which is remembered how TLS broke: they get mail in the clear for ten minutes."""
_MAX_TEXT = 200

_POLICIES: Mapping[str, PolicyType] = {
    "dane": PolicyType.TLSA,
    "sts-enforce": PolicyType.STS,
    "sts-testing": PolicyType.STS,
    "opportunistic": PolicyType.NONE,
    "requiretls": PolicyType.NONE,
}
"""Where the sender waives what a domain demands (`waived`) nobody has asked for it: not counted."""
_FAILURES: Mapping[str, ResultType] = {
    "policy-needs-tls": ResultType.NO_STARTTLS,
    "sts-host-unlisted": ResultType.FAILED,
    "tls-failed": ResultType.FAILED,
    "tlsa-mismatch": ResultType.FAILED,
    "dnssec-bogus": ResultType.DNSSEC_INVALID,
    "certificate-wrong-name": ResultType.WRONG_NAME,
    "certificate-expired": ResultType.EXPIRED,
    "certificate-self-signed": ResultType.NOT_TRUSTED,
    "certificate-invalid": ResultType.NOT_TRUSTED,
}
"""By the cause of an attempt that failed; events of now say it themselves."""
_FLAWS: Mapping[str, ResultType] = {
    "fetch": ResultType.FETCH_FAILED,
    "certificate": ResultType.POLICY_HOST,
    "text": ResultType.POLICY_INVALID,
}
"""By what of a policy could not be had."""
_TYPES: Mapping[str, ResultType] = {one.value: one for one in ResultType}
_UNLISTED = "sts-mx-unlisted"
_BY_MX = "mx:"
"""The route of mail whose hosts the DNS names."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """How sessions failed."""

    result: ResultType
    host: str = ""
    ip: str = ""
    helo: str = ""
    """What the host called itself."""
    local: str = ""
    """The address that we came from."""
    why: str = ""


class Sessions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What sessions have in common that are counted together."""

    policy: PolicyType
    failure: Failure | None = None
    """None: they went as they should."""
    tlsa: tuple[str, ...] = ()
    """Of DANE: the records of the host."""
    host: str = ""
    """Of DANE: whose records these are."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Sessions).decode
_Attempted = Delivered | Deferred | Failed


def read_sessions(octets: bytes) -> Sessions:
    """A row as it was kept. ValueError when it is none."""
    return _decode(octets)


class Group:
    """What was counted for one domain on one day."""

    __slots__ = ("counts", "reasons")

    def __init__(self) -> None:
        self.counts: Counter[Sessions] = Counter()
        self.reasons = 0

    def rows(self) -> dict[bytes, int]:
        """As they are kept."""
        return {_encode(sessions): count for sessions, count in self.counts.items()}


class Memory:
    """What has to be known of connections until nobody names them any more. Bounded; it outlives
    the counts, and is lost with the process, as connections are."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._fresh: dict[tuple[str, str], None] = {}
        """Sessions that are counted and not written yet."""
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._broken: OrderedDict[tuple[str, str], Failure] = OrderedDict()

    def is_new(self, domain: str, connection: str) -> bool:
        """Whether a session was not counted for this domain yet; it is from now on."""
        key = (domain, connection)
        if key in self._fresh or key in self._seen:
            return False
        self._fresh[key] = None
        return True

    def written(self) -> None:
        """What was counted is on disk."""
        self._seen.update(self._fresh)
        self._fresh.clear()
        while len(self._seen) > _SESSIONS:
            self._seen.popitem(last=False)

    def unwritten(self) -> None:
        """What was counted since is counted again."""
        self._fresh.clear()

    def note(self, event: Opened) -> None:
        """Remember what is no session like all others."""
        if event.tls and not (event.error or event.tlsa or event.tls_failure):
            return
        self._opened[event.connection] = event
        if len(self._opened) > _OPENED:
            self._opened.popitem(last=False)
        if event.error and (result := _result(event)):
            self._broken[event.site, event.ip] = _failure(result, event, event.error)
            if len(self._broken) > _BROKEN:
                self._broken.popitem(last=False)

    def opened(self, connection: str) -> Opened | None:
        """How one began, where that is remembered."""
        return self._opened.get(connection)

    def broken(self, site: str, ip: str) -> Failure | None:
        """How TLS with a host broke last."""
        return self._broken.get((site, ip))


class TlsTally:
    """What was counted since it was emptied."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._groups: dict[tuple[int, str], Group] = {}
        self.size = 0
        """Rows."""

    def take(self, event: _Attempted | PolicyUnread) -> None:
        """Count the session of an attempt, or a policy that could not be had."""
        if isinstance(event, PolicyUnread):
            result = _FLAWS.get(event.flaw, ResultType.FETCH_FAILED)
            failure = Failure(result, why=event.why[:_MAX_TEXT])
            # It is asked for before a report goes there, too, and from time to time by itself: the
            # mail that it was asked for is the reason.
            self._count(event.at, event.domain, Sessions(PolicyType.STS, failure), is_reason=False)
            return
        cause = "" if isinstance(event, Delivered) else event.cause
        domain = _domain(event)
        sessions = self._sessions(event, domain, cause) if domain else None
        if sessions is not None:
            # Two who report to each other would tell of their reports for ever.
            self._count(event.at, domain, sessions, is_reason=not event.is_ours)

    def _sessions(self, event: _Attempted, domain: str, cause: str) -> Sessions | None:
        if cause == _UNLISTED:
            failure = Failure(ResultType.FAILED, why=event.reply[:_MAX_TEXT])
            return Sessions(PolicyType.STS, failure)
        attempt = event.attempt
        policy = _POLICIES.get(attempt.policy) if attempt else None
        if attempt is None or policy is None or not attempt.connection:
            return None
        if self._memory.is_new(domain, attempt.connection):
            return self._session(attempt, policy, cause)
        return None

    def _session(self, attempt: Attempt, policy: PolicyType, cause: str) -> Sessions | None:
        opened = None
        if policy is PolicyType.TLSA or cause or attempt.tls_failure or not attempt.tls:
            opened = self._memory.opened(attempt.connection)
        tlsa, host = (opened.tlsa, opened.host) if opened and opened.tlsa else ((), "")
        result = _type(attempt.tls_failure) or _FAILURES.get(cause)
        if result is None and attempt.tls:
            return Sessions(policy, None, tlsa, host)
        if cause not in _FAILURES:
            # Mail that had to go with less than was wished for, to a host that was talked to.
            if not (attempt.tls or attempt.dialogue):
                return None
            broken = self._memory.broken(attempt.site, attempt.ip)
            if broken and result in (None, broken.result):
                return Sessions(policy, broken, tlsa, host)
        result = result or ResultType.NO_STARTTLS
        failed = _failure(result, opened, cause, attempt.host, attempt.ip)
        return Sessions(policy, failed, tlsa, host)

    def _count(self, at: float, domain: str, sessions: Sessions, *, is_reason: bool) -> None:
        key = (int(at // DAY), domain)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group()
        known = len(group.counts)
        group.counts[sessions] += 1
        self.size += len(group.counts) - known
        group.reasons += is_reason

    def groups(self) -> Iterator[tuple[tuple[int, str], Group]]:
        """By day and domain."""
        yield from self._groups.items()


def _domain(event: _Attempted) -> str:
    """Whose hosts were meant: the recipient's domain, or the smarthost that a route names, which is
    the domain of its own policy (RFC 8461 §3.4). Empty: one that has none."""
    attempt = event.attempt
    if attempt is None or attempt.route == _BY_MX:
        return event.address[event.address.rfind("@") + 1 :].lower()
    is_smarthost = attempt.route.startswith(("smtp:", "smtps:")) and attempt.host != attempt.ip
    name = attempt.host.lower().rstrip(".")
    # A name of one label (`localhost`) is nobody's on the Internet.
    return name if is_smarthost and "." in name else ""


def _type(word: str) -> ResultType | None:
    return _TYPES.get(word)


def _result(event: Opened) -> ResultType | None:
    """How TLS of a connection failed; of before the event said it, by the words of the error."""
    return _type(event.tls_failure) or _FAILURES.get(cause_of(event.error))


def _failure(
    result: ResultType, opened: Opened | None, cause: str, host: str = "", ip: str = ""
) -> Failure:
    if opened is None:
        return Failure(result, host, ip, why=cause)
    return Failure(
        result,
        opened.host,
        opened.ip,
        helo=_helo(opened),
        local=opened.local,
        why=(opened.error or cause)[:_MAX_TEXT],
    )


def _helo(opened: Opened) -> str:
    """The name in the answer to EHLO: `250-mx.a.test at your service`."""
    for exchange in opened.dialogue:
        if exchange.sent in ("EHLO", "HELO") and exchange.reply.startswith("250"):
            words = exchange.reply[4:].split(None, 1)
            return words[0][:_MAX_TEXT] if words else ""
    return ""
