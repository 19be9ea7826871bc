"""`merpati reload`: a changed merpati.toml, taken up by the running server."""

import click

from merpati.api.operations import RELOAD
from merpati.api.questions import Reload
from merpati.cli.context import asked, counter_of, settings_of


@click.command()
@click.pass_context
@asked
async def reload(ctx: click.Context) -> None:
    """Read the configuration and certificates again; no connection is dropped.

    Routes, limits, retry times and certificates change at once; ports, the data directory and the
    user need a restart. A file with a mistake is refused and the server goes on as before.

    \b
    Example:
      merpati config check && merpati reload
    """
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(RELOAD, Reload())
    click.echo("The server uses the new configuration.")
