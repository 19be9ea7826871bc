"""`merpati config`: what is wrong, what is in force and why, what a key means."""

import asyncio

import click
import msgspec

from merpati.api.client import RemoteCounter
from merpati.cli.context import EX_CONFIG, Refused, json_option, settings_of
from merpati.cli.output import say_json, say_table
from merpati.clock import SystemClock
from merpati.config.advice import advise
from merpati.config.explain import Key, effective, find, keys, markdown
from merpati.config.files import look
from merpati.config.places import Places
from merpati.config.settings import Settings


@click.group()
def config() -> None:
    """Check, show and explain merpati.toml.

    \b
    Examples:
      merpati config check
      merpati --config merpati.toml config check
      merpati config show
      merpati config explain trusted
    """


def _name(settings: Settings) -> str:
    return str(settings.file) if settings.file else "no file: the developer's inbox"


@config.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say everything that is wrong with the file and the files it names.

    Warnings are about what does not stop a server: a certificate that expires within 14 days or is
    for another name, a port that is in use, a file that `user` could not read at a reload, a size,
    a count or a time that is rarely meant.
    """
    settings = settings_of(ctx)
    flaws = look(settings)
    for flaw in flaws:
        click.echo(flaw.tell(str(settings.file)), err=True)
    if flaws:
        raise click.exceptions.Exit(EX_CONFIG)
    is_running = asyncio.run(RemoteCounter(Places(settings.data).control).answers())
    for advice in advise(settings, SystemClock().now(), is_running=is_running):
        click.echo(f"warning: {advice.tell(str(settings.file))}", err=True)
    click.echo(f"{_name(settings)}: good")


@config.command()
@json_option
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Every value in force and where it came from."""
    settings = settings_of(ctx)
    values = list(effective(settings))
    if as_json:
        say_json(values)
    else:
        click.echo(f"# {_name(settings)}", err=True)
        say_table(("key", "value", "from"), ((v.key, v.value, v.source) for v in values), "")


@config.command()
@click.argument("key", default="")
@click.option("--markdown", "as_markdown", is_flag=True, help="The whole documentation page.")
@json_option
def explain(key: str, as_markdown: bool, as_json: bool) -> None:
    """What KEY means, what it may be and its default; all keys without KEY."""
    if as_markdown:
        click.echo(markdown(), nl=False)
        return
    found = find(key) if key else list(keys())
    if not found:
        raise Refused(f"no key is called {key!r}; `merpati config explain` lists all")
    if as_json:
        say_json([msgspec.to_builtins(one) for one in found])
        return
    for one in found:
        _explain(one)


def _explain(key: Key) -> None:
    absent = "required" if key.required else "optional"
    default = f"default {key.default}" if key.default else absent
    click.echo(f"{click.style(key.name, bold=True)}  ({key.kind}, {default})")
    click.echo(f"  {key.text}\n")
