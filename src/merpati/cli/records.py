"""A domain's records on paper: as text for people, as lines of a zone file, as JSON."""

from dataclasses import dataclass

import click

from merpati.cli.output import clean, say_json
from merpati.setup.caveat import Harm
from merpati.setup.difference import Difference
from merpati.setup.finding import Finding, State
from merpati.setup.plan import Subject
from merpati.setup.record import TTL, Purpose, zone_lines
from merpati.setup.served import ServedFinding
from merpati.setup.servers import ZoneFinding
from merpati.setup.sts import policy_url
from merpati.setup.texts import (
    caveat_words,
    cost,
    left_words,
    optional,
    own_cost,
    remark_words,
    state_words,
    sum_words,
    trouble,
    trouble_name,
    visit_name,
    visit_why,
    why,
    writing,
)

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
    served: tuple[ServedFinding, ...] = ()
    """What the records lead people to."""
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


def warn_of_policy(page: Page) -> None:
    """Before the record that asks senders to look at our certificate is published, and after."""
    if fault := page.subject.policy_fault:
        click.echo(f'merpati: {fault}; say mode = "testing" in [mta_sts] until then', err=True)


_MERGED = (Purpose.SPF, Purpose.DMARC, Purpose.TLS_REPORTS)


def _say_zone(page: Page) -> None:
    domain = page.subject.domain
    for finding in page.findings:
        record = finding.record
        click.echo(f"; {record.purpose.value}: {why(record, page.subject, page.language)}")
        is_sts = record.purpose is Purpose.STS
        if record.is_in(domain) and (page.subject.serves_policy or not is_sts):
            click.echo(zone_lines(record))
        elif record.value:
            # Another zone's, of the host or of the address; or its policy has to be there first.
            click.echo(_commented(zone_lines(record)))
        if is_sts:
            click.echo(_commented(page.subject.policy.text.strip().replace("\r\n", "\n")))


def _commented(lines: str) -> str:
    return "; " + lines.replace("\n", "\n; ")


def _say_text(page: Page) -> None:
    for n, finding in enumerate(page.findings):
        if n:
            click.echo()
        record = finding.record
        state = f": {state_words(finding.state, page.language)}" if page.is_compared else ""
        mark = "" if record.is_required else f" ({optional(page.language)})"
        click.echo(click.style(f"{record.purpose.value}{mark}{state}", bold=True))
        if record.value:
            click.echo(clean(zone_lines(record), keep="\n"))
        click.echo(f"  {why(record, page.subject, page.language)}")
        if record.purpose is Purpose.STS:
            click.echo(page.subject.policy.text.replace("\r\n", "\n"), nl=False)
        if page.is_compared:
            _say_difference(finding, page)
        if page.advice and record.purpose is Purpose.DMARC:
            click.echo(f"  {page.advice}")
    if page.is_compared:
        _say_served(page)
        _say_servers(page)
        _say_sum(page)


def _say_sum(page: Page) -> None:
    named = [
        *((one.record.purpose.value, one.is_fault, one.state) for one in page.findings),
        *((visit_name(one.visit, page.language), one.is_fault, one.state) for one in page.served),
        *((_place(one), one.is_fault, None) for one in page.servers),
    ]
    wrong = dict.fromkeys(name for name, is_fault, _ in named if is_fault)
    unknown = dict.fromkeys(name for name, _, state in named if state is State.UNKNOWN)
    click.echo()
    warned = dict.fromkeys(name for name, _, state in named if state is State.WARNING)
    for line in sum_words([*wrong], [*warned], [*unknown], page.language):
        click.echo(click.style(clean(line), bold=True))


def _place(one: ZoneFinding) -> str:
    return " ".join(filter(None, (one.zone, one.server)))


def _say_served(page: Page) -> None:
    for one in page.served:
        state = state_words(one.state, page.language)
        click.echo()
        click.echo(click.style(f"{visit_name(one.visit, page.language)}: {state}", bold=True))
        click.echo(clean(one.visit.url))
        click.echo(f"  {visit_why(one.visit, page.subject, page.language)}")
        for remark in one.remarks:
            if remark.detail:
                click.echo(f"  ! {clean(remark.detail[:_LONGEST])}")
            click.echo(f"  ! {clean(remark_words(remark, one.visit, page.subject, page.language))}")


def _say_servers(page: Page) -> None:
    for one in page.servers:
        click.echo()
        name = f"{_place(one)}: {trouble_name(one, page.language)}"
        click.echo(click.style(clean(name.lstrip(": ")), bold=True))
        if one.detail:
            click.echo(f"  ! {clean(one.detail[:_LONGEST])}")
        click.echo(f"  ! {clean(trouble(one, page.language))}")


def _say_difference(finding: Finding, page: Page) -> None:
    if finding.state in _DIFFERENT:
        for text in finding.seen[:_SHOWN]:
            click.echo(f"  ! {clean(text[:_LONGEST])}")
    if told := own_cost(finding, page.subject, page.language):
        click.echo(f"  ! {told}")
    for harm, details in _by_harm(finding).items():
        for detail in details[:_SHOWN]:
            click.echo(f"  ! {clean(detail[:_LONGEST])}")
        click.echo(f"  ! {caveat_words(finding, harm, page.subject, page.language)}")


def _by_harm(finding: Finding) -> dict[Harm, list[str]]:
    """What shows each harm, which is explained once."""
    harms: dict[Harm, list[str]] = {}
    for one in finding.caveats:
        harms.setdefault(one.harm, []).extend(filter(None, [one.detail]))
    return harms


_DIFFERENT = (State.WARNING, State.WRONG, State.DUPLICATE, State.TOO_LONG, State.TOO_LARGE)


def _say_json(page: Page) -> None:
    say_json(
        {
            "domain": page.subject.domain,
            "hostname": page.subject.hostname,
            "policy": {"url": policy_url(page.subject.domain), "text": page.subject.policy.text},
            "records": [_line(finding, page) for finding in page.findings],
        }
        | (_compared(page) if page.is_compared else {})
    )


def _compared(page: Page) -> dict[str, object]:
    return {
        "served": [_served(one, page) for one in page.served],
        "servers": [_server(one, page) for one in page.servers],
    }


def _served(one: ServedFinding, page: Page) -> dict[str, object]:
    remarks = [
        {
            "flaw": remark.flaw.value,
            "detail": remark.detail,
            "cost": remark_words(remark, one.visit, page.subject, page.language),
        }
        for remark in one.remarks
    ]
    return {
        "document": one.visit.page.value,
        "url": one.visit.url,
        "state": one.state.value,
        "why": visit_why(one.visit, page.subject, page.language),
        "remarks": remarks,
    }


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
            "caveats": [
                {
                    "harm": one.harm.value,
                    "detail": one.detail,
                    "cost": caveat_words(finding, one.harm, page.subject, page.language),
                }
                for one in finding.caveats
            ],
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
        click.echo(writing("nothing", language), err=True)
    for left in found.left:
        click.echo(clean(f"# {left_words(left, language)}"), err=True)


FORMS = {None: _say_text, "zone": _say_zone, "json": _say_json}
