"""What can be asked about certificates."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msgspec import structs

from merpati.api import questions as ask
from merpati.api.errors import Mistaken, Unknown
from merpati.api.moments import moment
from merpati.certificates.cabinet import Rolling
from merpati.certificates.desk import Desk, Kept
from merpati.certificates.errors import IssueError
from merpati.certificates.rolling import safe_at
from merpati.certificates.tlsa import Identity, Tlsa, hosts_in, line_of, published, usual
from merpati.dns.errors import DnsError
from merpati.dns.resolver import Answer
from merpati.journal.events import Event, Lifecycle

_HOSTS = 100
"""Of one certificate that the DNS is asked about: as many names as public CAs allow."""
_RECORDS = 50
"""Of one host that are told."""


@dataclass(frozen=True, slots=True)
class CertificateOffice:
    """All that are shown, or are to be."""

    desk: Desk
    note: Callable[[Event], None]
    """Takes what the journal is to have."""

    async def certificates(self, _: ask.Nothing) -> list[ask.CertificateLine]:
        """In the order of their precedence."""
        return [certificate_line(one) for one in await asyncio.to_thread(self.desk.all)]

    async def show(self, question: ask.Named) -> ask.CertificateDetail:
        """One, with what the DNS has of it."""
        try:
            kept = await asyncio.to_thread(self.desk.find, question.name)
        except IssueError as error:
            raise Unknown(str(error)) from error
        line = structs.asdict(certificate_line(kept))
        if kept.identity is None:
            return ask.CertificateDetail(**line)
        key = await asyncio.to_thread(self.desk.next_key, kept)
        hosts = hosts_in(line["names"])[:_HOSTS]
        found = await asyncio.gather(*(self._host(one, kept.identity, key) for one in hosts))
        return ask.CertificateDetail(**line, hosts=tuple(found))

    async def _host(self, host: str, shown: Identity, next_key: bytes) -> ask.HostTlsa:
        try:
            answer = await self.desk.tlsa(host)
        except DnsError as error:
            return _unasked(host, shown, next_key, str(error))
        return _told(host, answer, shown, next_key)

    async def renew(self, question: ask.Named) -> ask.CertificateLine:
        """Have another one got now; how it was before."""
        return await self._done(self.desk.renew, question.name)

    async def roll(self, question: ask.Named) -> ask.CertificateLine:
        """Change its key, a step at a time; how far that is."""
        return await self._done(self.desk.roll, question.name)

    async def revoke(self, question: ask.Revocation) -> ask.CertificateLine:
        """Have the CA revoke it, and another one got now."""
        revoke = partial(self.desk.revoke, reason=question.reason)
        line = await self._done(revoke, question.name)
        self._note("certificate-revoked", f"{line.name}: {question.reason.value}")
        return line

    async def account(self, question: ask.CaAccount) -> ask.Done:
        """Change the key of our account at the CA, or close it."""
        do = self.desk.close_account if question.close else self.desk.change_account_key
        try:
            await asyncio.to_thread(do)
        except IssueError as error:
            raise Mistaken(str(error)) from error
        self._note("ca-account", "is closed" if question.close else "has a new key")
        return ask.Done()

    def _note(self, what: str, detail: str) -> None:
        self.note(Lifecycle(at=self.desk.clock.now(), what=what, detail=detail))

    async def _done(self, do: Callable[[str], Kept], name: str) -> ask.CertificateLine:
        try:
            return certificate_line(await asyncio.to_thread(do, name))
        except IssueError as error:
            raise Mistaken(str(error)) from error


def certificate_line(kept: Kept) -> ask.CertificateLine:
    """For people."""
    names = kept.shown.names if kept.shown else ()
    return ask.CertificateLine(
        name=kept.name,
        names=names,
        origin=kept.origin.value,
        file=str(kept.source),
        begins=moment(kept.shown.begins) if kept.shown else None,
        ends=moment(kept.shown.ends) if kept.shown else None,
        renewal=moment(kept.renew_at) if kept.renew_at else None,
        issued=moment(kept.state.issued) if kept.state.issued else None,
        failures=kept.state.failures,
        trouble=kept.trouble,
        suggested=kept.state.window is not None,
        records=_usual(names, kept.identity.digest) if kept.identity else (),
        rolling=_roll_line(names, kept.state.rolling) if kept.state.rolling else None,
    )


def _roll_line(names: tuple[str, ...], rolling: Rolling) -> ask.RollLine:
    safe = safe_at(rolling)
    return ask.RollLine(
        since=moment(rolling.since),
        records=_usual(names, rolling.digest),
        seen=moment(rolling.seen) if rolling.seen else None,
        safe=moment(safe) if safe else None,
        switched=moment(rolling.switched) if rolling.switched else None,
        trouble=rolling.trouble,
        hurried=rolling.hurried,
    )


def _usual(names: tuple[str, ...], digest: str) -> tuple[str, ...]:
    return tuple(line_of(host, usual(digest)) for host in hosts_in(names))


def _told(host: str, answer: Answer[Tlsa], shown: Identity, next_key: bytes) -> ask.HostTlsa:
    there = published(host, answer)
    wants = there.wants(shown)
    # Where nothing stands nothing must; beside a form that cannot be made nothing may.
    missing = there.missing(shown.key) if wants or not there.records else []
    return ask.HostTlsa(
        host=host,
        found=tuple(
            ask.TlsaLine(record=line_of(host, one), of=shown.meaning_of(one, next_key).value)
            for one in answer.records[:_RECORDS]
        ),
        secure=answer.secure,
        missing=tuple(line_of(host, one) for one in missing if not there.unmade),
        coming=tuple(line_of(host, one) for one in there.needed(next_key))
        if next_key and wants
        else (),
    )


def _unasked(host: str, shown: Identity, next_key: bytes, why: str) -> ask.HostTlsa:
    coming = (Identity(next_key).digest,) if next_key else ()
    return ask.HostTlsa(
        host=host,
        missing=_usual((host,), shown.digest),
        coming=tuple(line_of(host, usual(one)) for one in coming),
        trouble=why,
    )
