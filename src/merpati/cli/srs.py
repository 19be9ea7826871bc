"""`merpati srs`: the senders under which mail of strangers was sent on."""

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.context import asked, counter_of, json_option, settings_of
from merpati.cli.output import say_json, say_table


@click.group()
def srs() -> None:
    """Senders under which an alias sends mail on, and the keys that stamp them.

    Keys are made by themselves: the first with the first mail that is sent on, a new one each
    month. There is nothing to do but where a key became known to others.

    \b
    Examples:
      merpati srs list
      merpati srs whose SRS0=QWERTY=LB=b.test=bob@a.test
      merpati srs rotate --forget
    """


@srs.command("list")
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, as_json: bool) -> None:
    """The keys and how long each is good for."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(op.SRS, ask.Nothing())
    if as_json:
        say_json(lines)
        return
    headings = ("key", "stamps", "since", "until", "known until")
    rows = (
        (line.number, "yes" if line.stamps else "no", line.since, line.until, line.known_until)
        for line in lines
    )
    say_table(headings, rows, "No key yet: the first mail that is sent on makes one")


@srs.command()
@click.argument("address")
@click.pass_context
@asked
async def whose(ctx: click.Context, address: str) -> None:
    """Say whose sender ADDRESS is, if it was made here and is still good."""
    async with counter_of(settings_of(ctx)) as counter:
        found = await counter.ask(op.SRS_ORIGINAL, ask.Named(name=address))
    click.echo(found.address)


@srs.command()
@click.option("--forget", is_flag=True, help="Earlier stamps are void: their notices are refused.")
@click.pass_context
@asked
async def rotate(ctx: click.Context, forget: bool) -> None:
    """Stamp by a new key from now on. What earlier keys stamped is known for its three weeks."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(op.SRS_ROTATE, ask.NewStampKey(forget=forget))
    click.echo(f"Key {lines[0].number} stamps from now on; {len(lines) - 1} before it are known.")
