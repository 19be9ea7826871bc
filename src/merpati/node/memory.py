"""Everything that the workers of a node share, mapped before they are made."""

import os
from dataclasses import dataclass

from merpati.node.board import Board
from merpati.node.table import Table, TableSettings

_SITES = 16_384
_ADDRESSES = 65_536
_METERS = 65_536
_ACCOUNTS = 65_536
_SIGNATURES = 16_384
_SECRET = 32


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """The board and the tables. About 25 MiB at most, and only what is used of it."""

    board: Board
    sites: Table
    """Connections to sites, and what these taught."""
    addresses: Table
    """Connections from addresses, and to ports."""
    meters: Table
    """How much a peer or an account used lately."""
    accounts: Table
    """What each account sent today."""
    signatures: Table
    """How often each signature came by others than its signer. Apart from `meters`, so that what is
    forwarded here, however much, pushes none of those out."""

    def become(self, worker: int) -> None:
        """Write as this worker from now on: said once, in the worker's own process."""
        self.board.become(worker, os.getpid())
        for table in (self.sites, self.addresses, self.meters):
            table.become(worker)

    def forget(self, worker: int) -> None:
        """A worker is dead: its line and its counts are cleared."""
        self.board.clear(worker)
        self.sites.forget(worker)
        self.addresses.forget(worker)


def share(workers: int) -> SharedMemory:
    """Map it; the processes that are made from this one have it too."""
    secret = os.urandom(_SECRET)
    return SharedMemory(
        board=Board(workers),
        sites=Table(TableSettings(_SITES, workers), secret),
        addresses=Table(TableSettings(_ADDRESSES, workers), secret),
        meters=Table(TableSettings(_METERS), secret),
        accounts=Table(TableSettings(_ACCOUNTS), secret),
        signatures=Table(TableSettings(_SIGNATURES), secret),
    )
