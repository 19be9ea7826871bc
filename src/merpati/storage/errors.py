"""What goes wrong on the way to stable storage, fit to show to an operator."""

from merpati.errors import MerpatiError


class StorageError(MerpatiError):
    """The database refused; what was asked for was not stored.

    Temporary for whoever waits: answer 452 when `is_full`, else 451.
    """

    def __init__(
        self,
        text: str,
        *,
        is_full: bool = False,
        is_damaged: bool = False,
        is_foreign: bool = False,
        is_busy: bool = False,
    ) -> None:
        super().__init__(text)
        self.is_full = is_full
        """No space is left on the device, or the file's own limit is reached."""
        self.is_damaged = is_damaged
        """The file is no database, is corrupt, is foreign or newer than this program."""
        self.is_foreign = is_foreign
        """It is foreign or newer: for another program it may be whole."""
        self.is_busy = is_busy
        """Another process has it open, or holds it locked, for longer than was waited for."""
