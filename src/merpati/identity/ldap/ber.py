"""The part of BER that LDAP uses (RFC 4511 §5.1: definite lengths, primitive strings)."""

from collections.abc import Iterator
from dataclasses import dataclass

from merpati.errors import MerpatiError

INTEGER, OCTETS, ENUMERATED, BOOLEAN = 0x02, 0x04, 0x0A, 0x01
SEQUENCE = 0x30


class BerError(MerpatiError):
    """Octets that are not BER as LDAP has it."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag with what is in it."""

    tag: int
    octets: bytes

    def elements(self) -> "list[Element]":
        """What a constructed one consists of. Raises BerError."""
        return list(_split(self.octets))

    @property
    def number(self) -> int:
        """Of an integer or an enumerated. Raises BerError for one of no or many octets."""
        if not 1 <= len(self.octets) <= 8:
            raise BerError("a number without end")
        return int.from_bytes(self.octets, "big", signed=True)


def encode(tag: int, *parts: bytes) -> bytes:
    """An element of these parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(number: int, tag: int = INTEGER) -> bytes:
    """An integer of the shortest form."""
    return encode(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def read(octets: bytes, most: int, at: int = 0) -> tuple[Element, int] | None:
    """The element that begins at `at` and where it ends; None while it is not whole.

    Raises BerError for one longer than `most`, and for forms that LDAP does not have.
    """
    if len(octets) < at + 2:
        return None
    start, size = at + 2, octets[at + 1]
    if size > 0x80:
        start += size & 0x7F
        if start > at + 6:
            raise BerError("a length of more than four octets")
        if len(octets) < start:
            return None
        size = int.from_bytes(octets[at + 2 : start], "big")
    elif size == 0x80:
        raise BerError("an indefinite length")
    if size > most:
        raise BerError(f"a message of more than {most} octets")
    end = start + size
    return (Element(octets[at], octets[start:end]), end) if len(octets) >= end else None


def _split(octets: bytes) -> Iterator[Element]:
    start = 0
    while start < len(octets):
        found = read(octets, len(octets), start)
        if found is None:
            raise BerError("an element without its end")
        element, start = found
        yield element
