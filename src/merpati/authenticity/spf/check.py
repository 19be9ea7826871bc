"""The check itself (RFC 7208 §4 to §8): may this host send for this domain?

A check is a generator of questions; see `merpati.authenticity.questions`. Whatever the DNS or the
client says ends in a Verdict. Records that include and redirect to one another are frames of a
list, not calls, and each costs one of ten lookups. The driver limits the time (§4.6.4: at least
20 s): a DnsError thrown in ends the check as temperror.
"""

import ipaddress
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from merpati.authenticity import questions
from merpati.authenticity.questions import Asking
from merpati.authenticity.seen import Seen
from merpati.authenticity.spf.macro import MacroString, expand, letters, read_macros
from merpati.authenticity.spf.record import (
    MANY_TERMS,
    Directive,
    Kind,
    Record,
    find_records,
    reading_record,
)
from merpati.authenticity.spf.result import Identity, Result, SpfError, Verdict
from merpati.dns.errors import DnsError
from merpati.dns.resolver import RECORD_LIMIT, Answer, Mx, packed
from merpati.mail.address import Address, AddressError, parse_domain

MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
MAX_MX_NAMES = 10
MAX_PTR_NAMES = 10
"""All four of RFC 7208 §4.6.4."""
MAX_ADDRESSES = MAX_LOOKUPS * RECORD_LIMIT
"""Compared in a check, which takes 3 ms: ten names may have as many as an answer has room for. Ten
MX records of ten such hosts each would take ten times that, for each small message."""
MAX_OCTETS = 16 * 1024
"""Of all records of a check: eleven of the longest took 38 ms."""
MAX_TEXT = 512
"""Characters of each text in a Verdict."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who is checked."""

    ip: str
    helo: str
    sender: Address | None = None
    """MAIL FROM; None: the null reverse-path."""


@dataclass(frozen=True, slots=True)
class Here:
    """What the macros of an explanation may tell of us and of the time (RFC 7208 §7.2)."""

    host: str = "unknown"
    now: float = 0.0
    """Seconds since 1970 UTC."""


def check_mail_from(client: Client, here: Here = Here()) -> Asking[Verdict]:
    """Of the sender's domain, or of the HELO name under the null reverse-path (§2.4)."""
    local, domain = "postmaster", client.helo
    if client.sender is not None:
        local, domain = client.sender.local or local, client.sender.domain
    return check_host(Identity.MAIL_FROM, client, f"{local}@{domain}", here)


def check_helo(client: Client, here: Here = Here()) -> Asking[Verdict]:
    """Of the HELO name (§2.3)."""
    return check_host(Identity.HELO, client, f"postmaster@{client.helo}", here)


def check_host(
    identity: Identity, client: Client, sender: str, here: Here = Here()
) -> Asking[Verdict]:
    """check_host() of RFC 7208 §4 for a sender as text, its domain that of the identity."""
    return (yield from _Check(identity, client, sender, here).run())


class _Frame:
    """A record under evaluation."""

    __slots__ = ("at", "domain", "record")

    def __init__(self, domain: str, record: Record) -> None:
        self.domain = domain
        self.record = record
        self.at = -1
        """Which directive is being evaluated."""

    def following(self) -> Directive | None:
        self.at += 1
        directives = self.record.directives
        return directives[self.at] if self.at < len(directives) else None


_Question: TypeAlias = Callable[[str], Asking[Answer[Any]]]


