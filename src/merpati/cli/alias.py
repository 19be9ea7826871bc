"""`merpati alias`: addresses that lead to others."""

import click

from merpati.api.operations import ALIASES, ALIASES_ADD, ALIASES_REMOVE
from merpati.api.questions import Named, NewAlias, Within
from merpati.cli.context import asked, counter_of, json_option, settings_of
from merpati.cli.names import aliases, domains, offering, users
from merpati.cli.output import say_json, say_table


@click.group()
def alias() -> None:
    """Addresses that lead to others, here or elsewhere.

    \b
    Examples:
      merpati alias add sales@a.test ann@a.test budi@a.test
      merpati alias add '*@a.test' ann@a.test      (everything that has no other home)
      merpati alias list a.test
      merpati alias remove sales@a.test
    """


@alias.command()
@click.argument("address")
@click.argument("targets", nargs=-1, required=True, shell_complete=offering(users))
@click.pass_context
@asked
async def add(ctx: click.Context, address: str, targets: tuple[str, ...]) -> None:
    """Lead mail for ADDRESS to TARGETS; replaces what it led to before."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(ALIASES_ADD, NewAlias(alias=address, targets=targets))
    click.echo(f"{address} leads to {', '.join(targets)}.")


@alias.command()
@click.argument("address", shell_complete=offering(aliases))
@click.pass_context
@asked
async def remove(ctx: click.Context, address: str) -> None:
    """Remove an alias; its targets are not touched."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(ALIASES_REMOVE, Named(name=address))
    click.echo(f"{address} leads nowhere now.")


@alias.command("list")
@click.argument("domain", default="", shell_complete=offering(domains))
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, domain: str, as_json: bool) -> None:
    """Aliases of DOMAIN, or all."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(ALIASES, Within(domain=domain))
    if as_json:
        say_json(lines)
        return
    rows = ((line.alias, ", ".join(line.targets)) for line in lines)
    say_table(("alias", "leads to"), rows, "No alias yet: merpati alias add")
