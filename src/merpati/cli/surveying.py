"""Looks at a domain's records, writes what is to be written, and says how they are."""

import re
import sys
from collections.abc import Iterable
from dataclasses import replace

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.context import EX_TEMPFAIL, Refused, counter_of
from merpati.cli.publishing import Means, Publication
from merpati.cli.records import FORMS, Page, warn, warn_of_policy
from merpati.cli.setup import Wish
from merpati.clock import SystemClock
from merpati.config.settings import Settings
from merpati.dns.authority import Authorities, AuthoritySettings
from merpati.dns.client import DnsClient
from merpati.mail.address import AddressError, parse_domain
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject, published_policy, report_places
from merpati.setup.record import Purpose
from merpati.setup.reported import advise, step_words
from merpati.setup.seen import ResolverWitness
from merpati.setup.served import ServedFinding
from merpati.setup.servers import ServersWitness
from merpati.setup.survey import survey
from merpati.system.blueprint import Blueprint
from merpati.system.publishing import subject_of
from merpati.system.visiting import visit_all, web_client

_SECONDS = 5.0
"""For one question: somebody waits."""
_DETAIL = re.compile(r"\+[^@]*|\?.*")
"""What an address of reports, as a URI, may have besides."""


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
    warn_of_policy(page)
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
    served = await visit_all(subject, findings, web_client(resolver, findings))
    page = Page(subject, findings, language, is_compared, tuple(witness.findings), served)
    return replace(page, advice=await _advice(settings, page))


def _status(page: Page) -> int:
    judged: list[Finding | ServedFinding] = [*page.findings, *page.served]
    if any(one.is_fault for one in judged) or any(one.is_fault for one in page.servers):
        return 1
    is_unknown = any(one.state is State.UNKNOWN for one in judged)
    is_unknown |= any(one.is_unsure for one in page.findings)
    return EX_TEMPFAIL if is_unknown or page.servers else 0


async def _subject(settings: Settings, name: str) -> Subject:
    """The domain as this server has it. Raises Refused if it is not ours."""
    try:
        domain = parse_domain(name.removesuffix("."))  # as zone files have it
    except AddressError as error:
        raise Refused(f"{name}: {error}") from error
    async with counter_of(settings) as counter:
        if domain not in await counter.ask(op.DOMAINS, ask.Nothing()):
            raise Refused(f"{domain} is not a domain of this server: merpati domain add {domain}")
        keys = await counter.ask(op.DKIM, ask.Within(domain=domain))
    subject = subject_of(settings, domain, tuple((key.name, key.record) for key in keys))
    return replace(subject, signs=any(key.state == "active" for key in keys))


async def _advice(settings: Settings, page: Page) -> str:
    """Empty where no policy is published."""
    for finding in page.findings:
        is_there = (finding.alone or finding.state) is State.THERE
        if finding.record.purpose is Purpose.DMARC and is_there:
            async with counter_of(settings) as counter:
                question = ask.SumReports(domain=page.subject.domain)
                (told,) = await counter.ask(op.REPORTS_SUMMARY, question)
                domains = await counter.ask(op.DOMAINS, ask.Nothing())
            text = finding.seen[0]
            is_ordered = _is_ordered(settings, text, domains)
            step = advise(told.dmarc, published_policy(text), is_ordered=is_ordered)
            here = page.subject.reports_uri
            return step_words(step, told.dmarc, page.language, here=here)
    return ""


def _is_ordered(settings: Settings, text: str, domains: Iterable[str]) -> bool:
    """Whether a record of DMARC orders reports to an address that takes them here, if any does."""
    names = settings.document.reports.names
    read = {f"mailto:{name}@{domain}".lower() for name in names for domain in domains}
    bare = (_DETAIL.sub("", place.lower()) for place in report_places(text))
    return not names or not read.isdisjoint(bare)


def _resolver(settings: Settings) -> DnsClient:
    patience = replace(Blueprint(settings).dns(), total_seconds=_SECONDS, server_seconds=2.0)
    return DnsClient(SystemClock(), patience)
