"""`merpati inbox`: what lies in a mailbox, of the developer's inbox or of a user here."""

import os
import sys
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import click
import msgspec

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.errors import Mistaken, Unknown
from merpati.api.names import named_address
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.mailbox import MailboxError, Stored, find, messages
from merpati.cli.names import offering, users
from merpati.cli.output import clean, say_json, say_table
from merpati.cli.reading import PartLine, UnreadableError, parse, part_lines, text
from merpati.config.places import Places
from merpati.config.settings import Settings, developer_inbox
from merpati.delivery.maildir import Maildirs, MaildirSettings
from merpati.mail.address import Address
from merpati.mail.headers import MAX_OCTETS, Headers

_EMPTY = "The mailbox is empty."

user_option = click.option(
    "--user", default="", help="The mailbox of this address; else the developer's inbox."
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it is listed."""

    number: int
    name: str
    at: datetime
    sender: str
    to: str
    subject: str
    size: int
    is_new: bool


class Field(msgspec.Struct, frozen=True):
    """A header field, decoded."""

    name: str
    value: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a program reads it."""

    headers: tuple[Field, ...]
    parts: tuple[PartLine, ...]
    text: str
    """What a person reads."""


@click.group()
def inbox() -> None:
    """Read mailboxes: the developer's inbox, or a user's.

    MESSAGE is the number or the name that `list` shows, or `last`.

    \b
    Examples:
      merpati inbox list
      merpati inbox show last
      merpati inbox show 3 --source
      merpati inbox list ann@a.test
      merpati inbox save 3 message.eml
    """


def folder_of(settings: Settings, user: str) -> Path:
    """The Maildir that is meant."""
    places = Places(settings.data)
    if not user:
        # One that was started with --inbox is there beside the server's own merpati.toml.
        own = places if settings.is_inbox else Places(developer_inbox(os.environ).data)
        if settings.is_inbox or own.inbox.is_dir():
            return own.inbox
        raise Refused("whose? Say --user ann@a.test (only the developer's inbox has one for all)")
    try:
        address = named_address(user)
    except Mistaken as error:
        raise Refused(str(error)) from error
    path = Maildirs(MaildirSettings(places.mail, places.inbox)).path
    # A mailbox is made when its first message comes, as the directory spells its user.
    return folder if (folder := path(address)).is_dir() else path(_user(settings, address))


@asked
async def _user(settings: Settings, address: Address) -> Address:
    if settings.is_inbox:
        raise Refused("the developer's inbox is one for all: merpati inbox list")
    async with counter_of(settings, only_looks=True) as counter:
        try:
            found = await counter.ask(op.USERS_SHOW, ask.Named(name=str(address)))
        except Unknown as error:
            known = "merpati user list shows those that are here"
            raise Refused(f"there is no mailbox {address}: {known}") from error
    return Address.parse(found.user.address)


def _source(ctx: click.Context, user: str, message: str) -> bytes:
    try:
        return find(folder_of(settings_of(ctx), user), message).read()
    except MailboxError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(f"cannot read {error.filename}: {error.strerror}") from error


@inbox.command("list")
@click.argument("user", default="", shell_complete=offering(users))
@click.option("--user", "user_too", default="", hidden=True)
@json_option
@click.pass_context
def list_(ctx: click.Context, user: str, user_too: str, as_json: bool) -> None:
    """Messages of USER or of the developer's inbox, oldest first."""
    try:
        lines = [_line(one) for one in messages(folder_of(settings_of(ctx), user or user_too))]
    except OSError as error:
        raise Refused(f"cannot read {error.filename}: {error.strerror}") from error
    if as_json:
        say_json(lines)
        return
    if not lines and not sys.stdout.isatty():
        click.echo(_EMPTY, err=True)  # Whoever counts lines counts none.
    rows = ((one.number, one.at, one.sender, one.to, one.subject) for one in lines)
    say_table(("no", "came", "from", "to", "subject"), rows, _EMPTY)


def _line(stored: Stored) -> Line:
    headers = Headers.scan(stored.read(MAX_OCTETS + 1))
    return Line(
        number=stored.number,
        name=stored.name,
        at=datetime.fromtimestamp(int(stored.at), UTC),
        sender=headers.text("from") or _envelope_sender(headers),
        to=_recipients(headers),
        subject=headers.text("subject"),
        size=stored.size,
        is_new=stored.is_new,
    )


def _envelope_sender(headers: Headers) -> str:
    """For messages without a From, as applications under test write them."""
    return (headers.get("x-envelope-from") or headers.get("return-path") or "").strip("<>")


def _recipients(headers: Headers) -> str:
    """Of the envelope as far as it is known, since the header need not tell the truth."""
    known = headers.get_all("x-envelope-to") or headers.get_all("delivered-to")[:1]
    return ", ".join(known) or headers.text("to")


@inbox.command()
@click.argument("message")
@user_option
@click.option("--text", "view", flag_value="text", default="text", help="What a person reads.")
@click.option("--headers", "view", flag_value="headers", help="Every header field, decoded.")
@click.option("--source", "view", flag_value="source", help="The octets as they are kept.")
@click.option("--parts", "view", flag_value="parts", help="The parts: types, names, sizes.")
@json_option
@click.pass_context
def show(ctx: click.Context, message: str, user: str, view: str, as_json: bool) -> None:
    """Show MESSAGE; with --json its header fields, parts and text at once."""
    octets = _source(ctx, user, message)
    if as_json:
        say_json(_shown(octets))
    elif view == "source":
        sys.stdout.buffer.write(octets)
    elif view == "headers":
        _show_headers(Headers.scan(octets))
    else:
        _show_content(octets, view)


def _shown(octets: bytes) -> Shown:
    message, lines = _taken_apart(octets)
    fields = tuple(Field(one.name, one.text) for one in Headers.scan(octets).fields)
    return Shown(headers=fields, parts=tuple(lines), text=text(message))


def _taken_apart(octets: bytes) -> tuple[Message, list[PartLine]]:
    try:
        message = parse(octets)
        return message, part_lines(message)
    except UnreadableError as error:
        raise Refused(f"{error}; look at it with --source") from error


def _show_content(octets: bytes, view: str) -> None:
    message, lines = _taken_apart(octets)
    if view == "parts":
        rows = ((one.place, one.media_type, one.filename, one.size) for one in lines)
        say_table(("part", "type", "name", "octets"), rows, "")
        return
    headers = Headers.scan(octets)
    for name in ("From", "To", "Cc", "Date", "Subject"):
        if value := headers.text(name):
            click.echo(f"{click.style(name, bold=True)}: {clean(value)}")
    click.echo("\n" + clean(text(message).replace("\r\n", "\n"), keep="\n\t"))
    for one in lines:
        if one.filename:
            click.echo(clean(f"[{one.filename}, {one.media_type}, {one.size} octets]"))


def _show_headers(headers: Headers) -> None:
    for field in headers.fields:
        click.echo(
            f"{click.style(field.name, bold=True)}: {clean(field.text.replace(chr(9), ' '))}"
        )


@inbox.command()
@click.argument("message")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@user_option
@click.pass_context
def save(ctx: click.Context, message: str, file: Path, user: str) -> None:
    """Write the source of MESSAGE to FILE, which must not exist."""
    octets = _source(ctx, user, message)
    try:
        with file.open("xb") as target:
            target.write(octets)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
    click.echo(f"{len(octets)} octets in {file}")