class _Check:
    def __init__(self, identity: Identity, client: Client, sender: str, here: Here) -> None:
        self._identity = identity
        self._client = client
        self._here = here
        local, _, domain = sender.rpartition("@")
        self._local = local or "postmaster"  # RFC 7208 §4.3
        self._sender = f"{self._local}@{domain}"
        self._domain = _name(domain)
        self._lookups = 0
        self._voids = 0
        self._octets = 0
        self._compared = 0
        self._frames: list[_Frame] = []
        self._seen: list[Seen] = []
        self._path: tuple[str, ...] = ()
        self._at = ""
        self._mechanism = ""
        self._explanation = ""
        self._validated: tuple[str, ...] | None = None

    def run(self) -> Asking[Verdict]:
        try:
            result, why = yield from self._judge()
        except SpfError as error:
            result, why = error.result, error.why
            self._path = self._way()
        return Verdict(
            result,
            self._identity,
            self._domain[:MAX_TEXT],
            why,
            seen=tuple(self._seen),
            mechanism=self._mechanism[:MAX_TEXT],
            at=self._at[:MAX_TEXT],
            path=self._path,
            lookups=self._lookups,
            void_lookups=self._voids,
            explanation=self._explanation,
        )

    def _judge(self) -> Asking[tuple[Result, str]]:
        self._ip = _ip(self._client.ip)
        if not _can_have_record(self._domain):
            self._domain = ""
            raise SpfError(Result.NONE, "there is no domain to ask about")
        frames = self._frames
        frames.append((yield from self._open(self._domain, Result.NONE)))
        result = yield from self._evaluate(frames)
        if result is None:
            return Result.NEUTRAL, "no mechanism matched"
        if result is Result.FAIL and frames[0].record.exp:
            self._explanation = yield from self._explain(frames[0])
        return result, _WHY[result]

    def _evaluate(self, frames: list[_Frame]) -> Asking[Result | None]:
        """Directives in order; the result of the first record, whose frame is left. None: no
        directive matched."""
        while True:
            frame = frames[-1]
            directive = frame.following()
            result: Result | None = None
            if frame.at % MANY_TERMS == MANY_TERMS - 1:
                yield questions.TURN
            if directive is None:
                if frame.record.redirect:
                    frames[-1] = yield from self._follow(frame, frame.record.redirect)
                    continue
            elif directive.kind is Kind.INCLUDE:
                frames.append((yield from self._follow(frame, directive.domain)))
                continue
            elif not (yield from self._matches(directive, frame.domain)):
                continue
            else:
                result = self._matched(frame)
                self._path = self._way()
            # RFC 7208 §5.2: only a pass of the included record is a match.
            while len(frames) > 1 and result is Result.PASS:
                frames.pop()
                result = self._matched(frames[-1])
            if len(frames) == 1:
                return result
            frames.pop()
            self._mechanism, self._path = "", ()

    def _way(self) -> tuple[str, ...]:
        """Through the records to what decides now."""
        names = tuple(frame.domain for frame in self._frames)
        return names if not self._at or self._at in names else (*names, self._at)

    def _matched(self, frame: _Frame) -> Result:
        directive = frame.record.directives[frame.at]
        self._mechanism, self._at = _shown(directive.text), frame.domain
        return directive.result

    def _open(self, domain: str, without: Result) -> Asking[_Frame]:
        """The record of a domain, read. `without`: the result where it has none."""
        if not _can_be_asked(domain):
            raise SpfError(without, "a record refers to a domain that cannot be")
        self._at = domain
        try:
            answer = yield from questions.txt(domain)
        except DnsError:
            self._seen.append(Seen(domain, is_answered=False))
            raise SpfError(Result.TEMPERROR, "the DNS did not answer for now") from None
        found = find_records(answer.records)
        self._note(domain, found)
        if not found:
            why = "the domain has no record"
            if without is not Result.NONE:
                why = "a record refers to a domain that has no record"
            raise SpfError(without, why)
        if len(found) > 1:
            raise SpfError(Result.PERMERROR, "the domain has more than one record")
        octets = found[0]
        self._octets += len(octets)
        if self._octets > MAX_OCTETS:
            raise SpfError(Result.PERMERROR, "the records are too long together")
        return _Frame(domain, (yield from reading_record(octets)))

    def _note(self, domain: str, records: list[bytes]) -> None:
        """Once, however often they are referred to; two prove that they are too many."""
        if not any(one.name == domain for one in self._seen):
            found = [Seen.of(domain, octets) for octets in records[:2]]
            self._seen += found or [Seen(domain)]

    def _follow(self, frame: _Frame, macros: MacroString) -> Asking[_Frame]:
        """Of include and redirect, where no record is a permerror (RFC 7208 §5.2, §6.1)."""
        self._at = frame.domain
        self._count()
        domain = yield from self._target(macros, frame.domain)
        return (yield from self._open(domain, Result.PERMERROR))

    def _matches(self, directive: Directive, domain: str) -> Asking[bool]:
        kind = directive.kind
        if kind is Kind.ALL:
            return True
        if kind is Kind.IP4 or kind is Kind.IP6:
            is_family = (self._ip.version == 4) is (kind is Kind.IP4)
            return is_family and self._is_within(directive.network, directive)
        self._at, self._mechanism = domain, _shown(directive.text)
        self._count()
        target = yield from self._target(directive.domain, domain)
        is_match = yield from _MATCHES[kind](self, directive, target)
        self._mechanism = ""
        return is_match

    def _is_within(self, network: int, directive: Directive) -> bool:
        shift = self._host_bits(directive)
        return int(self._ip) >> shift == network >> shift

    def _host_bits(self, directive: Directive) -> int:
        is_ipv4 = self._ip.version == 4
        return 32 - directive.ipv4_bits if is_ipv4 else 128 - directive.ipv6_bits

    def _matches_a(self, directive: Directive, target: str) -> Asking[bool]:
        records = yield from self._ask(self._addresses, target)
        return self._is_any_within(records, directive)

    def _matches_mx(self, directive: Directive, target: str) -> Asking[bool]:
        records = yield from self._ask(questions.mx, target)
        if len(records) > MAX_MX_NAMES:
            raise SpfError(Result.PERMERROR, "a domain has more than ten MX records")
        for record in sorted(records, key=_preference):
            host = record.host.removesuffix(".")
            addresses = yield from self._ask(self._addresses, host, can_be_void=True)
            if self._is_any_within(addresses, directive):
                return True
        return False

    def _matches_exists(self, _: Directive, target: str) -> Asking[bool]:
        return bool((yield from self._ask(questions.ipv4, target)))  # §5.7: A, whatever the client

    def _matches_ptr(self, _: Directive, target: str) -> Asking[bool]:
        names = yield from self._names()
        target = target.lower()
        return any(name == target or name.endswith("." + target) for name in names)

    def _is_any_within(self, addresses: tuple[str, ...], directive: Directive) -> bool:
        shift = self._host_bits(directive)
        network = int(self._ip) >> shift
        if any(int.from_bytes(packed(ip)) >> shift == network for ip in addresses):
            return True
        self._compared += len(addresses)
        if self._compared > MAX_ADDRESSES:
            raise SpfError(Result.PERMERROR, "the names have too many addresses together")
        return False

    def _addresses(self, name: str) -> Asking[Answer[str]]:
        if self._ip.version == 4:
            return questions.ipv4(name)
        return questions.ipv6(name)

    def _ask(
        self, ask: _Question, name: str, *, can_be_void: bool = False
    ) -> Asking[tuple[Any, ...]]:
        """Records; none of a name that cannot be. A term counts once as void: the hosts of an MX
        may be without (§4.6.4 speaks of terms)."""
        records: tuple[Any, ...] = ()
        if _can_be_asked(name):
            try:
                records = (yield from ask(name)).records
            except DnsError:
                raise SpfError(Result.TEMPERROR, "the DNS did not answer for now") from None
        if not records and not can_be_void:
            self._count_void()
        return records

    def _names(self) -> Asking[tuple[str, ...]]:
        """Names of the client that lead back to it (RFC 7208 §5.5), asked for once."""
        if self._validated is not None:
            return self._validated
        self._validated = ()
        try:
            names = (yield from questions.ptr(str(self._ip))).records[:MAX_PTR_NAMES]
        except DnsError:
            return ()
        if not names:
            self._count_void()
        for name in names:
            if (yield from self._leads_back(name)):
                self._validated += (name.lower().removesuffix("."),)
        return self._validated

    def _leads_back(self, name: str) -> Asking[bool]:
        if not _can_be_asked(name.removesuffix(".")):
            return False
        try:
            records = (yield from self._addresses(name.removesuffix("."))).records
        except DnsError:
            return False
        return self._ip.packed in map(packed, records)

    def _count(self) -> None:
        if self._lookups >= MAX_LOOKUPS:
            raise SpfError(Result.PERMERROR, "more than ten lookups")
        self._lookups += 1

    def _count_void(self) -> None:
        self._voids += 1
        if self._voids > MAX_VOID_LOOKUPS:
            raise SpfError(Result.PERMERROR, "more than two lookups found nothing")

    def _target(self, macros: MacroString, domain: str) -> Asking[str]:
        if not macros:
            return domain
        name = (yield from self._expand(macros, domain)).removesuffix(".")
        # RFC 7208 §7.3: labels are taken off from the left until it is a name's length.
        while len(name) > 253 and "." in name:
            name = name.partition(".")[2]
        return name

    def _expand(self, macros: MacroString, domain: str) -> Asking[str]:
        if len(macros) == 1 and isinstance(macros[0], str):
            return macros[0]
        named = "unknown"
        if "p" in letters(macros):
            self._count()  # §4.6.4: the macro counts as well
            named = _closest((yield from self._names()), domain.lower())
        sender_domain = self._sender.rpartition("@")[2]
        values: dict[str, Callable[[], str]] = {
            "s": lambda: self._sender,
            "l": lambda: self._local,
            "o": lambda: sender_domain,
            "d": lambda: domain,
            "i": lambda: _dotted(self._ip),
            "p": lambda: named,
            "v": lambda: "in-addr" if self._ip.version == 4 else "ip6",
            "h": lambda: self._client.helo,
            "c": lambda: str(self._ip),
            "r": lambda: self._here.host,
            "t": lambda: str(int(self._here.now)),
        }
        return expand(macros, values)

    def _explain(self, frame: _Frame) -> Asking[str]:
        """What the domain says of its refusal; whatever is wrong with that, nothing (§6.2)."""
        try:
            name = yield from self._target(frame.record.exp, frame.domain)
            if not _can_be_asked(name):
                return ""
            records = (yield from questions.txt(name)).records
            if len(records) != 1 or not records[0].isascii():
                return ""
            macros = read_macros(records[0].decode("ascii"), explains=True)
            text = (yield from self._expand(macros, frame.domain)) if macros else ""
        except (DnsError, SpfError):
            return ""
        return text[:MAX_TEXT] if text.isascii() and text.isprintable() else ""


