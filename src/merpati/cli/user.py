"""`merpati user`: people and programs with a mailbox and a login."""

import secrets
import sys

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.names import named_address
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.names import domains, offering, users
from merpati.cli.output import clean, say_json, say_table, word
from merpati.config.settings import Settings

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of input."
)
_QUOTA = click.IntRange(0, ask.MOST_A_DAY)
_EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - read, not listened on


@click.group()
def user() -> None:
    """People and programs with a mailbox and a login, which is their address.

    \b
    Examples:
      merpati user add ann@a.test
      echo "$PASSWORD" | merpati user add ann@a.test --password-stdin
      merpati user add bob@a.test --no-password
      merpati user app-password add ann@a.test thunderbird
      merpati user list a.test
      merpati user show ann@a.test
      merpati user passwd ann@a.test
      merpati user suspend ann@a.test --reason "password stolen"
      merpati user resume ann@a.test
      merpati user remove ann@a.test
    """


def _password(from_stdin: bool) -> str:
    """From the first line of input or asked for twice; never an argument, which others can see."""
    if not from_stdin:
        if not sys.stdin.isatty():
            raise Refused("no password given: use --password-stdin")
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Refused("no password came on standard input")
    return line


@user.command()
@click.argument("address")
@password_option
@click.option(
    "--no-password", is_flag=True, help="Others know the password or issue tokens: see [login]."
)
@click.pass_context
@asked
async def add(ctx: click.Context, address: str, password_stdin: bool, no_password: bool) -> None:
    """Give ADDRESS a mailbox and a login. Its domain must be here already."""
    settings = settings_of(ctx)
    await _insist_on_domain(settings, address)
    password = "" if no_password else _password(password_stdin)
    question = ask.NewUser(address=address, password=password, elsewhere=no_password)
    async with counter_of(settings) as counter:
        await counter.ask(op.USERS_ADD, question)
    how = "as [login] says" if no_password else "with this address and the password"
    click.echo(f"{address} has a mailbox now and logs in {how}.")
    for place in _ways_in(settings):
        click.echo(f"Mail programs send through {place}.")
    click.echo(f"Next: merpati inbox list {address} shows what has come.")


def _ways_in(settings: Settings) -> list[str]:
    """Where a program connects to; every address of the machine goes by its name."""
    ways = {"submission": "STARTTLS", "submissions": "TLS"}
    places = [
        f"{settings.hostname}:{port.listen.port} ({how})"
        if port.listen.ip in _EVERY_ADDRESS
        else f"{port.listen} ({how})"
        for port in settings.document.port
        if (how := ways.get(port.role.value))
    ]
    return list(dict.fromkeys(places))


async def _insist_on_domain(settings: Settings, address: str) -> None:
    """Nobody should think of a password twice for an address that cannot be."""
    domain = named_address(address).domain
    async with counter_of(settings) as counter:
        if domain not in await counter.ask(op.DOMAINS, ask.Nothing()):
            raise Refused(f"{domain} is no domain here: merpati domain add {domain}")


@user.command()
@click.argument("address", shell_complete=offering(users))
@password_option
@click.pass_context
@asked
async def passwd(ctx: click.Context, address: str, password_stdin: bool) -> None:
    """Change the own password of ADDRESS; app passwords stay."""
    settings = settings_of(ctx)
    async with counter_of(settings) as counter:
        await counter.ask(
            op.USERS_SHOW, ask.Named(name=address)
        )  # Before a password is thought of.
    question = ask.NewPassword(address=address, password=_password(password_stdin))
    async with counter_of(settings) as counter:
        await counter.ask(op.PASSWORDS_SET, question)
    click.echo(f"{address} has a new password.")


