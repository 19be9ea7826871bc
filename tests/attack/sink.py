"""A recording SMTP host for the far side, strict and raw: what it keeps is what was on the wire."""

import socket
import threading
from dataclasses import dataclass

_END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True)
class Taken:
    """One transaction as it was read, dots still stuffed."""

    commands: tuple[bytes, ...]
    content: bytes


class Sink:
    """Listens on loopback and keeps all; has no CHUNKING. `refuse` is its answer to RCPT."""

    def __init__(self, refuse: bytes = b"") -> None:
        self.taken: list[Taken] = []
        self.wire: list[bytes] = []
        self._refuse = refuse
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(90)
        try:
            with connection:
                self._talk(connection)
        except OSError:
            return

    def _talk(self, connection: socket.socket) -> None:
        held, commands, reads_content = b"", [], False
        connection.sendall(b"220 sink\r\n")
        while octets := connection.recv(65536):
            self.wire.append(octets)
            held += octets
            while (end := held.find(_END if reads_content else b"\r\n")) >= 0:
                if reads_content:
                    self.taken.append(Taken(tuple(commands), held[: end + 2]))
                    held, commands, reads_content = held[end + len(_END) :], [], False
                    connection.sendall(b"250 taken\r\n")
                    continue
                line, held = held[:end], held[end + 2 :]
                commands.append(line)
                reads_content = line.upper() == b"DATA"
                connection.sendall(self._reply(line.upper()))
                if line.upper() == b"QUIT":
                    return

    def _reply(self, line: bytes) -> bytes:
        if line.startswith(b"EHLO"):
            return b"250-sink\r\n250-SIZE 99000000\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"
        if line == b"DATA":
            return b"354 go\r\n"
        if self._refuse and line.startswith(b"RCPT"):
            return self._refuse
        return b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n"
