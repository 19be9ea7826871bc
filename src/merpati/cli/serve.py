"""`merpati serve`: the server itself."""

import errno
import os
from pathlib import Path
from typing import TypedDict, Unpack

import click

from merpati.cli.context import Misconfigured, Refused, settings_of
from merpati.config.errors import ConfigError
from merpati.config.settings import DATA_VARIABLE, INBOX_HTTP, INBOX_SMTP, Settings, developer_inbox
from merpati.errors import MerpatiError
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError


class Address(click.ParamType[Endpoint]):
    """`127.0.0.1:1025`."""

    name = "address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Endpoint:
        """An endpoint, or a mistake on the command line."""
        try:
            return Endpoint.parse(str(value))
        except WireError as error:
            self.fail(str(error), param, ctx)


class Chosen(TypedDict):
    """What the command line says."""

    config: Path | None
    inbox: bool
    smtp: Endpoint | None
    http: Endpoint | None
    data: str | None


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The file.")
@click.option("--inbox", is_flag=True, help="A developer's inbox, whatever merpati.toml there is.")
@click.option("--smtp", type=Address(), help="The developer's inbox only: instead of port 1025.")
@click.option("--http", type=Address(), help="The developer's inbox only: instead of port 8025.")
@click.option("--data", help="The developer's inbox only: where to keep it; as $MERPATI_DATA.")
@click.option("--no-uvloop", is_flag=True, help="Use Python's own event loop.")
@click.pass_context
def serve(ctx: click.Context, no_uvloop: bool, **chosen: Unpack[Chosen]) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Without a merpati.toml this is a developer's inbox on 127.0.0.1:1025: it takes any login and
    any recipient, keeps every message, sends none. `merpati inbox` shows what came.

    \b
    Examples:
      merpati serve
      merpati serve --config /etc/merpati/merpati.toml
    """
    from merpati.supervisor.process import run  # loads the whole server

    settings = _settings(ctx, chosen)
    try:
        run(settings, use_uvloop=not no_uvloop)
    except ConfigError as error:
        raise Misconfigured(str(error)) from error
    except MerpatiError as error:
        raise Refused(f"{error}{_way_out(settings, error)}") from error


def _way_out(settings: Settings, error: MerpatiError) -> str:
    """What to do about a port that somebody else has."""
    cause = error.__cause__
    if not (isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE):
        return ""
    if settings.is_inbox:
        return (
            ". Does an inbox run already? One more needs ports and a place of its own: merpati "
            "serve --smtp 127.0.0.1:1026 --http 127.0.0.1:8027 --data DIRECTORY"
        )
    here = f" {error} "
    if any(f" {end}: " in here for end in (INBOX_SMTP, INBOX_HTTP)):
        return (
            ". A developer's inbox takes this port, where one runs: end it, or write another "
            f"port into {settings.file}"
        )
    return ". Who has it: ss -ltnp"


def _settings(ctx: click.Context, chosen: Chosen) -> Settings:
    if chosen["config"]:
        ctx.find_root().obj = chosen["config"]
    if chosen["inbox"] and ctx.find_root().obj:
        raise Refused("--inbox and --config exclude each other: a developer's inbox has no file")
    smtp, http, data = chosen["smtp"], chosen["http"], chosen["data"]
    settings = None if chosen["inbox"] else settings_of(ctx)
    if settings is None or settings.is_inbox:
        environment = {**os.environ, DATA_VARIABLE: data} if data else os.environ
        return developer_inbox(environment, smtp, http)
    if smtp or http or data:
        raise Refused(f"--smtp, --http and --data are not for {settings.file}; write them there")
    return settings
