"""What the supervisor and a worker say to one another, a packet each.

The other end's death is heard as well: the kernel closes the line of a process that is gone.
"""

import contextlib
import socket

import msgspec

_LONGEST = 64 * 1024
MAX_TEXT = 8000
"""Characters of a text, so that any message is one packet, however it has to be escaped."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """To a worker: end gracefully."""


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """To a worker: take up the configuration as it is in the file now."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Of a worker: every door answers."""

    ports: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Of a worker: it cannot start, and why."""

    why: str


class StopAll(msgspec.Struct, frozen=True, tag="stop-all"):
    """Of a worker: an operator wants the server to stop."""


class RestartAll(msgspec.Struct, frozen=True, tag="restart-all"):
    """Of a worker: an operator wants the workers replaced."""


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded"):
    """Of a worker: an operator had the configuration taken up."""


Message = Stop | Reload | Ready | Failed | StopAll | RestartAll | Reloaded
_decode = msgspec.json.Decoder(Message).decode


class Line:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    def fileno(self) -> int:
        """To wait on."""
        return self._end.fileno()

    def say(self, message: Message) -> None:
        """Hand it over. Whoever is dead or does not listen is found out by other signs."""
        with contextlib.suppress(OSError):
            self._end.send(msgspec.json.encode(message))

    def hear(self) -> list[Message] | None:
        """What was said since; None when the other end is gone."""
        heard: list[Message] = []
        try:
            while octets := self._end.recv(_LONGEST):
                heard.append(_decode(octets))
        except BlockingIOError:
            return heard
        except OSError:
            pass  # It died with words of ours unread: the line is reset instead of closed.
        return heard or None

    def close(self) -> None:
        """This end is not used any more."""
        self._end.close()


def lines() -> tuple[Line, Line]:
    """Both ends of a new one."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(one), Line(other)