@user.command()
@click.argument("address", shell_complete=offering(users))
@click.pass_context
@asked
async def remove(ctx: click.Context, address: str) -> None:
    """Take the login and the address away. The mailbox stays on disk."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.USERS_REMOVE, ask.Named(name=address))
    click.echo(f"{address} is gone; what is in its mailbox is still there.")


@user.command()
@click.argument("address", shell_complete=offering(users))
@click.option("--reason", default="", help="Why, for whoever looks at it later.")
@click.pass_context
@asked
async def suspend(ctx: click.Context, address: str, reason: str) -> None:
    """Let ADDRESS receive, but not log in. What it sent and that still waits is held."""
    question = ask.Suspension(address=address, suspended=True, reason=reason)
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.USERS_SUSPEND, question)
    click.echo(f"{address} cannot log in until `merpati user resume {address}`.")


@user.command()
@click.argument("address", shell_complete=offering(users))
@click.pass_context
@asked
async def resume(ctx: click.Context, address: str) -> None:
    """Let a suspended ADDRESS log in and send again, whatever suspended it.

    Its quotas begin anew, and what was held of it goes within seconds.
    """
    question = ask.Suspension(address=address, suspended=False)
    async with counter_of(settings_of(ctx)) as counter:
        done = await counter.ask(op.USERS_SUSPEND, question)
    if done.changed:
        click.echo(f"{address} can log in and send again; what was held of it goes now.")
    else:
        click.echo(f"{address} was not suspended.")


@user.command()
@click.argument("address", shell_complete=offering(users))
@json_option
@click.pass_context
@asked
async def show(ctx: click.Context, address: str, as_json: bool) -> None:
    """What ADDRESS may send, what it sent today (UTC), and whether it may."""
    settings = settings_of(ctx)
    async with counter_of(settings, only_looks=True) as counter:
        told = await counter.ask(op.USERS_SHOW, ask.Named(name=address))
    if as_json:
        say_json(told)
        return
    line, usual = told.user, settings.document.submission
    click.echo(f"{clean(line.address)}: {_state(line)}")
    if line.why:
        since = f" since {line.since.astimezone():%Y-%m-%d %H:%M:%S}" if line.since else ""
        click.echo(f"  suspended{since}: {clean(line.why)}")
        click.echo(f"  when all is well: merpati user resume {word(line.address)}")
    for name, sent, own, default in (
        ("messages", told.messages, line.messages, usual.messages_per_day),
        ("recipients", told.recipients, line.recipients, usual.recipients_per_day),
        ("new recipients", told.new_recipients, line.new_recipients, usual.new_recipients_per_day),
    ):
        limit = default if own is None else own
        of = f"of {limit}" if limit else "of any number"
        click.echo(f"  {sent} {of} {name} today{'' if own is None else ' (its own quota)'}")
    for sender in told.senders:
        click.echo(f"  may send as {clean(sender)}, too")


@user.command()
@click.argument("address", shell_complete=offering(users))
@click.option("--messages", type=_QUOTA, help="Messages a day; 0: any number.")
@click.option("--recipients", type=_QUOTA, help="Recipients a day.")
@click.option("--new-recipients", type=_QUOTA, help="Recipients a day never written to before.")
@click.option("--application", is_flag=True, help="Any number of all: a program that may.")
@click.option("--default", "usual", is_flag=True, help="As [submission] says for everybody.")
@click.pass_context
@asked
async def quotas(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    address: str,
    messages: int | None,
    recipients: int | None,
    new_recipients: int | None,
    application: bool,
    usual: bool,
) -> None:
    """Give ADDRESS quotas of its own; those that are not named stay.

    \b
    Examples:
      merpati user quotas ann@a.test --recipients 10000
      merpati user quotas shop@a.test --application
      merpati user quotas ann@a.test --default
    """
    async with counter_of(settings_of(ctx)) as counter:
        line = (await counter.ask(op.USERS_SHOW, ask.Named(name=address))).user
        told = (messages, recipients, new_recipients)
        before = (line.messages, line.recipients, line.new_recipients)
        if application or usual:
            before = (0, 0, 0) if application else (None, None, None)
        elif told == (None, None, None):
            raise Refused("no quota given: see merpati user quotas --help")
        mine = [old if new is None else new for new, old in zip(told, before, strict=True)]
        question = ask.NewQuotas(
            address=address, messages=mine[0], recipients=mine[1], new_recipients=mine[2]
        )
        await counter.ask(op.QUOTAS_SET, question)
    click.echo(f"{address} has these quotas now: merpati user show {address}")


@user.group()
def senders() -> None:
    """Sender addresses that a login may use beside its own and its aliases.

    \b
    Examples:
      merpati user senders add ann@a.test office@b.test
      merpati user senders add shop@a.test @a.test      (the whole domain, for a program)
      merpati user senders list ann@a.test
      merpati user senders remove ann@a.test office@b.test
    """


@senders.command("add")
@click.argument("address", shell_complete=offering(users))
@click.argument("sender")
@click.pass_context
@asked
async def add_sender(ctx: click.Context, address: str, sender: str) -> None:
    """Let ADDRESS send as SENDER, an address or `@domain`."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.SENDERS_GRANT, ask.SenderOf(address=address, sender=sender))
    click.echo(f"{address} may send as {sender}.")


