"""`merpati certificate`: what is shown to whom, until when, and its key's change."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.errors import Unknown
from merpati.certificates.reason import Reason
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.output import clean, say_json, say_table
from merpati.config.settings import Settings

_IN_ORDER = "twice their TTL after they were seen the new key is taken into use."
_HURRIED = (
    "it is in use as soon as the CA has signed it, whatever the DNS says: publish its record now."
)
_IN_DNS = {
    "key": "in the DNS, of this key",
    "certificate": "in the DNS, of this certificate alone: wrong after its renewal",
    "authority": "in the DNS, of an authority above it",
    "next-key": "in the DNS, of the key that follows",
    "other": "in the DNS, of another key",
    "unmade": "in the DNS, in a form that cannot be made here: take it out",
    "void": "in the DNS, and nobody goes by it",
}
_PATIENCE = 60
"""Seconds that `renew` waits for the CA."""


@click.group()
def certificate() -> None:
    """Certificates that clients are shown, and keys that change in a safe order.

    \b
    Examples:
      merpati certificate list
      merpati certificate show mail.a.test
      merpati certificate renew mail.a.test
      merpati certificate roll mail.a.test
      merpati certificate revoke mail.a.test --reason key-compromise
      merpati certificate account --new-key
    """


@certificate.command("list")
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, as_json: bool) -> None:
    """All of them; the first is for clients that ask for no name."""
    lines = await _lines(settings_of(ctx))
    if as_json:
        say_json(lines)
        return
    headings = ("certificate", "from", "until", "next", "trouble")
    rows = ((line.name, line.origin, line.ends, line.renewal, _trouble(line)) for line in lines)
    say_table(headings, rows, "There is none: the server makes one at its start")


def _trouble(line: ask.CertificateLine) -> str:
    return line.trouble or ("its key changes" if line.rolling else "")


@certificate.command()
@click.argument("name")
@json_option
@click.pass_context
@asked
async def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """What NAME is for, the TLSA records that the DNS has of its hosts, and those that it lacks."""
    line = await _detail(settings_of(ctx), name)
    if as_json:
        say_json(line)
        return
    click.echo(f"{clean(line.name)} ({line.origin}): {clean(line.file)}")
    if line.ends and line.begins:
        click.echo(f"  for {clean(', '.join(line.names)) or 'no name'}")
        click.echo(f"  from {_at(line.begins)} until {_at(line.ends)}")
    if line.renewal:
        why = " as the CA suggests" if line.suggested else ""
        click.echo(f"  the CA is asked for the next one at {_at(line.renewal)}{why}")
    if line.trouble:
        click.echo(f"  {clean(line.trouble)}")
    for host in line.hosts:
        _say_records(host)
    if line.rolling:
        _say_rolling(line.rolling, line)


@certificate.command()
@click.argument("name")
@click.pass_context
@asked
async def renew(ctx: click.Context, name: str) -> None:
    """Have the CA asked for another certificate NAME now, with the same key.

    Public CAs give the same names five certificates a week.
    """
    async with counter_of(settings_of(ctx)) as counter:
        status = await counter.ask(op.STATUS, ask.Nothing())
        before = await counter.ask(op.CERTIFICATES_RENEW, ask.Named(name=name))
        if not status.running:
            click.echo("No server runs: the CA is asked when it does.")
            return
        for _ in range(_PATIENCE):
            lines = await counter.ask(op.CERTIFICATES, ask.Nothing())
            line = next(one for one in lines if one.name == before.name)
            if line.issued != before.issued and line.ends:
                click.echo(f"{clean(line.name)} is renewed, until {_at(line.ends)}")
                return
            if line.failures > before.failures:
                raise Refused(clean(line.trouble))
            await asyncio.sleep(1)
    raise Refused(f"the CA is not done after {_PATIENCE} s: merpati certificate show {name}")


@certificate.command()
@click.argument("name")
@click.pass_context
@asked
async def roll(ctx: click.Context, name: str) -> None:
    """Change the key of NAME, in the order that TLSA records want; call it again to see how far.

    The new key's record has to stand beside the old one for twice its TTL before the key is used.
    With [[dns.update]] records are written and taken out by the server; without it they are
    printed, and nothing goes on before the server has seen them in the DNS.
    """
    async with counter_of(settings_of(ctx)) as counter:
        line = await counter.ask(op.CERTIFICATES_ROLL, ask.Named(name=name))
        if line.rolling:
            _say_rolling(line.rolling, await counter.ask(op.CERTIFICATES_SHOW, _named(line)))


@certificate.command()
@click.argument("name")
@click.option(
    "--reason",
    type=click.Choice([one.value for one in Reason]),
    default="unspecified",
    help="What others are told; key-compromise also changes the key at once.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
@asked
async def revoke(ctx: click.Context, name: str, reason: str, yes: bool) -> None:
    """Have the CA declare the certificate NAME void, and get another one at once.

    With --reason key-compromise the next one has a new key. TLSA records are changed with
    [[dns.update]] at the same time, else they are printed: until they are right, hosts that go by
    DANE send nothing.
    """
    settings = settings_of(ctx)
    await _find(settings, name)
    if not yes:
        click.confirm(f"Revoke the certificate {name}? It cannot be undone.", abort=True, err=True)
    async with counter_of(settings) as counter:
        wish = ask.Revocation(name=name, reason=Reason(reason))
        line = await counter.ask(op.CERTIFICATES_REVOKE, wish)
        click.echo(
            f"{clean(line.name)} is revoked; another one is asked for while the server runs."
        )
        if line.rolling:
            _say_rolling(line.rolling, await counter.ask(op.CERTIFICATES_SHOW, _named(line)))


@certificate.command()
@click.option("--new-key", is_flag=True, help="Be known to the CA by another key from now on.")
@click.option("--deactivate", is_flag=True, help="End the account: the CA takes nothing of it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
@asked
async def account(ctx: click.Context, new_key: bool, deactivate: bool, yes: bool) -> None:
    """Change the key of our account at the CA of [acme], or end the account.

    Certificates stay what they are. While [acme] is in merpati.toml, the next renewal makes a new
    account where there is none.
    """
    if new_key == deactivate:
        raise click.UsageError("either --new-key or --deactivate")
    if deactivate and not yes:
        click.confirm("End the account for good?", abort=True, err=True)
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.CERTIFICATES_ACCOUNT, ask.CaAccount(close=deactivate))
    click.echo("The account is closed." if deactivate else "The account has a new key.")


def _say_records(host: ask.HostTlsa) -> None:
    """As lines of a zone file."""
    for one in host.found:
        click.echo(f"{clean(one.record)} ; {_IN_DNS[one.of]}")
    why = "; not in the DNS: publish it beside these"
    if host.trouble:
        why = f"; nobody can say what is in the DNS: {host.trouble}"
    elif not host.found:
        why = "; not in the DNS: publish it if the zone is signed (DNSSEC)"
    elif not host.secure:
        click.echo(f"; as far as the resolver says, no DNSSEC proves those of {clean(host.host)}")
    for record in host.missing:
        click.echo(f"{clean(record)} {clean(why)}")


def _say_rolling(rolling: ask.RollLine, line: ask.CertificateDetail) -> None:
    """`line` may be of a moment later."""
    click.echo(f"The key of {clean(line.name)} changes since {_at(rolling.since)}:")
    if rolling.switched:
        click.echo(f"  the new key is in use since {_at(rolling.switched)}")
    elif rolling.safe and not rolling.hurried:
        click.echo(f"  its record was seen; the key is taken into use at {_at(rolling.safe)}")
    elif coming := _coming(rolling, line):
        click.echo("  where the old key is in TLSA records, the new one comes beside it:")
        for record in coming:
            click.echo(f"    {clean(record)}")
        click.echo(f"  {_HURRIED if rolling.hurried else _IN_ORDER}")
    else:
        click.echo("  the DNS has no TLSA record of the old key: nothing has to be published.")
    if rolling.trouble:
        click.echo(f"  {clean(rolling.trouble)}")


def _coming(rolling: ask.RollLine, line: ask.CertificateDetail) -> Sequence[str]:
    """In the forms that stand in the DNS, while it is known which key comes."""
    if line.rolling is None or line.rolling.switched:
        return rolling.records
    return [record for host in line.hosts for record in host.coming]


def _at(when: datetime) -> str:
    return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


async def _lines(settings: Settings) -> list[ask.CertificateLine]:
    async with counter_of(settings, only_looks=True) as counter:
        return await counter.ask(op.CERTIFICATES, ask.Nothing())


def _named(line: ask.CertificateLine) -> ask.Named:
    return ask.Named(name=line.name)


async def _find(settings: Settings, name: str) -> None:
    """Raises Unknown where there is none of this name; asks no DNS."""
    wanted = name.lower().rstrip(".")
    if not any(wanted in (line.name, line.file) for line in await _lines(settings)):
        raise Unknown(f"no certificate is called {name}: merpati certificate list")


async def _detail(settings: Settings, name: str) -> ask.CertificateDetail:
    async with counter_of(settings, only_looks=True) as counter:
        return await counter.ask(op.CERTIFICATES_SHOW, ask.Named(name=name))
