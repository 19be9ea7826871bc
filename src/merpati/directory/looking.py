"""One connection for questions that are answered at once, on the thread of the event loop."""

from collections.abc import Callable
from typing import TypeVar

import apsw

from merpati.storage.connection import abandon, connect_reader
from merpati.storage.database import Database
from merpati.storage.errors import StorageError
from merpati.storage.foreign import loses_trust, translate

T = TypeVar("T")


class Looking:
    """Over a database that is open. `open` before use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_open = False
        self._connection: apsw.Connection | None = None

    def open(self) -> None:
        """Take the connection."""
        self._is_open = True
        self._connect()

    def close(self) -> None:
        """Give it back; the database is closed by its owner. Idempotent."""
        self._is_open = False
        self._disconnect()

    def look(self, ask: Callable[[apsw.Connection], T]) -> T:
        """One question. StorageError when it cannot be answered now."""
        if not self._is_open:
            raise StorageError("the directory is not open")
        try:
            return ask(self._connection or self._connect())
        except apsw.Error as error:
            if loses_trust(error):
                self._disconnect()
            raise translate(error, str(self._database.settings.path)) from error

    def _connect(self) -> apsw.Connection:
        self._connection = connect_reader(self._database.settings)
        # On the loop nothing may wait: a file that is locked for once is a temporary failure.
        self._connection.set_busy_timeout(0)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)
