"""A domain's records on paper: as text for people, as lines of a zone file, as JSON."""

from dataclasses import dataclass

import click

from merpati.cli.output import clean, say_json
from merpati.setup.difference import Difference
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import TTL, Purpose, zone_lines
from merpati.setup.servers import ZoneFinding
from merpati.setup.sts import policy_url
from merpati.setup.texts import cost, reason, trouble, why

_SHOWN, _LONGEST = 10, 500
"""Records of strangers that are shown, and characters of each."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is printed."""

    subject: Subject
    findings: tuple[Finding, ...]
    language: str
    is_compared: bool
    servers: tuple[ZoneFinding, ...] = ()
    """What is wrong with the servers that were asked."""
    advice: str = ""
    """What the reports of others say about the policy of DMARC that is published."""


def warn(page: Page) -> None:
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


def _say_zone(page: Page) -> None:
    domain = page.subject.domain
    for finding in page.findings:
        record = finding.record
        click.echo(f"; {record.purpose.value}: {why(record, page.subject, page.language)}")
        if record.is_in(domain):
            click.echo(zone_lines(record))
        elif record.value:
            # Another zone's, of the host or of the address.
            click.echo("; " + zone_lines(record).replace("\n", "\n; "))


def _say_text(page: Page) -> None:
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
    _say_servers(page)


def _say_servers(page: Page) -> None:
    for one in page.servers:
        click.echo()
        place = " ".join(filter(None, (one.zone, one.server)))
        click.echo(click.style(clean(f"{place}: {one.trouble.value}".lstrip(": ")), bold=True))
        if one.detail:
            click.echo(f"  ! {clean(one.detail[:_LONGEST])}")
        click.echo(f"  ! {clean(trouble(one, page.language))}")


def _say_difference(finding: Finding, page: Page) -> None:
    if finding.state in (State.WRONG, State.DUPLICATE, State.TOO_LONG, State.TOO_LARGE):
        for text in finding.seen[:_SHOWN]:
            click.echo(f"  ! {clean(text[:_LONGEST])}")
    if told := cost(finding, page.subject, page.language):
        click.echo(f"  ! {told}")


def _say_json(page: Page) -> None:
    say_json(
        {
            "domain": page.subject.domain,
            "hostname": page.subject.hostname,
            "policy": {"url": policy_url(page.subject.domain), "text": page.subject.policy.text},
            "records": [_line(finding, page) for finding in page.findings],
        }
        | ({"servers": [_server(one, page) for one in page.servers]} if page.is_compared else {})
    )


def _server(one: ZoneFinding, page: Page) -> dict[str, str]:
    return {
        "zone": one.zone,
        "server": one.server,
        "trouble": one.trouble.value,
        "detail": one.detail,
        "cost": trouble(one, page.language),
    }


def _line(finding: Finding, page: Page) -> dict[str, object]:
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


def say_steps(found: Difference, language: str) -> None:
    """What would be written, as a patch has it, and what would not. Nobody parses it: --json is
    for what is there afterwards."""
    for step in found.steps:
        name, kind = step.before.name, step.before.kind
        for mark, values, ttl in (("-", step.gone, ""), ("+", step.come, f"{step.after.ttl} ")):
            for value in values:
                click.echo(clean(f"{mark} {name}. {ttl}IN {kind} {value}"), err=True)
    if not found.steps:
        click.echo("Nothing to write.", err=True)
    for left in found.left:
        record = left.record
        text = f"# {record.purpose.value} ({record.name}) is left: {reason(left, language)}"
        click.echo(clean(text), err=True)


FORMS = {None: _say_text, "zone": _say_zone, "json": _say_json}