_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_MATCHES: dict[
    Kind,
    Callable[[_Check, Directive, str], Generator[questions.Question, Answer[Any], bool]],
] = {
    Kind.A: _Check._matches_a,
    Kind.MX: _Check._matches_mx,
    Kind.EXISTS: _Check._matches_exists,
    Kind.PTR: _Check._matches_ptr,
}
_WHY = {
    Result.PASS: "the record allows the host",
    Result.FAIL: "the record does not allow the host",
    Result.SOFTFAIL: "the record probably does not allow the host",
    Result.NEUTRAL: "the record says nothing about the host",
}


def _ip(text: str) -> _IpAddress:
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise SpfError(Result.NONE, "the client has no IP address") from None
    # RFC 7208 §5: an IPv4-mapped address is an IPv4 address.
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def _dotted(ip: _IpAddress) -> str:
    return str(ip) if ip.version == 4 else ".".join(f"{int(ip):032X}")


def _name(domain: str) -> str:
    """In A-labels and lower case; what is no domain stays as it is, for the macros."""
    domain = domain.removesuffix(".")
    if domain.isascii():
        return domain.lower()
    try:
        return parse_domain(domain)
    except AddressError:
        return ""


def _can_be_asked(name: str) -> bool:
    """Whether a name could be in the DNS: what macros make may be anything."""
    if not 0 < len(name) <= 253 or not name.isascii() or not name.isprintable():
        return False
    if "\\" in name or name == "@":  # an escape and the origin, to who reads names as zones do
        return False
    return all(0 < len(label) <= 63 for label in name.split("."))


def _can_have_record(domain: str) -> bool:
    # RFC 7208 §4.3: not a literal, and of more labels than one.
    return "." in domain and not domain.startswith("[") and _can_be_asked(domain)


def _closest(names: tuple[str, ...], domain: str) -> str:
    """RFC 7208 §7.3, the letter p: the domain itself, else a name below it, else any."""
    if domain in names:
        return domain
    below = (name for name in names if name.endswith("." + domain))
    return next(below, names[0] if names else "unknown")


def _preference(record: Mx) -> int:
    return record.preference


def _shown(text: str) -> str:
    """The beginning of a stranger's text without what a terminal or a log obeys."""
    if text.isascii() and text.isprintable():
        return text[:MAX_TEXT]
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MAX_TEXT])
