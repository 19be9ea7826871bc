"""Looks at a domain's records, writes what is to be written, and says how they are."""

import sys
from dataclasses import replace

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.context import EX_TEMPFAIL, Refused, counter_of
from merpati.cli.publishing import Means, Publication
from merpati.cli.records import FORMS, Page, warn
from merpati.cli.setup import Wish
from merpati.clock import SystemClock
from merpati.config.settings import Settings
from merpati.dns.authority import Authorities, AuthoritySettings
from merpati.dns.client import DnsClient
from merpati.mail.address import AddressError, parse_domain
from merpati.setup.finding import State
from merpati.setup.plan import Subject, published_policy
from merpati.setup.record import Purpose
from merpati.setup.reported import advise, step_words
from merpati.setup.seen import ResolverWitness
from merpati.setup.servers import ServersWitness
from merpati.setup.survey import survey
from merpati.system.blueprint import Blueprint
from merpati.system.publishing import subject_of

_SECONDS = 5.0
"""For one question: somebody waits."""


async def run(settings: Settings, name: str, wish: Wish) -> None:
    """What `merpati domain setup` does; ends with its status."""
    means = Means.of(settings, wish.server, wish.key) if wish.is_applied else None
    subject = await _subject(settings, name)
    language = wish.lang or settings.document.language.value
    if means:
        publication = Publication(means, subject, _resolver(settings), language)
        if not await publication.make(is_asked=not wish.yes, is_tried=wish.dry_run):
            return
    page = await _page(settings, subject, language, wish.is_compared or wish.is_applied)
    FORMS[wish.form](page)
    if page.is_compared:
        sys.exit(_status(page))
    warn(page)


async def _page(settings: Settings, subject: Subject, language: str, is_compared: bool) -> Page:
    resolver = _resolver(settings)
    if not is_compared:
        findings = await survey(subject, ResolverWitness(resolver), resolver)
        return Page(subject, findings, language, is_compared)
    port = settings.document.dns.authority_port
    authorities = Authorities(resolver, SystemClock(), AuthoritySettings(port))
    witness = ServersWitness(resolver, authorities)
    findings = await survey(subject, witness, resolver)
    page = Page(subject, findings, language, is_compared, tuple(witness.findings))
    return replace(page, advice=await _advice(settings, page))


def _status(page: Page) -> int:
    faults = [one.is_fault for one in page.findings] + [one.is_fault for one in page.servers]
    if any(faults):
        return 1
    is_unknown = any(one.state is State.UNKNOWN for one in page.findings)
    return EX_TEMPFAIL if is_unknown or page.servers else 0


async def _subject(settings: Settings, name: str) -> Subject:
    """The domain as this server has it. Raises Refused if it is not ours."""
    try:
        domain = parse_domain(name)
    except AddressError as error:
        raise Refused(f"{name}: {error}") from error
    async with counter_of(settings) as counter:
        if domain not in await counter.ask(op.DOMAINS, ask.Nothing()):
            raise Refused(f"{domain} is not a domain of this server: merpati domain add {domain}")
        keys = await counter.ask(op.DKIM, ask.Within(domain=domain))
    return subject_of(settings, domain, tuple((key.name, key.record) for key in keys))


async def _advice(settings: Settings, page: Page) -> str:
    """Empty where no policy is published."""
    for finding in page.findings:
        if finding.record.purpose is Purpose.DMARC and finding.state is State.THERE:
            async with counter_of(settings) as counter:
                question = ask.SumReports(domain=page.subject.domain)
                (told,) = await counter.ask(op.REPORTS_SUMMARY, question)
            step = advise(told.dmarc, published_policy(finding.seen[0]))
            return step_words(step, told.dmarc, page.language)
    return ""


def _resolver(settings: Settings) -> DnsClient:
    patience = replace(Blueprint(settings).dns(), total_seconds=_SECONDS, server_seconds=2.0)
    return DnsClient(SystemClock(), patience)
