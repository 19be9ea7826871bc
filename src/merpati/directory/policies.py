"""What other domains demand of who sends to them (MTA-STS), kept over restarts.

There is an end to the room, since strangers can make us write to very many domains. A domain that
only they made us write to makes room first, the one that was used longest ago; for one of our own
people's also what they have not written to for long. Nothing else that holds is given up before its
time: who could bring that about would end what the domain demands.
"""

from dataclasses import astuple, dataclass, replace

import apsw

from merpati.storage.database import Database
from merpati.storage.rows import rows

_COLUMNS = "domain, ident, text, expires, due, failures, used, ours"
_RENEW = (
    "UPDATE sts_policy SET ident = ?, text = ?, expires = ?, due = ?, failures = 0 WHERE domain = ?"
)
_KEEP = f"INSERT INTO sts_policy ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_FIRST_OF_STRANGERS = "SELECT domain FROM sts_policy WHERE ours = 0 ORDER BY used LIMIT 1"
_FIRST_UNUSED = "SELECT domain FROM sts_policy WHERE ours = 1 AND used < ? ORDER BY used LIMIT 1"
_CLAIM = (
    "UPDATE sts_policy SET due = ? WHERE domain = (SELECT domain FROM sts_policy "  # noqa: S608 - constants
    f"WHERE due <= ? AND due < expires ORDER BY due LIMIT 1) RETURNING {_COLUMNS}"
)
_USE = "UPDATE sts_policy SET used = ?, ours = max(ours, ?), due = min(due, ?) WHERE domain = ?"
_AS_CLAIMED = "WHERE domain = ? AND due = ?"


@dataclass(frozen=True, slots=True)
class KeptPolicy:
    """A policy as it was fetched. Times in seconds since 1970."""

    domain: str
    ident: str
    """Of the TXT record at that time."""
    text: bytes
    expires: float
    due: float
    """When it is to be fetched again; not before `expires`: it is not."""
    failures: int = 0
    """To fetch it again, one after another."""
    used: float = 0.0
    """When mail last went to the domain, to a day."""
    is_ours: bool = False
    """Mail of our own people did; else that of strangers alone, and what they made us write."""


@dataclass(frozen=True, slots=True)
class PolicyRoom:
    """How many are kept, and what may go for a new one."""

    domains: int
    unused: float
    """What our own people have not written to since this time may make room for what they do."""


class PolicyStore:
    """Over a database of kind DIRECTORY; several workers may share its file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kept(self, domain: str) -> KeptPolicy | None:
        """The one of a domain, expired or not."""
        query = f"SELECT {_COLUMNS} FROM sts_policy WHERE domain = ?"  # noqa: S608 - constants
        return await self._database.read(lambda connection: _first(connection, query, domain))

    async def keep(self, policy: KeptPolicy, room: PolicyRoom) -> bool:
        """In the place of the domain's last one, whose use is not forgotten, or in a free one; on
        disk when it returns. False: there is no room, and nothing changed."""

        def change(connection: apsw.Connection) -> bool:
            again = (policy.ident, policy.text, policy.expires, policy.due, policy.domain)
            connection.execute(_RENEW, again)
            if connection.changes():
                return True
            if not _has_room(connection, policy, room):
                return False
            connection.execute(_KEEP, astuple(policy))
            return True

        return await self._database.write(change)

    async def use(self, domain: str, at: float, due: float, *, is_ours: bool) -> None:
        """Mail goes there; it is due at `due` at the latest."""

        def change(connection: apsw.Connection) -> None:
            connection.execute(_USE, (at, is_ours, due, domain))

        await self._database.write(change)

    async def claim(self, now: float, until: float) -> KeptPolicy | None:
        """The one that is due for longest, for the caller alone until it is due again at `until`.

        Also one that has expired meanwhile: it was to be fetched before.
        """
        return await self._database.write(lambda connection: _first(connection, _CLAIM, until, now))

    async def put_off(self, policy: KeptPolicy, due: float) -> None:
        """It could not be fetched again; nothing changes where it is not as it was claimed."""
        query = f"UPDATE sts_policy SET due = ?, failures = ? {_AS_CLAIMED}"  # noqa: S608 - constants
        await self._change(query, due, policy.failures + 1, policy.domain, policy.due)

    async def rest(self, policy: KeptPolicy) -> None:
        """It is not to be fetched again; nothing changes where it is not as it was claimed."""
        query = f"UPDATE sts_policy SET due = max(due, expires) {_AS_CLAIMED}"  # noqa: S608 - constants
        await self._change(query, policy.domain, policy.due)

    async def forget(self, before: float) -> None:
        """Those that expired before and are not to be fetched again."""
        await self._change("DELETE FROM sts_policy WHERE expires < ? AND due >= expires", before)

    async def count(self) -> tuple[int, int]:
        """How many are kept for mail of our own people, and for strangers'."""
        query = "SELECT coalesce(sum(ours), 0), count(*) FROM sts_policy"
        ((ours, kept),) = await self._database.read(lambda connection: rows(connection, query))
        return int(ours), int(kept) - int(ours)

    async def _change(self, query: str, *bindings: object) -> None:
        def change(connection: apsw.Connection) -> None:
            connection.execute(query, bindings)

        await self._database.write(change)


def _has_room(connection: apsw.Connection, policy: KeptPolicy, room: PolicyRoom) -> bool:
    """Whether there is a place for one more, perhaps one that another has just made room in."""
    if connection.execute("SELECT count(*) FROM sts_policy").get < room.domains:
        return True
    gone = rows(connection, _FIRST_OF_STRANGERS)
    if not gone and policy.is_ours:
        gone = rows(connection, _FIRST_UNUSED, (room.unused,))
    for (domain,) in gone:
        connection.execute("DELETE FROM sts_policy WHERE domain = ?", (domain,))
    return bool(gone)


def _first(connection: apsw.Connection, query: str, *bindings: object) -> KeptPolicy | None:
    found = rows(connection, query, bindings)
    if not found:
        return None
    kept = KeptPolicy(*found[0])
    return replace(kept, is_ours=bool(kept.is_ours))  # SQLite knows numbers alone.
