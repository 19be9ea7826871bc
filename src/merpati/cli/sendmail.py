"""`merpati sendmail`: takes mail the way cron, PHP and mail(1) hand it over.

Options that concern only the sendmail of old (-oem, -odb, -U, -v …) are accepted and mean nothing.
Exit status as in sysexits.h: 64 usage, 65 bad message, 67 no such recipient, 69 refused, 75 not
now, 78 configuration.
"""

import getpass
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict, Unpack

import click

from merpati.api.operations import SUBMIT
from merpati.api.questions import Queued, Submission
from merpati.cli.context import (
    NotNow,
    Refused,
    asked,
    counter_of,
    insist_on_server,
    may_enter,
    settings_of,
)
from merpati.config.check import is_loopback
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.mail.mailboxes import parse_mailboxes
from merpati.mail.words import encode_words, needs_words
from merpati.reception.port import Role
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError

EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE, EX_TEMPFAIL = 64, 65, 67, 69, 75
_HERE = "127.0.0.1"
_NEWLINES = re.compile(rb"\r\n|\r|\n")
_RECIPIENT_FIELDS = ("to", "cc", "bcc")
_BLIND = {"bcc", "resent-bcc"}
Notify = Literal["success", "failure", "delay"]


class Misused(Refused):
    """The command line makes no sense."""

    exit_code = EX_USAGE


class BadMessage(Refused):
    """The message makes no sense."""

    exit_code = EX_DATAERR


class NoUser(Refused):
    """A recipient does not exist."""

    exit_code = EX_NOUSER


class Unavailable(Refused):
    """Refused for good for another reason."""

    exit_code = EX_UNAVAILABLE


