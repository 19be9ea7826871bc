"""`merpati status`: how the server is."""

from collections.abc import Sequence

import click

from merpati.api.operations import STATUS
from merpati.api.questions import HeldSender, Nothing, Status, SuspendedUser, WorkerLine
from merpati.cli.context import asked, counter_of, json_option, settings_of
from merpati.cli.output import clean, counted, say_json, word

_SHOWN = 10
"""Senders on hold, before it is said that there are more."""


def _worker_line(worker: WorkerLine) -> str:
    if not worker.running:
        return f"worker {worker.shard} does not answer"
    connections = sum(worker.connections.values())
    queue = ", ".join(f"{number} {state}" for state, number in worker.queue.items())
    return f"worker {worker.shard}: process {worker.pid}, {connections} connections, {queue}"


@click.command()
@json_option
@click.pass_context
@asked
async def status(ctx: click.Context, as_json: bool) -> None:
    """How the server is: whether it runs, since when, where it listens, what waits.

    \b
    Example:
      merpati status --json
    """
    async with counter_of(settings_of(ctx), only_looks=True) as counter:
        told = await counter.ask(STATUS, Nothing())
    if as_json:
        say_json(told)
        return
    since = f" since {told.started.astimezone():%Y-%m-%d %H:%M:%S}" if told.started else ""
    click.echo(f"Merpati {told.version} {'runs' if told.running else 'does not run'}{since}")
    for port in told.ports:
        click.echo(f"  listens on {port}")
    _say_numbers(told)
    for worker in told.workers if len(told.workers) > 1 else ():
        click.echo(f"  {_worker_line(worker)}")
    if told.held_sites:
        click.echo(f"  {counted(told.held_sites, 'site')} on hold: merpati queue sites")
    _say_held_senders(told.held_senders)
    for one in told.certificates:
        trouble = one.trouble or "its key changes"
        click.echo(f"  certificate {clean(one.name)}: {clean(trouble)}")
    if told.certificates:
        click.echo("    more: merpati certificate list")
    for text in told.notices:
        click.echo(f"  {clean(text)}")
    _say_suspended(told.suspended)


def _say_numbers(told: Status) -> None:
    if told.trouble:
        click.echo(f"  no mail is taken: {clean(told.trouble)}")
    for state, number in told.queue.items():
        click.echo(f"  {number} {state}")
    for limit, number in told.limits.items():
        click.echo(f"  {number} x {limit}")


def _say_suspended(suspended: Sequence[SuspendedUser]) -> None:
    for one in suspended[:_SHOWN]:
        since = f"{one.since.astimezone():%Y-%m-%d %H:%M:%S}"
        click.echo(f"  {clean(one.address)} may not send since {since}: {clean(one.why)}")
        click.echo(f"    when all is well: merpati user resume {word(one.address)}")
    if len(suspended) > _SHOWN:
        click.echo(f"  and {counted(len(suspended) - _SHOWN, 'account')} more: merpati user list")


def _say_held_senders(held: Sequence[HeldSender]) -> None:
    for one in held[:_SHOWN]:
        until = f"{one.until.astimezone():%Y-%m-%d %H:%M:%S}"
        click.echo(
            f"  mail of {clean(one.sender)} to {clean(one.site)} waits until {until}, since that "
            f"site refuses this sender: {clean(one.why)}"
        )
        click.echo(f"    when it is mended: merpati queue resume {word(one.site)}")
    if len(held) > _SHOWN:
        click.echo(f"  and {counted(len(held) - _SHOWN, 'sender')} more: merpati status --json")
