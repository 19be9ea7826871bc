"""Judging messages with a resolver, within a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from merpati.authenticity.judgement import Examination, Judgement, Origin, SpfCheck, SpfFound
from merpati.authenticity.questions import Asking, Inquiry, drive
from merpati.authenticity.spf.check import Client, Here, check_mail_from
from merpati.authenticity.spf.result import Verdict
from merpati.clock import Clock
from merpati.dns.errors import DnsTimeout
from merpati.dns.resolver import Answer, Mx, Resolver
from merpati.mail.headers import Headers

T = TypeVar("T")


def spf_check(host: str, clock: Clock) -> SpfCheck:
    """The check of MAIL FROM, or of the HELO name under the null reverse-path (RFC 7208); `host` is
    what macros may tell of us."""

    def check(origin: Origin) -> Asking[SpfFound]:
        client = Client(origin.ip, origin.helo, origin.sender)
        verdict = yield from check_mail_from(client, Here(host, clock.now()))
        return _found(verdict)

    return check


def _found(verdict: Verdict) -> SpfFound:
    elsewhere = verdict.at if verdict.at != verdict.domain else ""
    return SpfFound(
        verdict.result.value,
        verdict.domain,
        verdict.why,
        " of ".join(filter(None, (verdict.mechanism, elsewhere))) if verdict.mechanism else "",
        verdict.lookups,
        verdict.void_lookups,
        verdict.seen,
        verdict.path,
    )


@dataclass(frozen=True, slots=True)
class ExaminerSettings:
    """Whom to trust, and how long to wait."""

    trusted_sealers: frozenset[str] = frozenset()
    """Domains whose ARC seals are believed, in A-labels and lower case."""
    patience: float = 20.0
    """Seconds for all questions about one message (RFC 7208 §4.6.4: at least 20 for SPF)."""
    questions: int = 100
    """About one message. Honest mail leads to less than thirty; a forger could get two hundred
    answered by servers of his own, each as long as the DNS allows."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """Begins examinations and judges them."""

    resolver: Resolver
    clock: Clock
    check_spf: SpfCheck | None = None
    """Without it DMARC is not evaluated."""
    settings: ExaminerSettings = ExaminerSettings()

    def begin(self, origin: Origin, headers: Headers) -> Examination:
        """Of the message with this header section."""
        return Examination(origin, headers)

    async def judge(self, examination: Examination) -> Judgement:
        """When the body is complete. Never raises; waits `patience`, and for one answer more."""
        clock, settings = self.clock, self.settings
        asking = examination.judge(self.check_spf, clock.now(), settings.trusted_sealers)
        return await self._drive(asking)

    async def _drive(self, asking: Inquiry[T]) -> T:
        settings = self.settings
        until = self.clock.monotonic() + settings.patience
        patient = _Patient(self.resolver, self.clock, until, settings.questions)
        return await drive(asking, patient)


@dataclass(slots=True)
class _Patient:
    """A resolver that has no answer any more when the time is over, or enough was asked: what is
    asked then is not known for now, and the judgement comes to its end."""

    resolver: Resolver
    clock: Clock
    until: float
    left: int
    """Questions."""

    async def _in_time(self, ask: Callable[[str], Awaitable[T]], name: str) -> T:
        if self.clock.monotonic() >= self.until:
            raise DnsTimeout("the time for one message is over")
        self.left -= 1
        if self.left < 0:
            raise DnsTimeout("more questions than one message is worth")
        return await ask(name)

    async def mx(self, domain: str) -> Answer[Mx]:
        return await self._in_time(self.resolver.mx, domain)

    async def ipv4(self, host: str) -> Answer[str]:
        return await self._in_time(self.resolver.ipv4, host)

    async def ipv6(self, host: str) -> Answer[str]:
        return await self._in_time(self.resolver.ipv6, host)

    async def txt(self, name: str) -> Answer[bytes]:
        return await self._in_time(self.resolver.txt, name)

    async def ptr(self, ip: str) -> Answer[str]:
        return await self._in_time(self.resolver.ptr, ip)

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        return await self.resolver.tlsa(port, host)