class Sendmail(click.Command):
    """Says mistakes on the command line with the status that sendmail has for them."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Parse, with EX_USAGE for what cannot be parsed."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise Misused(error.format_message()) from error


class Chosen(TypedDict):
    """The options that mean something."""

    recipients: tuple[str, ...]
    from_headers: bool
    ignore_dots: bool
    options: tuple[str, ...]
    sender: str | None
    full_name: str
    mode: str
    notify: str | None
    returned: str | None
    envelope_id: str


@click.command(cls=Sendmail, context_settings={"help_option_names": ["--help"]})
@click.argument("recipients", nargs=-1)
@click.option("-t", "from_headers", is_flag=True, help="Recipients from To, Cc and Bcc, too.")
@click.option("-i", "ignore_dots", is_flag=True, help="A line with only a dot is not the end.")
@click.option("-o", "options", multiple=True, help="-oi is -i; others are accepted.")
@click.option("-f", "-r", "sender", help="The envelope's sender; <> for none.")
@click.option("-F", "full_name", default="", help="The sender's full name.")
@click.option(
    "-b",
    "mode",
    type=click.Choice(["m", "s", "p"]),
    default="m",
    help="-bm deliver a message, -bs talk SMTP on standard input, -bp list the queue.",
)
@click.option("-N", "notify", help="When to send a notice: never, or success,failure,delay.")
@click.option(
    "-R",
    "returned",
    type=click.Choice(["full", "hdrs"], case_sensitive=False),
    help="What a notice gives back.",
)
@click.option("-V", "envelope_id", default="", help="The envelope's id for notices.")
@click.option("-B", "-h", "-L", "-O", "-p", "-X", "-q", "-C", "ignored", multiple=True, hidden=True)
@click.option("-v", "-U", "-G", "-n", "-m", "-e", "flags", is_flag=True, hidden=True)
@click.pass_context
@asked
async def sendmail(
    ctx: click.Context, ignored: tuple[str, ...], flags: bool, **chosen: Unpack[Chosen]
) -> None:
    """Take a message on standard input and put it into the queue.

    Works whether the server runs or not. ./merpati.toml is not looked at: this command is called
    from anywhere.

    \b
    Examples:
      echo 'Subject: hello' | merpati sendmail ann@a.test
      merpati sendmail -t -i < message
    """
    settings = settings_of(ctx, here=None)
    if chosen["mode"] == "p":
        await _list_queue(settings)
    elif chosen["mode"] == "s":
        await _talk(settings)
    else:
        await _submit(settings, chosen)


async def _submit(settings: Settings, chosen: Chosen) -> None:
    message = Message(_read(not _keeps_dots(chosen)))
    named = _recipients(chosen["recipients"], settings.hostname)
    if chosen["from_headers"]:
        named += message.recipients()
    if not named:
        raise Misused("no recipient: give addresses, or -t to take them from the header")
    sender = _sender(chosen["sender"], settings.hostname)
    question = Submission(
        sender=str(sender or ""),
        recipients=tuple(dict.fromkeys(map(str, named))),
        content=message.complete(sender, chosen["full_name"]),
        notify=_notify(chosen["notify"]),
        returned="headers"
        if chosen["returned"] == "hdrs"
        else "full"
        if chosen["returned"]
        else "",
        envelope_id=chosen["envelope_id"],
    )
    if may_enter(settings):
        async with counter_of(settings) as counter:
            say_receipt(await counter.ask(SUBMIT, question))
    else:
        say_receipt(await _by_smtp(settings, question))


async def _by_smtp(settings: Settings, question: Submission) -> Queued:
    """Through a port of the server on this machine that trusts it."""
    from merpati.cli.dialogue import hand_over  # only for other users

    for port in settings.document.port:
        if port.role is Role.MX and port.listen.ip and port.trusted:
            to = port.listen if is_loopback(port.listen) else Endpoint(_HERE, port.listen.port)
            try:
                return await hand_over(to, settings.hostname, question)
            except WireError as error:
                raise NotNow(f"{settings.data} is not ours, and {to}: {error}") from error
    raise NotNow(
        f"{settings.data} is not ours, and no mx port trusts this machine: "
        'add trusted = ["127.0.0.1/32"] to one, or run as the user of the server'
    )


def say_receipt(receipt: Queued) -> None:
    """Nothing when it was taken, as others do; else the reply and its class as exit status."""
    if receipt.id:
        return
    if receipt.code < 500:
        raise NotNow(receipt.reply)
    if " 5.1." in f" {receipt.reply}":
        raise NoUser(receipt.reply)
    raise Unavailable(receipt.reply)


def _keeps_dots(chosen: Chosen) -> bool:
    return chosen["ignore_dots"] or "i" in chosen["options"] or "ITrue" in chosen["options"]


def _read(dot_ends: bool) -> bytes:
    """Standard input with CRLF, cut at a lone dot if that ends it."""
    octets = _NEWLINES.sub(b"\r\n", sys.stdin.buffer.read())
    if dot_ends:
        if octets.startswith(b".\r\n"):
            return b""
        octets, dot, _ = octets.partition(b"\r\n.\r\n")
        octets += b"\r\n" if dot else b""
    return octets if octets.endswith(b"\r\n") or not octets else octets + b"\r\n"


def _recipients(named: Iterable[str], hostname: str) -> list[Address]:
    found: list[Address] = []
    for text in named:
        for piece in text.split(","):
            if not piece.strip():
                continue
            found.append(_address(piece.strip(), hostname))
    return found


def _address(text: str, hostname: str) -> Address:
    """`ann@a.test`, `Ann <ann@a.test>`, or `ann` of this host."""
    if "@" not in text:
        text = f"{text}@{hostname}"
    listed = parse_mailboxes(text)
    # A header may be folded, a word of the command line is not: a line end in it is an attempt to
    # add something, and the addresses on both sides of it might be taken for one.
    if len(listed.found) != 1 or listed.flaws or not text.isprintable():
        raise Misused(f"{text!r} is no address")
    return listed.found[0].address


def _sender(told: str | None, hostname: str) -> Address | None:
    if told is None:
        return _address(getpass.getuser(), hostname)
    return None if told.strip() in ("", "<>") else _address(told, hostname)


def _notify(told: str | None) -> tuple[Notify, ...] | None:
    if told is None:
        return None
    words = [word.strip().lower() for word in told.split(",")]
    if words == ["never"]:
        return ()
    known: dict[str, Notify] = {"success": "success", "failure": "failure", "delay": "delay"}
    if any(word not in known for word in words):
        raise Misused("-N wants never, or some of success,failure,delay")
    return tuple(known[word] for word in words)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as programs write them: maybe without a From, maybe with an mbox line on top."""

    octets: bytes

    @property
    def _headers(self) -> Headers:
        return Headers.scan(self._content)

    @property
    def _content(self) -> bytes:
        first, _, rest = self.octets.partition(b"\r\n")
        return rest if first.startswith(b"From ") else self.octets

    def recipients(self) -> list[Address]:
        """Of To, Cc and Bcc."""
        listed = self._headers.mailboxes(*_RECIPIENT_FIELDS)
        if listed.flaws:
            raise BadMessage(f"{listed.flaws[0]!r} in the header is no address")
        return list(listed.addresses)

    def complete(self, sender: Address | None, full_name: str) -> bytes:
        """With a From, without Bcc, and with the blank line that ends the header."""
        headers = self._headers
        if headers.truncated:
            raise BadMessage("the header is too large")
        body = self._content[headers.size :]
        head = headers.without(_BLIND)
        if not headers.count("from"):
            head = _from(sender, full_name) + head
        return head + b"\r\n" + body


def _from(sender: Address | None, full_name: str) -> bytes:
    name = "".join(char for char in full_name if char.isprintable())
    address = sender or Address("MAILER-DAEMON", "localhost")
    if not name:
        return f"From: {address}\r\n".encode()
    shown = " ".join(encode_words(name)) if needs_words(name) else _quoted(name)
    return f"From: {shown} <{address}>\r\n".encode()


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _list_queue(settings: Settings) -> None:
    from merpati.cli.queue import say_queue  # only for -bp

    async with counter_of(settings) as counter:
        await say_queue(counter)


async def _talk(settings: Settings) -> None:
    from merpati.cli.dialogue import carry  # only for -bs

    await insist_on_server(settings)
    try:
        await carry(Places(settings.data).smtp)
    except (WireError, OSError) as error:
        raise NotNow(f"-bs needs the running server: {error}") from error
