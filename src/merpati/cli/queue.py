"""`merpati queue`: what waits, why, and what an operator can do about it."""

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.age import Age
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.names import (
    held_sites,
    offering,
    queued,
    recipients,
    senders,
    their_domains,
    their_sites,
)
from merpati.cli.output import clean, counted, say_json, say_table, word
from merpati.config.values import Duration

F = TypeVar("F", bound=Callable[..., Any])
_PAGE = 1000
_NAMED = 5


Action = Literal["hold", "release", "cancel"]


class Chosen(TypedDict):
    """The options of `choosing`."""

    ids: tuple[str, ...]
    domain: str
    sender: str
    recipient: str
    state: str
    older: float | None


def choosing(command: F) -> F:
    """The filter that every queue command understands; all that is given must match."""
    options = [
        click.argument("ids", nargs=-1, shell_complete=offering(queued)),
        click.option(
            "--domain", default="", shell_complete=offering(their_domains),
            help="Recipients of this domain.",
        ),
        click.option(
            "--sender", default="", shell_complete=offering(senders),
            help="From this address, @domain, or <> for notices.",
        ),
        click.option(
            "--recipient", default="", shell_complete=offering(recipients),
            help="To this address or @domain.",
        ),
        click.option("--older", type=Age(), help="Received at least so long ago: 90s, 4h, 2d."),
        click.option(
            "--state", type=click.Choice(["waiting", "in-hand", "held"]), default=None,
            help="In this state only.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _filter(chosen: Chosen) -> ask.Filter:
    return ask.Filter(
        ids=chosen["ids"],
        domain=chosen["domain"],
        sender=chosen["sender"],
        recipient=chosen["recipient"],
        state=chosen["state"] or "",  # type: ignore[arg-type]  # click checked the choice
        older=chosen["older"],
    )


@click.group()
def queue() -> None:
    """What waits, why, and what to do about it.

    \b
    Examples:
      merpati queue list --domain b.test
      merpati queue show 01JD3Q5W8ZK6T2N4R7V9X1Y3A5
      merpati queue retry --domain b.test
      merpati queue cancel --sender spammer@a.test
      merpati queue suspend b.test --for 2h
      merpati queue hold --sender ann@a.test
      merpati queue release --sender ann@a.test
      merpati queue sites
      merpati queue resume b.test
    """


@queue.command("list")
@choosing
@click.option("--limit", type=click.IntRange(1), help="At most so many lines; else all.")
@json_option
@click.pass_context
@asked
async def list_(
    ctx: click.Context, limit: int | None, as_json: bool, **chosen: Unpack[Chosen]
) -> None:
    """One line for each recipient that waits, oldest first."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await _lines(counter, _filter(chosen), limit)
    if as_json:
        say_json(lines)
    else:
        _say_lines(lines)


async def say_queue(counter: op.Counter) -> None:
    """The whole queue, as mailq does."""
    _say_lines(await _lines(counter, ask.Filter(), None))


def _say_lines(lines: list[ask.QueueLine]) -> None:
    rows = ((line.id, line.recipient, line.state, _next_try(line), line.reply) for line in lines)
    say_table(("id", "recipient", "state", "next try", "last answer"), rows, "The queue is empty.")
    # In a pipe each line of the output is a recipient.
    _say_holds(lines, err=not sys.stdout.isatty())


def _next_try(line: ask.QueueLine) -> datetime:
    """Not before the end of its site's hold."""
    return max(line.due, line.site_held_until or line.due)


def _say_holds(lines: Iterable[ask.QueueLine], *, err: bool = False) -> None:
    """Until when and why nothing is tried."""
    held = {line.site: told for line in lines if (told := _hold(line))}
    for site, told in sorted(held.items()):
        click.echo(f"{told} (merpati queue resume {word(site)})", err=err)


def _hold(line: ask.QueueLine) -> str:
    """Empty when its site is not on hold."""
    if line.site_held_until is None:
        return ""
    until = f"{line.site_held_until.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"{clean(line.site)} is on hold until {until}: {clean(line.site_why)}"


async def _lines(counter: op.Counter, wanted: ask.Filter, limit: int | None) -> list[ask.QueueLine]:
    """All pages, or as many lines as wanted."""
    lines: list[ask.QueueLine] = []
    while limit is None or len(lines) < limit:
        page = min(_PAGE, limit - len(lines)) if limit else _PAGE
        after = (lines[-1].id, lines[-1].n) if lines else None
        question = ask.ListQueue(filter=wanted, limit=page, after=after)
        found = await counter.ask(op.QUEUE_LIST, question)
        lines += found
        if len(found) < page:
            break
    return lines


@queue.command()
@click.argument("message", shell_complete=offering(queued))
@json_option
@click.pass_context
@asked
async def show(ctx: click.Context, message: str, as_json: bool) -> None:
    """A message in the queue: its recipients and its header."""
    async with counter_of(settings_of(ctx)) as counter:
        content = await counter.ask(op.QUEUE_READ, ask.ReadMessage(id=message))
        lines = await _lines(counter, ask.Filter(ids=(message,)), None)
    head = content.octets.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    if as_json:
        say_json({"recipients": lines, "header": head})
        return
    for line in lines:
        _show(line)
    click.echo("\n" + clean(head.replace("\r\n", "\n"), keep="\n\t"))


def _show(line: ask.QueueLine) -> None:
    click.echo(f"{clean(line.recipient)}: {line.state}, {counted(line.attempts, 'attempt')}")
    click.echo(f"  next try {_next_try(line).astimezone():%Y-%m-%d %H:%M:%S}, ", nl=False)
    click.echo(f"given up {line.expires.astimezone():%Y-%m-%d %H:%M:%S}")
    if line.reply:
        click.echo(f"  last answer: {clean(line.reply)}")
    if told := _hold(line):
        click.echo(f"  {told}")


def _altering(action: Action, done: str, text: str) -> click.Command:
    """A command that does one thing to what a filter chooses."""

    @queue.command(action, help=text)
    @choosing
    @click.option("--all", "everything", is_flag=True, help="Really the whole queue.")
    @click.pass_context
    @asked
    async def command(ctx: click.Context, everything: bool, **chosen: Unpack[Chosen]) -> None:
        question = ask.AlterQueue(filter=_filter(chosen), action=action, everything=everything)
        await _alter(ctx, question, done)

    return command


async def _alter(ctx: click.Context, question: ask.AlterQueue, done: str) -> None:
    async with counter_of(settings_of(ctx)) as counter:
        answer = await counter.ask(op.QUEUE_ALTER, question)
    if not answer.changed and not question.everything:
        raise Refused("nothing matched, or it is just being delivered: merpati queue list")
    click.echo(f"{counted(answer.changed, 'recipient')} {done}.")


hold = _altering("hold", "held", "Keep it back until a release; it still expires.")
release = _altering("release", "released", "Let go what was held.")
cancel = _altering("cancel", "cancelled", "End it without a notice to anybody.")


@queue.command()
@choosing
@click.option("--all", "everything", is_flag=True, help="Really the whole queue.")
@click.option("--resume", "resumes", is_flag=True, help="Lift the holds of their sites as well.")
@click.pass_context
@asked
async def retry(
    ctx: click.Context, everything: bool, resumes: bool, **chosen: Unpack[Chosen]
) -> None:
    """Make it due now instead of at its time; a site on hold stays on hold without --resume.

    \b
    Example:
      merpati queue retry --domain b.test --resume
    """
    question = ask.AlterQueue(filter=_filter(chosen), action="retry", everything=everything)
    await _alter(ctx, question, "due now")
    async with counter_of(settings_of(ctx)) as counter:
        lines = await _lines(counter, question.filter, _PAGE)
        if resumes:
            await _resume(counter, {line.site for line in lines if line.site_held_until})
    if not resumes:
        _say_holds(lines)


async def _resume(counter: op.Counter, sites: Iterable[str]) -> None:
    for site in sorted(sites):
        await counter.ask(op.SITES_HOLD, ask.HoldSite(site=site, seconds=0))
        click.echo(f"{clean(site)} gets mail again.")


@queue.command()
@click.argument("to")
@choosing
@click.option("--all", "everything", is_flag=True, help="Really the whole queue.")
@click.pass_context
@asked
async def route(ctx: click.Context, to: str, everything: bool, **chosen: Unpack[Chosen]) -> None:
    """Send what is chosen by route TO, written as in merpati.toml, and try it now.

    \b
    Example:
      merpati queue route smtp://127.0.0.1:2526 --domain b.test
    """
    question = ask.AlterQueue(
        filter=_filter(chosen), action="reroute", route=to, everything=everything
    )
    await _alter(ctx, question, f"sent by {to}")


@queue.command()
@click.argument("site", shell_complete=offering(their_sites, their_domains))
@click.option(
    "--for", "seconds", type=Age(ask.LONGEST_HOLD), default=3600.0, help="So long: 30m, 2h, 1d."
)
@click.option("--why", default="", help="For the journal and those who look.")
@click.pass_context
@asked
async def suspend(ctx: click.Context, site: str, seconds: float, why: str) -> None:
    """Send nothing to SITE for a time: a domain, a route as in merpati.toml, or a site's name.

    Mail goes in cohorts: what is sent through the same host waits together.

    \b
    Examples:
      merpati queue suspend b.test --for 2h
      merpati queue suspend smtp://127.0.0.1:2526 --why maintenance
    """
    async with counter_of(settings_of(ctx)) as counter:
        question = ask.HoldSite(site=site, seconds=seconds, why=why)
        done = await counter.ask(op.SITES_HOLD, question)
    for one in done.sites:
        resume = f"merpati queue resume {word(one)}"
        click.echo(f"{clean(one)} gets nothing for {Duration(seconds)}: {resume}")
    _say_cohort(done)


@queue.command()
@click.argument("site", shell_complete=offering(held_sites))
@click.pass_context
@asked
async def resume(ctx: click.Context, site: str) -> None:
    """Send to SITE again, and try at once what waits there.

    Ends the hold of SITE, and of senders whose mail waits since SITE refused them; `merpati status`
    names both.
    """
    async with counter_of(settings_of(ctx)) as counter:
        done = await counter.ask(op.SITES_HOLD, ask.HoldSite(site=site, seconds=0))
    for one in done.sites:
        click.echo(f"{clean(one)} gets mail again.")
    _say_cohort(done)
    click.echo(f"{counted(done.changed, 'recipient')} due now.")


def _say_cohort(done: ask.SitesChanged) -> None:
    """Whose mail it is, where the name does not say so."""
    if done.domains and done.domains != done.sites:
        more = len(done.domains) - _NAMED
        named = ", ".join(map(clean, done.domains[:_NAMED])) + (f" and {more} more" * (more > 0))
        click.echo(f"This is where mail for {named} goes.")


@queue.command()
@json_option
@click.pass_context
@asked
async def sites(ctx: click.Context, as_json: bool) -> None:
    """Sites on hold, until when and why."""
    async with counter_of(settings_of(ctx)) as counter:
        held = await counter.ask(op.SITES_HELD, ask.Nothing())
    if as_json:
        say_json(held)
        return
    rows = ((one.site, one.until, one.why) for one in held)
    say_table(("site", "until", "why"), rows, "No site is on hold.")
