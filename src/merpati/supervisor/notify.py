"""Tells systemd how we are (sd_notify(3)); nothing without it."""

import contextlib
import socket
from collections.abc import Mapping


class Notifier:
    """The service manager's ear."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        # sd_notify(3): a name that begins with @ is an abstract socket.
        self._address = environment.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        mine = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        self._watchdog = float(environment.get("WATCHDOG_USEC", "0")) / 1e6 if mine else 0.0

    @property
    def watchdog_interval(self) -> float | None:
        """How often to say that we live: twice in the time that systemd waits."""
        return self._watchdog / 2 if self._watchdog else None

    def ready(self, status: str) -> None:
        """Every port answers."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """The configuration is read again; `ready` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic * 1e6)}")

    def stopping(self) -> None:
        """No new connections; running sessions end."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The event loop turns."""
        self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        # A manager that is gone or busy must not stop the mail.
        with (
            contextlib.suppress(OSError),
            socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as ear,
        ):
            ear.sendto(text.encode(), self._address)
