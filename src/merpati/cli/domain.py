"""`merpati domain`: whose mail ends here."""

import click

from merpati.api.operations import DOMAINS, DOMAINS_ADD, DOMAINS_REMOVE
from merpati.api.questions import Named, Nothing
from merpati.cli.context import asked, counter_of, json_option, settings_of
from merpati.cli.logo import logo
from merpati.cli.names import domains, offering
from merpati.cli.output import say_json, say_table
from merpati.cli.setup import setup


@click.group()
def domain() -> None:
    """Domains whose mail ends here.

    \b
    Examples:
      merpati domain add a.test
      merpati domain setup a.test      (what to publish in the DNS)
      merpati domain logo a.test logo.svg --certificate vmc.pem
      merpati domain list
      merpati domain remove a.test
    """


@domain.command()
@click.argument("name")
@click.pass_context
@asked
async def add(ctx: click.Context, name: str) -> None:
    """Take mail for NAME from now on."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(DOMAINS_ADD, Named(name=name))
    click.echo(f"Mail for {name} ends here now. Next: merpati user add somebody@{name}")
    click.echo(f"What to publish in the DNS: merpati domain setup {name}")


@domain.command()
@click.argument("name", shell_complete=offering(domains))
@click.pass_context
@asked
async def remove(ctx: click.Context, name: str) -> None:
    """Take no more mail for NAME; it must have no users and no aliases left."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(DOMAINS_REMOVE, Named(name=name))
    click.echo(f"Mail for {name} is refused from now on.")


@domain.command("list")
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, as_json: bool) -> None:
    """Every domain, in the order of the alphabet."""
    async with counter_of(settings_of(ctx)) as counter:
        names = await counter.ask(DOMAINS, Nothing())
    if as_json:
        say_json(names)
    else:
        say_table(("domain",), ((name,) for name in names), "No domain yet: merpati domain add")


domain.add_command(setup)
domain.add_command(logo)
