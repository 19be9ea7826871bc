"""The small values of merpati.toml: times, sizes, networks, domains, targets.

Each has `parse`, which raises ValueError with what is allowed, and a `str` that `parse` reads back.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_OCTETS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}


class Duration(float):
    """Seconds, written as a number or as `90s`, `15m`, `4h`, `5d`, `2w`."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a number of seconds or a text with its unit."""
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
            return cls(float(match[1]) * _SECONDS[match[2]])
        raise ValueError('a time like 90, "90s", "15m", "4h", "5d" or "2w"')

    def __str__(self) -> str:
        for unit, seconds in reversed(_SECONDS.items()):
            if self and self % seconds == 0:
                return f"{int(self // seconds)}{unit}"
        return f"{float(self):g}s"


class Size(int):
    """Octets, written as a number or as `64KiB`, `50MiB`, `2GiB`."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a number of octets or a text with its unit (1024 based)."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            return cls(int(match[1]) * _OCTETS[match[2].lower()])
        raise ValueError('a size like 1000000, "64KiB", "50MiB" or "2GiB"')

    def __str__(self) -> str:
        for unit, octets in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
            if self and self % octets == 0:
                return f"{int(self) // octets}{unit}"
        return str(int(self))


class Network(str):
    """An IPv4 or IPv6 network, or one address, in its canonical form."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """From CIDR text; host bits must be zero, so that a slip does not open a network."""
        try:
            return cls(ipaddress.ip_network(str(value)))
        except ValueError as error:
            raise ValueError(
                f'a network like "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32" ({error})'
            ) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 <= int(text) <= 65535):
        raise ValueError("a port from 0 to 65535")
    return int(text)


def _split_host(text: str) -> tuple[str, str]:
    """(host, port text) of `host:port`, `[ipv6]:port`, `host`, `[ipv6]`."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError('an IPv6 address in brackets, like "[2001:db8::1]:25"')
        return str(ipaddress.IPv6Address(host)), rest[1:]
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    if ":" in host:
        raise ValueError('an IPv6 address in brackets, like "[2001:db8::1]:25"')
    return host, port


@dataclass(frozen=True, slots=True)
class Target:
    """Where a route leads: a host that speaks SMTP or LMTP, a socket, or the domain's own MX."""

    scheme: str
    """smtp, smtps, lmtp or mx."""
    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, value: object) -> Self:
        """From `smtp://host:port`, `smtps://…`, `lmtp://…`, `lmtp:unix:/path` or `mx:`."""
        text = str(value)
        if text == "mx:":
            return cls("mx")
        if text.startswith("lmtp:unix:") and text != "lmtp:unix:":
            return cls("lmtp", path=text.removeprefix("lmtp:unix:"))
        try:
            return cls._of_host(text)
        except ValueError as error:
            allowed = (
                '"smtp://host:port", "smtps://host:port", "lmtp://host:port", '
                '"lmtp:unix:/path" or "mx:"'
            )
            raise ValueError(f"{allowed} ({error})") from None

    @classmethod
    def _of_host(cls, text: str) -> Self:
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in _PORTS:
            raise ValueError("no scheme that is known")
        if "@" in rest:
            raise ValueError("a login belongs into username and password_file")
        host, port = _split_host(rest.removesuffix("/"))
        if ":" not in host and not _HOST.fullmatch(host):
            raise ValueError("no host name or address")
        return cls(scheme, host.lower(), _port(port) if port else _PORTS[scheme])

    def __str__(self) -> str:
        if self.scheme == "mx":
            return "mx:"
        if self.path:
            return f"lmtp:unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Domain(str):
    """A recipient domain of a route: exact, `*.a.test` for everything below, or `*` for all."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Lower case, A-labels."""
        text = str(value).strip().rstrip(".").lower()
        if text == "*":
            return cls(text)
        name = text.removeprefix("*.")
        try:
            ascii_name = name.encode("idna").decode() if not name.isascii() else name
        except UnicodeError:
            ascii_name = ""
        if not _HOST.fullmatch(ascii_name):
            raise ValueError('a domain like "a.test", "*.a.test" (all below it) or "*" (all)')
        return cls(("*." if text.startswith("*.") else "") + ascii_name)

    def matches(self, domain: str) -> bool:
        """Whether mail for `domain` (lower case, A-labels) is meant."""
        if self.startswith("*"):
            return domain.endswith(self[1:])
        return domain == self
