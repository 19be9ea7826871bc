"""The header section of a message, scanned without trust: iterative, bounded, never raising.

The octets of every field are kept as they came, so that what is passed on is what was received.
Lines may end in CRLF or bare LF here: `sendmail` and programs hand in either.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from msgspec.structs import force_setattr

from merpati.mail.mailboxes import Mailboxes, parse_mailboxes
from merpati.mail.words import decode_words

MAX_OCTETS = 128 * 1024
MAX_FIELDS = 1000

# RFC 5322 §2.2: field-name is 1*ftext, octets 33 to 126 but the colon. §4.5 (obsolete syntax, still
# seen) allows blanks before the colon. A line that begins with a blank continues the field.
_NAME = rb"([!-9;-~]++)[ \t]*+:"
_REST = rb"[^\n]*+(?:\n[ \t][^\n]*+)*+\n?+"
_FIELD = re.compile(_NAME + _REST)
# Not possessive, which means the same here: up to Python 3.11.4 a possessive group keeps what its
# last, failing turn has read (CPython's issue 106052).
_SECTION = re.compile(rb"(?:[!-9;-~]++[ \t]*+:%s){0,%d}" % (_REST, MAX_FIELDS))
_BLANK_LINE = re.compile(rb"\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Field:
    """One header field."""

    name: str
    """As written; compare with `casefold`."""
    raw: bytes
    """Every octet from the name to the line end, folds included."""

    @property
    def value(self) -> str:
        """Unfolded and stripped; what is not UTF-8, and every control character, is replaced."""
        return _unfolded(self.raw.split(b":", 1)[1])

    @property
    def text(self) -> str:
        """The value as a person reads it: encoded words decoded (RFC 2047)."""
        return decode_words(self.value)


class Headers(msgspec.Struct, frozen=True):
    """The fields of one header section, in their order.

    Kept as octets: most messages are asked for three names, and are not taken apart for that.
    """

    section: bytes = b""
    """The octets of all fields."""
    size: int = 0
    """Where the body begins: behind the blank line, if there is one."""
    truncated: bool = False
    """The section goes on beyond what may be scanned; `fields` are its beginning."""
    lower: bytes = b""
    """The section in lower case behind a line end, where a name can be found as it is."""

    def __post_init__(self) -> None:
        force_setattr(self, "lower", b"\n" + self.section.lower())

    @classmethod
    def scan(cls, octets: bytes) -> "Headers":
        """The header section at the beginning of `octets`, at most 128 KiB and 1,000 fields of it.

        A line that is neither a field nor its continuation ends the section and begins the body.
        """
        window = octets[:MAX_OCTETS]
        found = _SECTION.match(window)
        section = found[0] if found else b""
        blank = _BLANK_LINE.match(window, len(section))
        if blank:
            return cls(section, blank.end())
        starts = [each.start() for each in _FIELD.finditer(section)]
        if starts and len(section) == MAX_OCTETS < len(octets):
            # The last one was cut by the window, so its octets are not what was sent.
            return cls(section[: starts[-1]], starts[-1], truncated=True)
        return cls(section, len(section), truncated=len(starts) == MAX_FIELDS)

    @property
    def fields(self) -> tuple[Field, ...]:
        """All of them, taken apart anew each time."""
        return tuple([_field(found) for found in _FIELD.finditer(self.section)])

    @property
    def is_ascii(self) -> bool:
        """False for a section that only SMTPUTF8 can carry (RFC 6532)."""
        return self.section.isascii()

    def count(self, name: str) -> int:
        """How many fields have this name."""
        return len(self._find(name))

    def get_all(self, name: str) -> list[str]:
        """The unfolded values of the fields of this name, first to last."""
        return [_value(found) for found in self._find(name)]

    def get(self, name: str) -> str | None:
        """The unfolded value of the first field of this name."""
        found = self._find(name)
        return _value(found[0]) if found else None

    def text(self, name: str) -> str:
        """The first field of this name as a person reads it; empty when there is none."""
        return decode_words(self.get(name) or "")

    def mailboxes(self, *names: str) -> Mailboxes:
        """The mailboxes that all fields of these names list (To, Cc, Bcc, From, Sender …)."""
        lists = [parse_mailboxes(value) for name in names for value in self.get_all(name)]
        return Mailboxes(
            tuple(mailbox for each in lists for mailbox in each.found),
            tuple(flaw for each in lists for flaw in each.flaws),
        )

    def without(self, names: Collection[str]) -> bytes:
        """The fields' octets but for these names; the blank line and the body are not part of it.

        `without({"bcc", "resent-bcc"})` is what may leave for the other recipients to see.
        """
        dropped = {name.lower() for name in names}
        return b"".join(field.raw for field in self.fields if field.name.lower() not in dropped)

    def _find(self, name: str) -> Sequence[re.Match[bytes]]:
        wanted = _wanted(name)
        at = self.lower.find(wanted)
        if at < 0:
            return ()  # as for most names that are asked for
        matches: list[re.Match[bytes]] = []
        while at >= 0:
            # Behind a line end stands a field's name or the blank of a fold, so this is a name
            # or the beginning of a longer one.
            found = _FIELD.match(self.section, at)
            if found and len(found[1]) == len(name):
                matches.append(found)
            at = self.lower.find(wanted, at + 1)
        return matches


@lru_cache(maxsize=64)
def _wanted(name: str) -> bytes:
    return b"\n" + name.lower().encode()


def _value(found: re.Match[bytes]) -> str:
    return _unfolded(found[0].split(b":", 1)[1])


def _unfolded(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace").strip()
    # Most values are one printable line, which has nothing to replace.
    return text if text.isprintable() else _CONTROL.sub(" ", _FOLD.sub("", text))


def _field(found: re.Match[bytes]) -> Field:
    return Field(found[1].decode("ascii"), found[0])
