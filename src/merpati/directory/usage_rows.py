"""What is counted of accounts, as rows of the directory's file.

A recipient that is known takes about 30 octets of disk, a day of an account about 20. They grow by
what an account may send to strangers in a day, and are forgotten after a year and a week.
"""

from collections.abc import Sequence

import apsw

from merpati.directory.usage import Sent, Used
from merpati.mail.address import Address
from merpati.storage.rows import rows

_COUNTED_FOR = 7
_KNOWN_FOR = 365
_REFRESHED_AFTER = 7
"""Days. Who is written to every day need not be written down every day."""
_ACCOUNT = "SELECT id, since FROM user WHERE domain = ? AND local = ?"
_ADD = (
    "INSERT INTO used VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (user, day) DO UPDATE SET "
    "messages = messages + 1, recipients = recipients + ?3, strangers = strangers + ?4"
)
_REFRESH = "UPDATE known SET day = ?1 WHERE user = ?2 AND hash = ?3 AND day < ?1 - ?4"
_USED = (
    "SELECT messages, recipients, strangers FROM used WHERE day = ?1 AND user = "
    "(SELECT id FROM user WHERE domain = ?2 AND local = ?3)"
)
_KNOWS = (
    "SELECT 1 FROM known WHERE hash = ?1 AND user = "
    "(SELECT id FROM user WHERE domain = ?2 AND local = ?3)"
)


class UsageRows:
    """Over a connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def used(self, account: Address, day: int) -> Used:
        """One look."""
        found = rows(self._connection, _USED, (day, account.domain, account.local.lower()))
        return next((Used(*row) for row in found), Used())

    def knows(self, account: Address, recipient: int) -> bool:
        """One look."""
        bindings = (recipient, account.domain, account.local.lower())
        return bool(rows(self._connection, _KNOWS, bindings))

    def cursor(self, shard: int) -> int | None:
        """One look."""
        found = rows(self._connection, "SELECT seq FROM counted WHERE shard = ?", (shard,))
        return int(found[0][0]) if found else None

    def add(self, shard: int, cursor: int, sent: Sequence[Sent]) -> None:
        """In the caller's transaction."""
        for one in sent:
            name = one.account.domain, one.account.local.lower()
            for user, since in rows(self._connection, _ACCOUNT, name):
                strangers = sum(self._meet(user, one.day, known) for known in one.known)
                if one.at >= since:
                    day = user, one.day, one.recipients, strangers
                    self._connection.execute(_ADD, day)
        self._connection.execute("INSERT OR REPLACE INTO counted VALUES (?, ?)", (shard, cursor))

    def _meet(self, user: int, day: int, known: int) -> bool:
        """Whether it is the first time."""
        self._connection.execute("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", (user, known, day))
        if self._connection.changes():
            return True
        self._connection.execute(_REFRESH, (day, user, known, _REFRESHED_AFTER))
        return False

    def forget(self, today: int, most: int) -> int:
        """The counts first."""
        gone = self._remove("used", "(user, day)", "user, day", today - _COUNTED_FOR, most)
        left = most - gone
        return gone + self._remove("known", "(user, hash)", "user, hash", today - _KNOWN_FOR, left)

    def _remove(self, table: str, key: str, columns: str, before: int, most: int) -> int:
        self._connection.execute(
            f"DELETE FROM {table} WHERE {key} IN "  # noqa: S608 - constants
            f"(SELECT {columns} FROM {table} WHERE day < ? LIMIT ?)",
            (before, most),
        )
        return self._connection.changes()
