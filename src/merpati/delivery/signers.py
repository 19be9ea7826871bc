"""The few workers that sign what is about to leave, as many messages at a time as have come."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from merpati.delivery.route import Route
from merpati.delivery.signing import Signing
from merpati.delivery.transaction import Transaction
from merpati.mail.envelope import Body

_WORKERS = 4
"""One waits for the disk or for a thread with a long key, and others can sign meanwhile."""
_TOGETHER = 4
"""Messages handed on in one step, so that they find their connections together."""


class Parcel(msgspec.Struct, frozen=True):
    """A transaction and where it goes."""

    route: Route
    base: str
    """The domain, where its MX is the way."""
    transaction: Transaction


Parcels = list[Parcel]


class Signers:
    """Takes parcels and hands them on with signatures. `run` once."""

    def __init__(
        self,
        signing: Signing,
        send: Callable[[Parcels], Awaitable[None]],
        failed: Callable[[list[Transaction], Exception], None],
        back: Callable[[Iterable[Transaction]], None],
    ) -> None:
        """`failed` is given what could not be signed, `back` what a stop leaves unsigned."""
        self._signing = signing
        self._send = send
        self._failed = failed
        self._back = back
        self._waiting: deque[Parcel] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False
        self.recipients = 0
        """Of what waits for a signature."""

    def offer(self, parcel: Parcel) -> None:
        """Sign this soon."""
        self._waiting.append(parcel)
        self.recipients += len(parcel.transaction.recipients)
        self._arrived.set()

    def stop(self) -> None:
        """Begin nothing more; what waits goes back."""
        self._stopping = True
        self._arrived.set()
        self._back(parcel.transaction for parcel in self._waiting)
        self._waiting.clear()

    async def run(self) -> None:
        """Work until stopped. Cancelled, it gives back what it was signing."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while not self._stopping:
            if self._waiting:
                await self._sign(self._some())
            else:
                self._arrived.clear()
                await self._arrived.wait()

    def _some(self) -> Parcels:
        """The next few; what is read from the disk goes alone, since reading can fail."""
        some = [self._waiting.popleft()]
        while _is_read(some[-1]) and self._waiting and len(some) < _TOGETHER:
            if not _is_read(self._waiting[0]):
                break
            some.append(self._waiting.popleft())
        return some

    async def _sign(self, parcels: Parcels) -> None:
        transactions = [parcel.transaction for parcel in parcels]
        signed: list[Transaction] = []
        try:
            signed = await self._signing.sign(transactions)
        except asyncio.CancelledError:
            self._back(transactions)
            raise
        except Exception as error:
            self._failed(transactions, error)
        self.recipients -= sum(len(one.recipients) for one in transactions)
        if self._stopping:
            self._back(signed)
        else:
            pairs = zip(parcels, signed, strict=False)
            await self._send([Parcel(one.route, one.base, with_top) for one, with_top in pairs])


def _is_read(parcel: Parcel) -> bool:
    return isinstance(parcel.transaction.body, Body)
