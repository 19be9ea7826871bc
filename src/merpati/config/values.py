"""The small values of merpati.toml: times, sizes, networks, domains, targets.

Each has `parse`, which raises ValueError with what is allowed, and a `str` that `parse` reads back.
"""

import ipaddress
import re
from typing import Self

from merpati.delivery.route import RouteError, parse_route
from merpati.mail.address import Address, AddressError, parse_domain

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DECIMALS = 6
"""Of seconds, so that what is written reads the same: to a float 5.51 minutes are no 330.6 s."""
_OCTETS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
_LOCAL = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,62}[a-z0-9_-])?")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class Duration(float):
    """Seconds, written as a number or as `90s`, `15m`, `4h`, `5d`, `2w`."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """From a number of seconds or a text with its unit."""
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return cls(round(value, _DECIMALS))
        if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
            return cls(round(float(match[1]) * _SECONDS[match[2]], _DECIMALS))
        raise ValueError('a time like 90, "90s", "15m", "4h", "5d" or "2w"')

    def __str__(self) -> str:
        for unit, seconds in reversed(_SECONDS.items()):
            if self and self % seconds == 0:
                return f"{int(self // seconds)}{unit}"
        return f"{float(self):.{_DECIMALS}f}".rstrip("0").removesuffix(".") + "s"


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
        for unit, octets in _UNITS:
            if self and self % octets == 0:
                return f"{int(self) // octets}{unit}"
        return str(int(self))

    def rounded(self) -> str:
        """For people: in the largest unit that fits, with one decimal."""
        for unit, octets in _UNITS:
            if self >= octets:
                return f"{self / octets:.1f}".removesuffix(".0") + unit
        return f"{int(self)} octets"


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


class Mailbox(str):
    """A mail address, as `mail.address` writes it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """From `local@domain`."""
        try:
            address = Address.parse(str(value))
        except AddressError as error:
            raise ValueError(f'an address like "ann@a.test" ({error})') from None
        if not address.domain:
            raise ValueError('an address like "ann@a.test", with its domain')
        return cls(address)


class Target(str):
    """Where a route leads, as `delivery.route` reads it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """From `smtp://host:port`, `smtps://…`, `lmtp://…`, `lmtp:unix:/path` or `mx:`."""
        text = str(value)
        if "@" in text:
            raise ValueError("a target without a login, which belongs into username, password_file")
        try:
            return cls(parse_route(text).name)
        except RouteError as error:
            # What else a route can be (a login in it) is not for this file.
            what = str(error).partition("; allowed:")[0].partition(", allowed:")[0]
            raise ValueError(
                '"smtp://host:port", "smtps://host:port", "lmtp://host:port", '
                f'"lmtp:unix:/path" or "mx:" ({what})'
            ) from None


class DomainName(str):
    """One domain, as `mail.address` writes it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Lower case, A-labels."""
        try:
            name = parse_domain(str(value).strip().removesuffix("."))
        except AddressError as error:
            raise ValueError(f'a domain like "a.test" ({error})') from None
        if name.startswith("["):
            raise ValueError('a domain like "a.test", not an address')
        return cls(name)


class LocalPart(str):
    """A name before the `@` at every domain here."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Lower case. Not the postmaster: a person reads what is sent there (RFC 5321 §4.5.1)."""
        name = str(value).lower()
        if not _LOCAL.fullmatch(name) or name == "postmaster":
            raise ValueError(
                'a name like "mail-reports": letters, digits, "-", "_", "."; not "postmaster"'
            )
        return cls(name)


class CertificateName(str):
    """A name in a certificate: a host, or `*.a.test` for all one label below it."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Lower case, A-labels."""
        text = str(value).strip()
        star = "*." if text.startswith("*.") else ""
        try:
            return cls(star + DomainName.parse(text.removeprefix("*.")))
        except ValueError as error:
            raise ValueError(f'a host like "mail.a.test" or "*.a.test" ({error})') from None


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
