"""A client that sends whatever octets it is told to, over a real socket."""

import base64
import socket
import ssl

PASSWORD = "merpati terbang tinggi"


def trusting() -> ssl.SSLContext:
    """A context for a server whose certificate nobody signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Caller:
    """One connection. `source` is the loopback address that it comes from."""

    def __init__(
        self, port: int, source: str = "127.0.0.1", *, tls: bool = False, seconds: float = 60
    ) -> None:
        raw = socket.create_connection(("127.0.0.1", port), seconds, source_address=(source, 0))
        self.socket: socket.socket = trusting().wrap_socket(raw) if tls else raw
        self._held = b""

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line with its end; b"" when the server has closed."""
        while b"\n" not in self._held:
            try:
                octets = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError):
                octets = b""
            if not octets:
                rest, self._held = self._held, b""
                return rest
            self._held += octets
        line, newline, self._held = self._held.partition(b"\n")
        return line + newline

    def reply(self) -> str:
        """One whole reply, its lines joined; empty at the end of the connection."""
        text = ""
        while line := self.line().decode():
            text += line
            if line[3:4] != "-":
                break
        return text.rstrip("\r\n")

    def say(self, command: str | bytes) -> str:
        octets = command.encode() if isinstance(command, str) else command
        self.send(octets + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """Whatever comes until the server closes."""
        octets = b""
        while line := self.line():
            octets += line
        return octets

    def starttls(self) -> None:
        assert self.say("STARTTLS").startswith("220")
        self.socket = trusting().wrap_socket(self.socket)

    def login(self, user: str = "ann@a.test", password: str = PASSWORD) -> str:
        self.begin_login(user, password)
        return self.reply()

    def begin_login(self, user: str, password: str) -> None:
        word = base64.b64encode(f"\0{user}\0{password}".encode())
        self.send(b"AUTH PLAIN " + word + b"\r\n")

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def greeted(port: int, source: str = "127.0.0.1", *, tls: bool = False) -> Caller:
    """A connection behind its greeting and EHLO."""
    caller = Caller(port, source, tls=tls)
    assert caller.reply().startswith("220")
    assert caller.say("EHLO attacker.test").startswith("250")
    return caller
