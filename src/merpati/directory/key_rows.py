"""The rows of keys that sign: one look, one change at a time."""

from collections.abc import Sequence
from typing import Any

import apsw

from merpati.directory.errors import DirectoryError
from merpati.directory.keys import DkimKey, KeyState
from merpati.directory.rotation import check_new, check_removal, rotated
from merpati.storage.rows import rows

_KEYS = "SELECT domain, selector, kind, state, since, record, private FROM dkim_key"


class KeyRows:
    """Over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def has_active(self) -> bool:
        """One look."""
        return bool(rows(self._connection, "SELECT 1 FROM dkim_key WHERE state = 'active' LIMIT 1"))

    def active(self, domain: str) -> tuple[DkimKey, ...]:
        """One look."""
        return tuple(key for key in self.keys(domain) if key.state is KeyState.ACTIVE)

    def keys(self, domain: str) -> list[DkimKey]:
        """All when `domain` is empty."""
        query = f"{_KEYS} WHERE ?1 IN ('', domain) ORDER BY domain, selector"
        if domain:
            query = f"{_KEYS} WHERE domain = ?1 ORDER BY selector"
        return [_key(row) for row in rows(self._connection, query, (domain,))]

    def add(self, key: DkimKey) -> None:
        """A new one."""
        check_new(key, self.keys(key.domain))
        self._connection.execute(
            "INSERT INTO dkim_key (domain, selector, kind, state, since, record, private) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key.domain,
                key.selector,
                key.kind,
                key.state.value,
                key.since,
                key.record,
                key.private,
            ),
        )

    def rotate(self, domain: str, at: float) -> list[DkimKey]:
        """Those that changed."""
        changed = rotated(self.keys(domain), at)
        self._connection.executemany(
            "UPDATE dkim_key SET state = ?, since = ? WHERE domain = ? AND selector = ?",
            [(key.state.value, key.since, key.domain, key.selector) for key in changed],
        )
        return changed

    def remove(self, domain: str, selector: str, at: float, *, force: bool) -> None:
        """Its octets, too: they are overwritten, where the disk lets us."""
        found = [key for key in self.keys(domain) if key.selector == selector]
        if not found:
            raise DirectoryError(f"{domain} has no key {selector}")
        if not force:
            check_removal(found[0], at)
        self._connection.execute("PRAGMA secure_delete=ON")
        self._connection.execute(
            "DELETE FROM dkim_key WHERE domain = ? AND selector = ?", (domain, selector)
        )


def _key(row: Sequence[Any]) -> DkimKey:
    domain, selector, kind, state, since, record, private = row
    return DkimKey(domain, selector, kind, KeyState(state), since, record, private)
