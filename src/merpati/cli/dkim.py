"""`merpati dkim`: keys that sign mail."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, get_args

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.questions import DkimKind as Kind
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.names import domains, offering
from merpati.cli.output import clean, say_json, say_table
from merpati.config.settings import Settings
from merpati.setup.dkim import published
from merpati.setup.record import Kind as Type
from merpati.setup.record import Purpose, Record, zone_lines

_PRIVATE = 0o600
# An RSA key of 4,096 bits takes 2 KB.
_LONGEST_PEM = 10_000


@click.group()
def dkim() -> None:
    """Keys that sign mail, so that receivers believe who sent it.

    A key is made, published in the DNS, and signs from the next rotation on; the one before stays
    published until what it signed has arrived.

    \b
    Examples:
      merpati dkim add a.test          (then publish the records that it prints)
      merpati dkim rotate a.test       (looks into the DNS first)
      merpati dkim list
      merpati dkim show a.test 202601-rsa
      merpati dkim export a.test 202601-rsa --to key.pem
      merpati dkim import a.test 202601-rsa key.pem
      merpati dkim remove a.test 202601-rsa
    """


@dkim.command()
@click.argument("domain", shell_complete=offering(domains))
@click.option(
    "--algorithm",
    "-a",
    "kinds",
    type=click.Choice(get_args(Kind)),
    multiple=True,
    default=("rsa-2048", "ed25519"),
    help="May be given twice; without it one key of RSA with 2,048 bits, and one of Ed25519.",
)
@click.option("--selector", default="", help="For a single key; else by month and algorithm.")
@click.pass_context
@asked
async def add(ctx: click.Context, domain: str, kinds: tuple[Kind, ...], selector: str) -> None:
    """Make keys for DOMAIN and print the records to publish. They do not sign yet."""
    if selector and len(kinds) > 1:
        raise Refused("a selector names one key: say also which, by --algorithm")
    made: list[ask.DkimKeyLine] = []
    try:
        async with counter_of(settings_of(ctx)) as counter:
            for kind in kinds:
                question = ask.NewDkimKey(domain=domain, selector=selector, kind=kind)
                made.append(await counter.ask(op.DKIM_ADD, question))
            ours = await counter.ask(op.DOMAINS, ask.Nothing())
    finally:
        if made:
            _say_added(made)
    _doubt(made[0], ours)


@dkim.command("import")
@click.argument("domain", shell_complete=offering(domains))
@click.argument("selector")
@click.argument("file", type=click.File("rb"))
@click.pass_context
@asked
async def import_(ctx: click.Context, domain: str, selector: str, file: BinaryIO) -> None:
    """Take a private key in PEM from FILE (- is the input), to sign as SELECTOR of DOMAIN."""
    pem = file.read(_LONGEST_PEM + 1)
    if len(pem) > _LONGEST_PEM or not pem.isascii():
        raise Refused("not a private key in PEM")
    question = ask.NewDkimKey(domain=domain, selector=selector, pem=pem.decode())
    async with counter_of(settings_of(ctx)) as counter:
        line = await counter.ask(op.DKIM_ADD, question)
        ours = await counter.ask(op.DOMAINS, ask.Nothing())
    _say_added([line])
    _doubt(line, ours)


@dkim.command("list")
@click.argument("domain", default="", shell_complete=offering(domains))
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, domain: str, as_json: bool) -> None:
    """Keys of DOMAIN, or all, and since when they are in their state."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(op.DKIM, ask.Within(domain=domain))
    if as_json:
        say_json(lines)
        return
    headings = ("domain", "selector", "algorithm", "state", "since", "may go")
    rows = (
        (line.domain, line.selector, line.kind, line.state, line.since, line.removable)
        for line in lines
    )
    say_table(headings, rows, "No key yet: merpati dkim add")


@dkim.command()
@click.argument("domain", shell_complete=offering(domains))
@click.argument("selector", default="")
@click.pass_context
@asked
async def show(ctx: click.Context, domain: str, selector: str) -> None:
    """The records to publish for DOMAIN, as lines of a zone file."""
    for line in await _keys(settings_of(ctx), domain, selector):
        click.echo(f"; {line.kind}, {line.state} since {line.since:%Y-%m-%d}: {_WHY[line.state]}")
        click.echo(_zone(line))


_WHY = {
    "next": "publish it, then let it take over with `merpati dkim rotate`",
    "active": "receivers verify by it",
    "retired": "mail that it signed is still on its way",
}


