"""`merpati restore`: put a backup where there is no data."""

import os
from datetime import datetime
from pathlib import Path

import click

from merpati.cli.context import asked, become_owner, settings_of
from merpati.cli.output import clean, counted
from merpati.config.places import Places


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.pass_context
@asked
async def restore(ctx: click.Context, folder: Path) -> None:
    """Put the backup in FOLDER into the data directory, which must be empty. No server may run.

    What was delivered after the backup was taken is delivered again; what was accepted after it is
    not in it. The merpati.toml in FOLDER is for you to compare: it is not put anywhere.

    \b
    Examples:
      merpati restore /backup/2026-11-23
      merpati verify
    """
    from merpati.system.backup import restore as put_back  # opens databases

    settings = settings_of(ctx)
    os.umask(0o077)
    become_owner(settings)
    done = put_back(folder, Places(settings.data))
    taken = f"{datetime.fromtimestamp(done.at).astimezone():%Y-%m-%d %H:%M:%S}"
    click.echo(
        f"The backup of {taken} by Merpati {clean(done.merpati)} is in {settings.data}, with "
        f"{counted(done.messages, 'message')} of mailboxes."
    )
    click.echo("What was delivered since then will be delivered again. Next: merpati verify")
