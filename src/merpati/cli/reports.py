"""`merpati reports`: what others report of our mail and of TLS with our hosts, and we of theirs."""

import sys
from datetime import datetime

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.age import Age
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.names import domains, offering
from merpati.cli.output import counted, say_json, say_table
from merpati.cli.reported import say_report, say_summary, say_unreadable

_ALL_ROWS = 50_000
_MONTH = 30 * 86400.0
_since = click.option(
    "--since", type=Age(), default=_MONTH, metavar="TIME", help="How far back: 7d, 12w; else 30d."
)
_language = click.option(
    "--lang", type=click.Choice(["en", "id"]), help="The language; else as configured."
)
_of_domain = click.argument("domain", default="", shell_complete=offering(domains))


@click.group()
def reports() -> None:
    """What other servers report: who sends in your domains' names and passes DMARC, how TLS with
    your hosts goes, complaints.

    They come by mail to mail-reports@ each domain, once the records that `merpati domain setup`
    prints are published.

    \b
    Examples:
      merpati reports summary
      merpati reports summary a.test --since 7d --lang id
      merpati reports list --kind unreadable
      merpati reports show 01JD3Q5W8ZK6T2N4R7V9X1Y3A5
      merpati reports send
    """


@reports.command()
@_of_domain
@_since
@_language
@json_option
@click.pass_context
@asked
async def summary(
    ctx: click.Context, domain: str, since: float, lang: str | None, as_json: bool
) -> None:
    """What the reports of DOMAIN, or of every domain here, say together, and what to do next.

    A report counts unless its own mail was examined and proves nothing: anybody can forge one.
    """
    settings = settings_of(ctx)
    async with counter_of(settings, only_looks=True) as counter:
        question = ask.SumReports(domain=domain, seconds=since)
        found = await counter.ask(op.REPORTS_SUMMARY, question)
        unreadable = ask.ListReports(seconds=since, kind="unreadable")
        strays = [] if domain else await counter.ask(op.REPORTS, unreadable)
    if as_json:
        say_json(found)
        return
    language = lang or settings.document.language.value
    if not found:
        click.echo(
            "No report has come yet: merpati domain setup prints the records that order them."
        )
    for n, one in enumerate(found):
        if n:
            click.echo()
        say_summary(one, language)
    say_unreadable(len(strays), language)


@reports.command("list")
@_of_domain
@_since
@click.option(
    "--kind",
    type=click.Choice(["dmarc", "tls", "complaint", "unreadable"]),
    help="Only these.",
)
@json_option
@click.pass_context
@asked
async def list_(
    ctx: click.Context, domain: str, since: float, kind: str | None, as_json: bool
) -> None:
    """Reports about DOMAIN, or all, that came lately, newest first; a thousand at most."""
    question = ask.ListReports(domain=domain, seconds=since, kind=kind or "")  # type: ignore[arg-type]  # click has checked it
    async with counter_of(settings_of(ctx), only_looks=True) as counter:
        lines = await counter.ask(op.REPORTS, question)
    if as_json:
        say_json(lines)
        return
    headings = ("id", "came", "kind", "domain", "of", "proven", "messages", "failed", "report")
    rows = (
        (
            *(line.origin.id, line.origin.at, line.kind, line.domain or None),
            *(line.origin.author or None, line.origin.proof, line.total, line.failed),
            line.why or line.report_id,
        )
        for line in lines
    )
    say_table(headings, rows, "No report has come.")


@reports.command()
@click.argument("id_", metavar="ID")
@click.option("--original", is_flag=True, help="Of one that cannot be read: the mail as it came.")
@json_option
@click.pass_context
@asked
async def show(ctx: click.Context, id_: str, original: bool, as_json: bool) -> None:
    """The whole report ID, and what proves that it is from whom it says.

    The ID is also that of the message which brought it: `merpati trace ID` tells how it came.
    """
    question = ask.ReadReport(id=id_, rows=_ALL_ROWS) if as_json else ask.ReadReport(id=id_)
    async with counter_of(settings_of(ctx), only_looks=True) as counter:
        found = await counter.ask(op.REPORTS_SHOW, question)
    if original:
        if found.unreadable is None:
            raise Refused(f"{id_} could be read; its mail was not kept")
        # As octets, for a file: a terminal is shown `show` without --original.
        sys.stdout.buffer.write(found.unreadable.octets)
        return
    if as_json:
        say_json(found)
        return
    say_report(found)


@reports.command()
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Of this day and those before, in UTC; else yesterday.",
)
@click.pass_context
@asked
async def send(ctx: click.Context, day: datetime | None) -> None:
    """Send daily reports to other domains now, instead of some hours after midnight UTC.

    Each goes to those whom the domain's record names, if there are any; what happens on the day
    afterwards goes into a second one. `merpati trace` and `merpati queue list` show the mail.

    \b
    Example:
      merpati reports send --day 2026-04-01
    """
    question = ask.SendReports(day=f"{day:%Y-%m-%d}" if day else "")
    async with counter_of(settings_of(ctx)) as counter:
        done = await counter.ask(op.REPORTS_SEND, question)
    click.echo(f"{counted(done.changed, 'report')} had waited, and went to those who want them.")