@senders.command("remove")
@click.argument("address", shell_complete=offering(users))
@click.argument("sender")
@click.pass_context
@asked
async def remove_sender(ctx: click.Context, address: str, sender: str) -> None:
    """Take SENDER away from ADDRESS."""
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.SENDERS_REVOKE, ask.SenderOf(address=address, sender=sender))
    click.echo(f"{address} may not send as {sender} any more.")


@senders.command("list")
@click.argument("address", shell_complete=offering(users))
@json_option
@click.pass_context
@asked
async def list_senders(ctx: click.Context, address: str, as_json: bool) -> None:
    """What ADDRESS was granted."""
    async with counter_of(settings_of(ctx), only_looks=True) as counter:
        told = await counter.ask(op.USERS_SHOW, ask.Named(name=address))
    if as_json:
        say_json(told.senders)
        return
    rows = ((sender,) for sender in told.senders)
    say_table(("sender",), rows, "Its own address and its aliases only: merpati user senders add")


@user.command("list")
@click.argument("domain", default="", shell_complete=offering(domains))
@json_option
@click.pass_context
@asked
async def list_(ctx: click.Context, domain: str, as_json: bool) -> None:
    """Users of DOMAIN, or all."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(op.USERS, ask.Within(domain=domain))
    if as_json:
        say_json(lines)
        return
    rows = ((line.address, _state(line), line.since or "", line.why) for line in lines)
    say_table(("address", "state", "since", "why"), rows, "No user yet: merpati user add")


def _state(line: ask.UserLine) -> str:
    if line.suspended:
        return "suspended"
    return "active" if line.may_send else "may not send"


@user.group("app-password")
def app_password() -> None:
    """Passwords for single programs: named, and each can be taken away by itself.

    \b
    Examples:
      merpati user app-password add ann@a.test thunderbird
      merpati user app-password list ann@a.test
      merpati user app-password revoke ann@a.test thunderbird
    """


@app_password.command("add")
@click.argument("address", shell_complete=offering(users))
@click.argument("program")
@click.option("--replace", is_flag=True, help="Instead of the password that it has.")
@password_option
@click.pass_context
@asked
async def add_app_password(
    ctx: click.Context, address: str, program: str, password_stdin: bool, replace: bool
) -> None:
    """Make a password for PROGRAM and print it once; it cannot be shown again."""
    settings = settings_of(ctx)
    password = _password(True) if password_stdin else _generated()
    question = ask.NewPassword(address=address, password=password, program=program, replace=replace)
    async with counter_of(settings) as counter:
        await counter.ask(op.PASSWORDS_SET, question)
    click.echo(f"{program} logs in as {address} with this password from now on.", err=True)
    if not password_stdin:
        click.echo(password)


def _generated() -> str:
    """Sixteen letters in groups of four, as phones and people can copy them: 75 bits."""
    letters = "abcdefghijkmnopqrstuvwxyz"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


@app_password.command("list")
@click.argument("address", shell_complete=offering(users))
@json_option
@click.pass_context
@asked
async def list_app_passwords(ctx: click.Context, address: str, as_json: bool) -> None:
    """Programs that ADDRESS has given a password, and when each was last used."""
    async with counter_of(settings_of(ctx)) as counter:
        lines = await counter.ask(op.PASSWORDS, ask.Named(name=address))
    if as_json:
        say_json(lines)
        return
    rows = ((line.program, line.last_used) for line in lines)
    say_table(("program", "last used"), rows, "No app password yet")


@app_password.command("revoke")
@click.argument("address", shell_complete=offering(users))
@click.argument("program")
@click.pass_context
@asked
async def revoke_app_password(ctx: click.Context, address: str, program: str) -> None:
    """Take PROGRAM's password away."""
    question = ask.Program(address=address, program=program)
    async with counter_of(settings_of(ctx)) as counter:
        await counter.ask(op.PASSWORDS_REVOKE, question)
    click.echo(f"{program} cannot log in as {address} any more.")
