"""Where a connection ends: an IP address with a port, or the path of a Unix socket."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from merpati.wire.errors import WireError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end. `Endpoint.parse(str(e)) == e`."""

    ip: str = ""
    """IPv4 or IPv6 text, shortest form; empty for a Unix socket."""
    port: int = 0
    path: str = ""
    """Of a Unix socket; empty for TCP, and for the unnamed end of a Unix connection."""

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read `127.0.0.1:2525`, `[::1]:2525` or `unix:run/lmtp`. Raises WireError."""
        if text.startswith("unix:"):
            return cls._unix(text.removeprefix("unix:"))
        host, colon, port = text.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()):
            raise WireError(f"{text!r} is not address:port, [address]:port or unix:path")
        # Python raises at a number of more than 4,300 digits.
        if len(port) > 5 or int(port) > 65535:
            raise WireError(f"{text!r}: a port is a number up to 65535")
        if host.startswith("[") and host.endswith("]"):
            return cls._tcp(host[1:-1], int(port), version=6)
        return cls._tcp(host, int(port), version=4)

    @classmethod
    def _unix(cls, path: str) -> "Endpoint":
        if not path or "\0" in path:
            raise WireError("unix: wants the path of a socket behind it")
        return cls(path=path)

    @classmethod
    def _tcp(cls, host: str, port: int, version: int) -> "Endpoint":
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise WireError(f"{host!r} is not an IP address") from None
        if address.version != version:
            raise WireError(f"{host!r}: an IPv6 address stands in brackets, an IPv4 does not")
        return cls(str(address), port)

    @classmethod
    def of(cls, name: Any) -> "Endpoint":  # Any: sockets name themselves by tuple, str or bytes
        """What `getsockname` and `getpeername` mean."""
        if isinstance(name, tuple):
            return cls(_unmapped(str(name[0])), int(name[1]))
        if isinstance(name, bytes):
            return cls(path=name.decode("utf-8", "surrogateescape"))
        return cls(path=str(name or ""))

    @property
    def family(self) -> socket.AddressFamily:
        """Of the socket that leads there."""
        if not self.ip:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    @property
    def address(self) -> tuple[str, int] | str:
        """As `connect` and `bind` want it."""
        return (self.ip, self.port) if self.ip else self.path

    def __str__(self) -> str:
        if not self.ip:
            return f"unix:{self.path}"
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def _unmapped(ip: str) -> str:
    """An IPv4 client of a dual-stack socket by its IPv4 name, so that networks and limits match."""
    return ip.removeprefix("::ffff:") if "." in ip else ip
