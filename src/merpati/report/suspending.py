"""Suspends accounts whose password seems to be known to others, and keeps to what is decided.

Once in a few seconds what storage says of all accounts is made true here: mail of a suspended one
that waits is held, and goes on when it is resumed. So it is the same whoever decided it, on which
worker, and whatever crashed between two steps. The owner and the postmaster are told by one mail;
a crash between its storing and our note of that may make it two.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from merpati.clock import Clock
from merpati.directory.directory import Registrar, Suspension, User
from merpati.directory.errors import DirectoryError
from merpati.journal.events import BY_ITSELF, AccountSuspended
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.mail.envelope import Body, Envelope
from merpati.policy.guard import Guard
from merpati.queue.entry import Owed
from merpati.queue.queue import Desk
from merpati.report.dsn import NoticeSettings
from merpati.report.suspension import build

_INTERVAL = 5.0


class Door(Protocol):
    """Where the mail to the owner enters the queue; intake is one."""

    async def accept_notice(
        self, envelope: Envelope, content: Body, answers: Sequence[Owed] = ()
    ) -> str:
        """Store it; its id."""
        ...


@dataclass(frozen=True, slots=True)
class SuspendingParts:
    """Whom suspending talks to."""

    registrar: Registrar
    guard: Guard
    desk: Desk
    journal: Journal
    clock: Clock
    tells: bool
    """Of the workers of a node one tells the owners."""


class Suspending:
    """Of one shard."""

    def __init__(self, parts: SuspendingParts, door: Door, settings: NoticeSettings) -> None:
        self._parts = parts
        self._door, self._settings = door, settings
        self._seen: list[User] = []
        self._suspects: dict[Address, str] = {}
        self._decided: list[AccountSuspended] = []
        """What the journal does not have yet: the directory would not say it a second time."""
        self._is_settled = False
        """Nobody is suspended, and nothing is held for it."""

    def take_up(self, door: Door, settings: NoticeSettings) -> None:
        """Use these for the mail to come."""
        self._door, self._settings = door, settings

    async def run(self) -> None:
        """Until cancelled. Raises StorageError; begin again then."""
        while True:
            await self.look()
            await self._pause()

    async def _pause(self) -> None:
        """A suspect is not kept waiting."""
        async with asyncio.TaskGroup() as waits:
            asleep = waits.create_task(self._parts.clock.sleep(_INTERVAL))
            woken = waits.create_task(self._parts.guard.wait_for_suspects())
            await asyncio.wait({asleep, woken}, return_when=asyncio.FIRST_COMPLETED)
            asleep.cancel()
            woken.cancel()

    async def look(self) -> None:
        """Suspend who is suspected, then do what the directory says of everybody."""
        self._suspects |= self._parts.guard.suspects()
        for account, why in list(self._suspects.items()):
            await self._suspend(account, why)
            del self._suspects[account]  # Not before: storage may have no room now.
        await self._write_down()
        suspensions = await self._parts.registrar.suspensions()
        suspended = [user for user, _ in suspensions]
        if suspended != self._seen:
            # Another worker has decided it.
            self._parts.registrar.forget()
            self._seen = suspended
        accounts = frozenset(str(user.address) for user in suspended)
        await self._hold(accounts)
        if self._parts.tells:
            for user, is_told in suspensions:
                if not is_told:
                    await self._tell(user)

    async def _hold(self, accounts: frozenset[str]) -> None:
        # To find that nothing is held for nobody costs as much as is held at all.
        if accounts or not self._is_settled:
            changed = await self._parts.desk.stop_senders(accounts, self._made)
            self._is_settled = not accounts and not changed

    def _made(self, login: str) -> float | None:
        """Since when an account is there. Of one that is no more, or was before another of its
        name, nobody said that its mail is good: it stays held."""
        user = self._parts.guard.directory.user(Address.parse(login))
        return None if user is None else user.made

    async def _suspend(self, account: Address, why: str) -> None:
        parts, now = self._parts, self._parts.clock.now()
        with suppress(DirectoryError):  # Nobody is suspended who was removed meanwhile.
            if await parts.registrar.suspend(account, Suspension(now, why), told=False):
                self._decided.append(
                    AccountSuspended(at=now, login=str(account), why=why, by=BY_ITSELF)
                )

    async def _write_down(self) -> None:
        if self._decided:
            await self._parts.journal.append(self._decided)
            self._decided = []

    async def _tell(self, user: User) -> None:
        envelope, content = build(user, self._settings, self._parts.clock.now())
        await self._door.accept_notice(envelope, content)
        await self._parts.registrar.owner_told(user.address)
