"""`merpati send`: writes a message and puts it into the queue."""

import mimetypes
import sys
from pathlib import Path
from typing import TypedDict, Unpack

import click

from merpati.api.errors import Mistaken
from merpati.api.names import named_address
from merpati.api.operations import SUBMIT
from merpati.api.questions import Submission
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.output import say_json
from merpati.cli.sendmail import say_receipt
from merpati.mail import mime
from merpati.mail.address import Address


class Chosen(TypedDict):
    """What the command line says."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str | None
    attach: tuple[Path, ...]


@click.command()
@click.option("--from", "sender", required=True, help="The sender's address.")
@click.option("--to", multiple=True, required=True, help="A recipient; may be repeated.")
@click.option("--cc", multiple=True, help="A recipient whom all see; may be repeated.")
@click.option("--bcc", multiple=True, help="A recipient whom nobody sees; may be repeated.")
@click.option("--subject", default="", help="In any language.")
@click.option("--text", help="The text; else it is read from standard input.")
@click.option(
    "--attach",
    multiple=True,
    help="A file; may be repeated.",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@json_option
@click.pass_context
@asked
async def send(ctx: click.Context, as_json: bool, **chosen: Unpack[Chosen]) -> None:
    """Write a message and put it into the queue; prints its ID.

    \b
    Examples:
      merpati send --from ann@a.test --to budi@b.test --subject 'Halo' --text 'Apa kabar?'
      merpati send --from ann@a.test --to budi@b.test --attach laporan.pdf < text.txt
    """
    settings = settings_of(ctx)
    sender, to, cc, bcc = (
        _addresses([chosen["sender"]])[0],
        _addresses(chosen["to"]),
        _addresses(chosen["cc"]),
        _addresses(chosen["bcc"]),
    )
    question = Submission(
        sender=str(sender),
        recipients=tuple(dict.fromkeys(map(str, [*to, *cc, *bcc]))),
        content=_message(sender, to, cc, chosen),
    )
    async with counter_of(settings) as counter:
        receipt = await counter.ask(SUBMIT, question)
    say_receipt(receipt)
    if as_json:
        say_json(receipt)
    else:
        click.echo(f"queued as {receipt.id}")
        click.echo(f"Next: merpati trace {receipt.id}", err=True)


def _addresses(texts: list[str] | tuple[str, ...]) -> list[Address]:
    try:
        return [named_address(text) for text in texts]
    except Mistaken as error:
        raise Refused(str(error)) from error


def _message(sender: Address, to: list[Address], cc: list[Address], chosen: Chosen) -> bytes:
    fields = [("From", str(sender)), ("To", ", ".join(map(str, to)))]
    if cc:
        fields.append(("Cc", ", ".join(map(str, cc))))
    fields.append(("Subject", mime.subject(chosen["subject"])))
    text = chosen["text"] if chosen["text"] is not None else sys.stdin.read()
    part = mime.text_part(text if text.endswith("\n") else text + "\n")
    if chosen["attach"]:
        part = mime.multipart("mixed", [part, *map(_attached, chosen["attach"])])
    utf8 = not all(value.isascii() for _, value in fields)
    return b"".join(mime.message(fields, part, utf8=utf8))


def _attached(file: Path) -> mime.Part:
    guessed = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    try:
        return mime.attachment(file.read_bytes(), file.name, guessed)
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}") from error
