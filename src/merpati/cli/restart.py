"""`merpati restart`: new workers in the place of the old ones, without an interruption."""

import click

from merpati.api.operations import RESTART
from merpati.api.questions import Nothing
from merpati.cli.context import asked, counter_of, settings_of


@click.command()
@click.pass_context
@asked
async def restart(ctx: click.Context) -> None:
    """Replace the workers one after the other; the others go on serving meanwhile.

    This frees what a worker holds and takes up what a reload cannot. It needs two workers or more,
    and it does not load a new version of Merpati: for that, restart the service.

    \b
    Example:
      merpati restart && merpati status
    """
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(RESTART, Nothing())
    click.echo("The workers are being replaced. `merpati status` shows how far it is.")
