"""Pays the debts of the ledger: each notice is stored and its debts cleared in one transaction."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

from merpati.clock import Clock
from merpati.journal.events import Lifecycle, Unnoticed
from merpati.journal.journal import Journal
from merpati.mail.envelope import Body, Envelope
from merpati.mail.headers import MAX_OCTETS, Headers
from merpati.queue.entry import Owed
from merpati.queue.queue import Ledger, Queue
from merpati.report.dsn import NoticeSettings, build
from merpati.storage.errors import StorageError

_AT_ONCE = 50
_LOOK_AGAIN = 30.0
_PUT_OFF = 600.0
_NOBODY = "", ""


class Door(Protocol):
    """Where notices enter the queue; intake is one."""

    async def accept_notice(
        self, envelope: Envelope, content: Body, answers: Sequence[Owed]
    ) -> str:
        """Store the notice and clear the debts in one transaction; its id."""
        ...


class Notices:
    """Turns debts into notices. A debt that cannot be paid never blocks the others."""

    def __init__(
        self,
        books: tuple[Ledger, Queue, Journal],
        door: Door,
        clock: Clock,
        settings: NoticeSettings,
    ) -> None:
        self._ledger, self._queue, self._journal = books
        self._door = door
        self._clock = clock
        self._settings = settings
        self._woken = asyncio.Event()
        self._put_off: dict[int, float] = {}
        self._at = _NOBODY

    def take_up(self, door: Door, settings: NoticeSettings) -> None:
        """Use these for the notices to come."""
        self._door, self._settings = door, settings

    def wake(self) -> None:
        """Something was settled; look soon."""
        self._woken.set()

    async def run(self) -> None:
        """Pay until cancelled: at once when woken, else every half minute."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_again())
            tasks.create_task(self._pay_when_woken())

    async def _look_again(self) -> None:
        while True:
            self._woken.set()
            await self._clock.sleep(_LOOK_AGAIN)

    async def _pay_when_woken(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while await self.pay():
                pass

    async def pay(self) -> int:
        """One round of at most 50 debts; how many are gone now.

        Storage that fails ends the round, and no debt is blamed for it: all wait for the next
        look. Whoever stores mail tells of the disk.
        """
        paid = 0
        try:
            for group, owed in groupby(await self._payable(), key=_group):
                self._at = group
                paid += await self._pay_or_put_off(list(owed))
        except StorageError:
            return paid
        self._at = _NOBODY
        return paid

    async def _payable(self) -> list[Owed]:
        """By group; the one that the last round ended at comes last, should it be at fault."""
        now = self._clock.monotonic()
        self._put_off = {id_: until for id_, until in self._put_off.items() if until > now}
        debts = await self._ledger.owed(_AT_ONCE + len(self._put_off))
        payable = [owed for owed in debts if owed.id not in self._put_off]
        return sorted(payable, key=lambda owed: (_group(owed) == self._at, _group(owed)))

    async def _pay_or_put_off(self, owed: list[Owed]) -> int:
        try:
            await self._answer(owed)
        except StorageError as error:
            if not error.is_damaged:
                raise
            # A debt that is damaged stays so. What SQLite says of the file behind a disk that
            # failed, it may take back once the store has recovered.
            self._put_it_off(owed, error, _PUT_OFF if owed[0].damage else _LOOK_AGAIN)
        except OSError as error:
            # The machine is out of files or memory; it may have some at the next look.
            self._put_it_off(owed, error, _LOOK_AGAIN)
        except Exception as error:
            # Even a defect of ours: the debt stays in the ledger for later, the others go on.
            self._put_it_off(owed, error)
        else:
            return len(owed)
        return 0

    def _put_it_off(self, owed: list[Owed], error: Exception, seconds: float = _PUT_OFF) -> None:
        until = self._clock.monotonic() + seconds
        self._put_off |= {one.id: until for one in owed}
        self._note(owed[0], "notice put off", f"{type(error).__name__}: {error}")

    def _note(self, owed: Owed, what: str, why: str) -> None:
        at, message = self._clock.now(), owed.entry.id
        self._journal.note(Lifecycle(at=at, message=message, what=what, detail=why[:500]))

    async def _answer(self, owed: list[Owed]) -> None:
        if owed[0].damage:
            raise StorageError(owed[0].damage, is_damaged=True)
        why = _must_not(owed[0])
        original = b"" if why else await self._original(owed[0])
        why = why or _automatic(original)
        if why:
            await self._forgive(owed, why)
            return
        report = build(owed, original, self._settings, self._clock.now())
        await self._door.accept_notice(report.envelope, report.content, owed)

    async def _original(self, owed: Owed) -> bytes:
        """The message if it may be given back whole, else enough of it to have its headers.

        Nothing of what is damaged: the sender is told all the same.
        """
        try:
            return await self._read(owed)
        except StorageError as error:
            if not error.is_damaged:
                raise
            self._note(owed, "notice without its message", str(error))
            return b""

    async def _read(self, owed: Owed) -> bytes:
        room = max(MAX_OCTETS, self._settings.max_returned + 1)
        pieces: list[bytes] = []
        async for piece in self._queue.read(owed.entry.id):
            pieces.append(piece[:room])
            room -= len(piece)
            if room <= 0:
                break
        return b"".join(pieces)

    async def _forgive(self, owed: list[Owed], why: str) -> None:
        events = [
            Unnoticed(
                at=self._clock.now(),
                message=one.entry.id,
                address=str(one.recipient.address),
                action=one.action,
                why=why,
            )
            for one in owed
        ]
        await self._ledger.forgive([one.id for one in owed], events)


def _group(owed: Owed) -> tuple[str, str]:
    return owed.entry.id, owed.action


def _must_not(owed: Owed) -> str:
    # RFC 3464 §2, RFC 5321 §4.5.5: never a notice about a notice, never one to nobody.
    if owed.entry.is_notice:
        return "it is a notice itself"
    if owed.entry.envelope.sender is None:
        return "the sender is null"
    # RFC 5321 §6.2: who is named in forged mail has sent nothing, and must not hear of each.
    return "the sender was not proved" if owed.entry.is_disproved else ""


def _automatic(original: bytes) -> str:
    # RFC 3834 §2: an automatic answer must not be answered automatically, or two robots talk.
    kind = (Headers.scan(original).get("Auto-Submitted") or "").lower()
    return "it is an automatic answer" if kind.startswith("auto-replied") else ""
