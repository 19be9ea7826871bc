"""What the shell offers for a name that an operator begins: of the running server, at once or not.

A shell waits for this at each press of Tab, so only a server that runs is asked, for half a second
and a thousand lines; whatever goes wrong offers nothing and says nothing.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable

import click

from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.client import RemoteCounter
from merpati.config.places import Places
from merpati.config.settings import settle
from merpati.errors import MerpatiError

_PATIENCE = 0.5
_LINES = 1000

Source = Callable[[op.Counter], Awaitable[Iterable[str]]]
Offer = Callable[[click.Context, click.Parameter, str], list[str]]


def offering(*sources: Source) -> Offer:
    """The `shell_complete` of a parameter whose value is a name of these kinds."""

    def offer(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        names = asyncio.run(_ask(ctx, sources))
        return sorted({name for name in names if name.startswith(incomplete)})

    return offer


async def _ask(ctx: click.Context, sources: Iterable[Source]) -> list[str]:
    try:
        # No callback runs while a shell completes: --config stands among the group's parameters.
        settings = settle(ctx.find_root().params.get("config"), os.environ)
        counter = RemoteCounter(Places(settings.data).control)
        async with asyncio.timeout(_PATIENCE):
            return [name for source in sources for name in await source(counter)]
    except (MerpatiError, OSError):
        return []


async def _lines(counter: op.Counter) -> list[ask.QueueLine]:
    return await counter.ask(op.QUEUE_LIST, ask.ListQueue(limit=_LINES))


async def queued(counter: op.Counter) -> list[str]:
    """IDs of messages that wait."""
    return [line.id for line in await _lines(counter)]


async def senders(counter: op.Counter) -> list[str]:
    """Whose mail waits."""
    return [line.sender or "<>" for line in await _lines(counter)]


async def recipients(counter: op.Counter) -> list[str]:
    """Whom mail waits for."""
    return [line.recipient for line in await _lines(counter)]


async def their_domains(counter: op.Counter) -> list[str]:
    """Domains that mail waits for."""
    return [line.recipient.rpartition("@")[2] for line in await _lines(counter)]


async def their_sites(counter: op.Counter) -> list[str]:
    """Sites that mail waits for."""
    return [line.site for line in await _lines(counter)]


async def held_sites(counter: op.Counter) -> list[str]:
    """Sites on hold, and those that refused a sender whose mail waits."""
    status = await counter.ask(op.STATUS, ask.Nothing())
    sites = [held.site for held in await counter.ask(op.SITES_HELD, ask.Nothing())]
    return sites + [held.site for held in status.held_senders]


async def domains(counter: op.Counter) -> list[str]:
    """Domains whose mail ends here."""
    return await counter.ask(op.DOMAINS, ask.Nothing())


async def users(counter: op.Counter) -> list[str]:
    """Addresses with a mailbox."""
    return [line.address for line in await counter.ask(op.USERS, ask.Within())]


async def aliases(counter: op.Counter) -> list[str]:
    """Addresses that lead to others."""
    return [line.alias for line in await counter.ask(op.ALIASES, ask.Within())]
