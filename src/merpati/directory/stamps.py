"""The keys that stamp the senders of forwarded mail (SRS), in the file of the directory.

The newest makes stamps, those before it recognise theirs. A key is made when one is needed and
there is none, or the newest has been in use for TURN; it is forgotten when no stamp of it is good
any more. Several workers share the file: whoever comes first makes the key, in one transaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import apsw

from merpati.directory.looking import Looking
from merpati.storage.database import Database
from merpati.storage.rows import rows

TURN = 30 * 86_400.0
"""Seconds that a key makes stamps for."""
KEPT = 23 * 86_400.0
"""Seconds that it is known for behind that: longer than a stamp is good."""
SECRET = 32
"""Octets."""


@dataclass(frozen=True, slots=True)
class StampKey:
    """One key."""

    id: int
    made: float
    """Seconds since 1970 UTC."""
    secret: bytes = field(repr=False)


class Stamps(Protocol):
    """Keys for stamps. StorageError when the file cannot be asked now."""

    def known(self) -> Sequence[StampKey]:
        """All, the newest first; none before the first stamp was made. One read, at once."""
        ...

    async def current(self, now: float) -> Sequence[StampKey]:
        """The same with a key that is fit to make stamps in front; on disk when it returns."""
        ...

    async def turn(self, now: float, *, forget: bool = False) -> Sequence[StampKey]:
        """Make a new key now. `forget`: every earlier stamp is void from here on."""
        ...


class StampRows:
    """Over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def known(self) -> tuple[StampKey, ...]:
        """One look."""
        query = "SELECT id, made, secret FROM srs_key ORDER BY id DESC"
        return tuple(StampKey(*row) for row in rows(self._connection, query))

    def turn(self, now: float, secret: bytes, *, only_if_due: bool) -> tuple[StampKey, ...]:
        """A new key in front, unless another worker was faster; those that are void are gone."""
        known = self.known()
        if only_if_due and not is_due(known, now):
            return known
        self._connection.execute("INSERT INTO srs_key (made, secret) VALUES (?, ?)", (now, secret))
        known = self.known()
        # A key was in use until the one behind it was made.
        void = [old.id for new, old in pairwise(known) if new.made < now - KEPT]
        self._forget(void)
        return self.known()

    def forget(self) -> None:
        """All of them."""
        self._forget([key.id for key in self.known()])

    def _forget(self, ids: Sequence[int]) -> None:
        # Their octets, too: they are overwritten, where the disk lets us.
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.executemany(
            "DELETE FROM srs_key WHERE id = ?", [(number,) for number in ids]
        )


class StampStore:
    """`Stamps` over a database of kind DIRECTORY. `open` before use."""

    def __init__(self, database: Database, entropy: Callable[[int], bytes]) -> None:
        self._database = database
        self._entropy = entropy
        self._looking = Looking(database)

    def open(self) -> None:
        """With the database open."""
        self._looking.open()

    def close(self) -> None:
        """The database is closed by its owner. Idempotent."""
        self._looking.close()

    def known(self) -> Sequence[StampKey]:
        """See `Stamps`. Not remembered: another worker may have made one a moment ago."""
        return self._looking.look(lambda connection: StampRows(connection).known())

    async def current(self, now: float) -> Sequence[StampKey]:
        """See `Stamps`."""
        known = self.known()
        return await self._turn(now, only_if_due=True) if is_due(known, now) else known

    async def turn(self, now: float, *, forget: bool = False) -> Sequence[StampKey]:
        """See `Stamps`."""
        return await self._turn(now, forget=forget)

    async def _turn(
        self, now: float, *, forget: bool = False, only_if_due: bool = False
    ) -> Sequence[StampKey]:
        secret = self._entropy(SECRET)

        def change(connection: apsw.Connection) -> tuple[StampKey, ...]:
            stored = StampRows(connection)
            if forget:
                stored.forget()
            return stored.turn(now, secret, only_if_due=only_if_due)

        return await self._database.write(change)


def is_due(known: Sequence[StampKey], now: float) -> bool:
    """Whether a new key has to be made before the next stamp."""
    return not known or known[0].made < now - TURN
