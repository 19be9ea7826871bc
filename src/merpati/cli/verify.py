"""`merpati verify`: whether what is stored is whole, and what to do about what is not."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.cli.context import Refused, asked, become_owner, counter_of, json_option, settings_of
from merpati.cli.output import clean, counted, say_json
from merpati.clock import SystemClock
from merpati.config.places import Places
from merpati.config.settings import Settings
from merpati.storage.finding import Damage
from merpati.system.verifying import Found, verify_mailboxes
from merpati.system.verifying import repair as repair_data
from merpati.system.verifying import verify as verify_data

_UNSENDABLE = {Damage.ENVELOPE, Damage.CONTENT}
_UNCHECKED = {"without checksum": "message", "events without checksum": "event"}
_MOST = 10_000
"""Findings that are kept for --json and messages that are held; the rest is counted."""
_AT_ONCE = 500


@click.command()
@click.option("--hold-damaged", is_flag=True, help="Hold what is damaged, so that nobody tries it.")
@click.option("--repair", is_flag=True, help="First count again what can be; no server may run.")
@click.option("--mailboxes", is_flag=True, help="Read every file of the mailboxes, too.")
@json_option
@click.pass_context
@asked
async def verify(
    ctx: click.Context, hold_damaged: bool, repair: bool, mailboxes: bool, as_json: bool
) -> None:
    """Check everything that is stored: queue, journal and directory, every row and body.

    The server may run meanwhile. Nothing is changed, but that --hold-damaged holds messages, and
    that --repair makes anew what follows from the rest: indexes, counts, when a message is looked
    at. Nothing is ever removed. Ends with 0 only when all is sound.

    \b
    Examples:
      merpati verify
      merpati verify --hold-damaged
      merpati verify --repair
      merpati verify --mailboxes --json
    """
    settings = settings_of(ctx)
    become_owner(settings)
    report = _Report(as_json)
    places = Places(settings.data)
    if not places.queues():
        raise Refused(f"there is no queue in {settings.data}: nothing was ever stored there")
    if repair:
        repair_data(places)
    found = verify_data(places, report.seen)
    for one in chain(found, verify_mailboxes(places, report.seen) if mailboxes else ()):
        report.take(one)
    held = await _hold(settings, report.messages) if hold_damaged and report.messages else None
    report.finish(held)
    if report.total:
        raise click.exceptions.Exit(1)


class _Report:
    """What was looked at and what was found: told as it comes, or kept for JSON."""

    def __init__(self, as_json: bool) -> None:
        self.total = 0
        self.messages: dict[str, None] = {}
        """That should not be sent, in the order they were found."""
        self._as_json = as_json
        self._kept: list[Found] = []
        self._looked_at: Counter[str] = Counter()
        self._monotonic = SystemClock().monotonic
        self._told = self._monotonic()

    def seen(self, things: str, number: int) -> None:
        """Show progress to whoever waits at a terminal."""
        self._looked_at[things] += number
        if sys.stderr.isatty() and self._monotonic() - self._told > 1:
            self._told = self._monotonic()
            click.echo(f"\r{self._amount()} …\033[K", nl=False, err=True)

    def take(self, found: Found) -> None:
        self.total += 1
        finding = found.finding
        if finding.message and finding.damage in _UNSENDABLE and len(self.messages) < _MOST:
            self.messages[finding.message] = None
        if not self._as_json:
            _tell(found)
        elif len(self._kept) < _MOST:
            self._kept.append(found)

    def finish(self, held: int | None) -> None:
        if self._as_json:
            say_json(self._json(held))
            return
        if sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
        for things, checked in _UNCHECKED.items():
            if unchecked := self._looked_at[things]:
                click.echo(f"{counted(unchecked, checked)} came before checksums were kept.")
        if held is not None:
            click.echo(f"{counted(held, 'recipient')} held.")
        verdict = counted(self.total, "finding") if self.total else "All is sound"
        click.echo(f"{verdict}: looked at {self._amount()}.")

    def _amount(self) -> str:
        shown = ("messages", "recipients", "events", "users", "reports", "keys", "mailbox files")
        numbers = [
            (self._looked_at[things], things) for things in shown if things in self._looked_at
        ]
        return ", ".join(f"{number:,} {things}" for number, things in numbers)

    def _json(self, held: int | None) -> dict[str, object]:
        return {
            "sound": not self.total,
            "looked_at": dict(self._looked_at),
            "total": self.total,
            "findings": [
                {
                    "file": str(one.file),
                    "damage": one.finding.damage.value,
                    "message": one.finding.message,
                    "detail": one.finding.detail,
                    "lost": one.finding.damage.lost,
                    "next": one.finding.damage.next,
                }
                for one in self._kept
            ],
            "held": held,
        }


def _tell(found: Found) -> None:
    finding = found.finding
    about = f"message {finding.message}: " if finding.message else ""
    click.echo(f"{found.file.name}: {about}{clean(finding.detail)}")
    click.echo(f"  lost: {finding.damage.lost}")
    click.echo(f"  do:   {finding.damage.next.replace('ID', finding.message or 'ID')}")


async def _hold(settings: Settings, messages: Iterable[str]) -> int:
    """By the server if it runs. What is being tried just now holds itself when it is read."""
    changed = 0
    async with counter_of(settings) as counter:
        for ids in _batches(messages):
            question = ask.AlterQueue(filter=ask.Filter(ids=ids), action="hold", everything=False)
            changed += (await counter.ask(op.QUEUE_ALTER, question)).changed
    return changed


def _batches(messages: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(messages)
    while batch := tuple(islice(left, _AT_ONCE)):
        yield batch
