"""`merpati domain setup`: what to publish in the DNS, and how what is published differs."""

import sys
from dataclasses import dataclass, replace

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.context import EX_TEMPFAIL, Refused, asked, counter_of, settings_of
from merpati.cli.names import domains, offering
from merpati.cli.output import clean, say_json
from merpati.config.settings import Settings
from merpati.mail.address import AddressError, parse_domain
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject, published_policy
from merpati.setup.record import TTL, Purpose, zone_lines
from merpati.setup.reported import advise, step_words
from merpati.setup.seen import Lookups
from merpati.setup.sts import policy_url
from merpati.setup.survey import survey
from merpati.setup.texts import cost, why

_SECONDS = 5.0
"""For one question: somebody waits."""
_SHOWN, _LONGEST = 10, 500
"""Records of strangers that are shown, and characters of each."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What is printed."""

    subject: Subject
    findings: tuple[Finding, ...]
    language: str
    is_compared: bool
    advice: str = ""
    """What the reports of others say about the policy of DMARC that is published."""


@click.command()
@click.argument("name", metavar="DOMAIN", shell_complete=offering(domains))
@click.option("--zone", "form", flag_value="zone", help="Lines for a zone file.")
@click.option("--json", "form", flag_value="json", help="JSON for programs.")
@click.option("--check", "is_compared", is_flag=True, help="Compare with what the DNS says now.")
@click.option("--lang", type=click.Choice(["en", "id"]), help="The language; else as configured.")
@click.pass_context
@asked
async def setup(
    ctx: click.Context, name: str, form: str | None, is_compared: bool, lang: str | None
) -> None:
    """Every record to publish for DOMAIN, and why.

    With --check each is compared with the DNS; the status is 1 if something is wrong, and 75 if
    nothing is known to be wrong but not every question was answered.

    \b
    Examples:
      merpati domain setup a.test
      merpati domain setup a.test --zone >> a.test.zone
      merpati domain setup a.test --check
    """
    if form == "zone" and is_compared:
        raise Refused("--zone is for records alone: leave out --check")
    settings = settings_of(ctx)
    subject = await _subject(settings, name)
    findings = await survey(subject, _resolver(settings))
    language = lang or settings.document.language.value
    page = _Page(subject, findings, language, is_compared)
    if is_compared:
        page = replace(page, advice=await _advice(settings, page))
    _FORMS[form](page)
    if is_compared:
        sys.exit(_status(findings))
    _warn(page)


def _status(findings: tuple[Finding, ...]) -> int:
    if any(one.is_fault for one in findings):
        return 1
    return EX_TEMPFAIL if any(one.state is State.UNKNOWN for one in findings) else 0


async def _subject(settings: Settings, name: str) -> Subject:
    """The domain as this server has it. Raises Refused if it is not ours."""
    from merpati.system.publishing import subject_of

    try:
        domain = parse_domain(name)
    except AddressError as error:
        raise Refused(f"{name}: {error}") from error
    async with counter_of(settings) as counter:
        if domain not in await counter.ask(op.DOMAINS, ask.Nothing()):
            raise Refused(f"{domain} is not a domain of this server: merpati domain add {domain}")
        keys = await counter.ask(op.DKIM, ask.Within(domain=domain))
    return subject_of(settings, domain, tuple((key.name, key.record) for key in keys))


async def _advice(settings: Settings, page: _Page) -> str:
    """Empty where no policy is published."""
    for finding in page.findings:
        if finding.record.purpose is Purpose.DMARC and finding.state is State.THERE:
            async with counter_of(settings) as counter:
                question = ask.SumReports(domain=page.subject.domain)
                (told,) = await counter.ask(op.REPORTS_SUMMARY, question)
            step = advise(told.dmarc, published_policy(finding.seen[0]))
            return step_words(step, told.dmarc, page.language)
    return ""


def _resolver(settings: Settings) -> Lookups:
    from merpati.clock import SystemClock  # what follows opens the network
    from merpati.dns.client import DnsClient
    from merpati.system.blueprint import Blueprint

    patience = replace(Blueprint(settings).dns(), total_seconds=_SECONDS, server_seconds=2.0)
    return DnsClient(SystemClock(), patience)


def _warn(page: _Page) -> None:
    """What is there may be worth more than what is printed, which would replace it."""
    unknown = [one.record for one in page.findings if one.state is State.UNKNOWN]
    names = [one.purpose.value for one in unknown if one.purpose in _MERGED]
    if names:
        click.echo(
            f"merpati: the DNS did not answer: if {page.subject.domain} has records for "
            f"{', '.join(names)} already, what is printed does not have their words",
            err=True,
        )


_MERGED = (Purpose.SPF, Purpose.DMARC, Purpose.TLS_REPORTS)


def _say_zone(page: _Page) -> None:
    domain = page.subject.domain
    for finding in page.findings:
        record = finding.record
        click.echo(f"; {record.purpose.value}: {why(record, page.subject, page.language)}")
        if record.is_in(domain):
            click.echo(zone_lines(record))
        elif record.value:
            # Another zone's, of the host or of the address.
            click.echo("; " + zone_lines(record).replace("\n", "\n; "))


def _say_text(page: _Page) -> None:
    for n, finding in enumerate(page.findings):
        if n:
            click.echo()
        record = finding.record
        state = f": {finding.state.value}" if page.is_compared else ""
        optional = "" if record.is_required else " (optional)"
        click.echo(click.style(f"{record.purpose.value}{optional}{state}", bold=True))
        if record.value:
            click.echo(clean(zone_lines(record), keep="\n"))
        click.echo(f"  {why(record, page.subject, page.language)}")
        if record.purpose is Purpose.STS:
            click.echo(page.subject.policy.text.replace("\r\n", "\n"), nl=False)
        if page.is_compared:
            _say_difference(finding, page)
        if page.advice and record.purpose is Purpose.DMARC:
            click.echo(f"  {page.advice}")


def _say_difference(finding: Finding, page: _Page) -> None:
    if finding.state in (State.WRONG, State.DUPLICATE, State.TOO_LONG):
        for text in finding.seen[:_SHOWN]:
            click.echo(f"  ! {clean(text[:_LONGEST])}")
    if told := cost(finding, page.subject, page.language):
        click.echo(f"  ! {told}")


def _say_json(page: _Page) -> None:
    say_json(
        {
            "domain": page.subject.domain,
            "hostname": page.subject.hostname,
            "policy": {"url": policy_url(page.subject.domain), "text": page.subject.policy.text},
            "records": [_line(finding, page) for finding in page.findings],
        }
    )


def _line(finding: Finding, page: _Page) -> dict[str, object]:
    record = finding.record
    line: dict[str, object] = {
        "purpose": record.purpose.value,
        "name": record.name,
        "type": record.kind.value,
        "value": record.value,
        "ttl": TTL,
        "required": record.is_required,
        "why": why(record, page.subject, page.language),
    }
    if page.is_compared:
        line |= {
            "state": finding.state.value,
            "seen": finding.seen,
            "cost": cost(finding, page.subject, page.language),
            "advice": page.advice if record.purpose is Purpose.DMARC else "",
        }
    return line


_FORMS = {None: _say_text, "zone": _say_zone, "json": _say_json}