@dkim.command()
@click.argument("domain", shell_complete=offering(domains))
@click.option("--unchecked", is_flag=True, help="Do not look into the DNS first.")
@click.pass_context
@asked
async def rotate(ctx: click.Context, domain: str, unchecked: bool) -> None:
    """Let the next keys of DOMAIN sign from now on, and retire those that did.

    It is refused while the DNS does not have the next keys: receivers would believe nothing that
    they sign.
    """
    settings = settings_of(ctx)
    if not unchecked:
        await _insist_on_records(settings, domain)
    async with counter_of(settings) as counter:
        changed = await counter.ask(op.DKIM_ROTATE, ask.Named(name=domain))
    for line in changed:
        if line.state == "active":
            click.echo(f"{line.name} signs mail of {line.domain} from now on.")
        else:
            click.echo(
                f"{line.name} is retired. Keep its record until {line.removable:%Y-%m-%d}, then: "
                f"merpati dkim remove {line.domain} {line.selector}"
            )


@dkim.command()
@click.argument("domain", shell_complete=offering(domains))
@click.argument("selector")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A new file, private.")
@click.pass_context
@asked
async def export(ctx: click.Context, domain: str, selector: str, to: Path | None) -> None:
    """Print the private key in PEM, or write it into a file that only you can read."""
    async with counter_of(settings_of(ctx)) as counter:
        secret = await counter.ask(op.DKIM_EXPORT, ask.DkimKeyOf(domain=domain, selector=selector))
    if to is None:
        click.echo(secret.pem, nl=False)
        return
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
            file.write(secret.pem)
    except OSError as error:
        raise Refused(f"cannot write {to}: {error.strerror}") from error
    click.echo(f"The private key is in {to}.")


@dkim.command()
@click.argument("domain", shell_complete=offering(domains))
@click.argument("selector")
@click.option("--force", is_flag=True, help="Even if mail that it signed may still be on its way.")
@click.pass_context
@asked
async def remove(ctx: click.Context, domain: str, selector: str, force: bool) -> None:
    """Forget a key for good."""
    question = ask.DkimKeyOf(domain=domain, selector=selector, force=force)
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.DKIM_REMOVE, question)
    click.echo(f"The key is gone. Take {selector}._domainkey.{domain} out of the DNS, too.")


def _zone(line: ask.DkimKeyLine) -> str:
    return zone_lines(Record(Purpose.DKIM, Type.TXT, line.name, line.record))


def _say_added(lines: Sequence[ask.DkimKeyLine]) -> None:
    click.echo("; Publish in the DNS, so that receivers can verify what these keys sign:")
    for line in lines:
        click.echo(_zone(line))
    domain = lines[0].domain
    click.echo("; They do not sign yet: a resolver that looked too early remembers for a while")
    click.echo(f"; that there was nothing. An hour later: merpati dkim rotate {domain}")


def _doubt(made: ask.DkimKeyLine, ours: Sequence[str]) -> None:
    """A relay signs for domains that have no mailbox here; more often the name is misspelt."""
    domain = made.domain
    if not any(domain == own or domain.endswith(f".{own}") for own in ours):
        click.echo(
            f"merpati: {domain} is none of `merpati domain list`: its keys sign only what those "
            f"send who may use it. A slip? merpati dkim remove {domain} {made.selector}",
            err=True,
        )


async def _keys(settings: Settings, domain: str, selector: str = "") -> list[ask.DkimKeyLine]:
    async with counter_of(settings) as counter:
        lines = await counter.ask(op.DKIM, ask.Within(domain=domain))
    found = [line for line in lines if selector in ("", line.selector)]
    if not found:
        raise Refused(f"{domain} has no key {selector}".rstrip() + ": merpati dkim add")
    return found


async def _insist_on_records(settings: Settings, domain: str) -> None:
    """Every next key must be seen in the DNS."""
    from merpati.clock import SystemClock  # what follows opens the network
    from merpati.dns.client import DnsClient
    from merpati.system.blueprint import Blueprint

    resolver = DnsClient(SystemClock(), Blueprint(settings).dns())
    for line in await _keys(settings, domain):
        if line.state != "next":
            continue
        answer = await resolver.txt(line.name)
        texts = [record.decode("ascii", "backslashreplace") for record in answer.records]
        if not any(published(text, line.record) for text in texts):
            seen = clean(f"it has {texts[0][:80]!r}…") if texts else "it has nothing there"
            raise Refused(
                f"{line.name} is not published: {seen}. Publish what `merpati dkim show {domain} "
                f"{line.selector}` prints, wait, try again; --unchecked does not look"
            )
