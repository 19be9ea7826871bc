"""The header section of a message, scanned without trust: iterative, bounded, never raising.

The octets of every field are kept as they came, so that what is passed on is what was received.
Lines may end in CRLF or bare LF here: `sendmail` and programs hand in either.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from merpati.mail.mailboxes import Mailboxes, parse_mailboxes
from merpati.mail.words import decode_words

MAX_OCTETS = 128 * 1024
MAX_FIELDS = 1000

# RFC 5322 §2.2: field-name is 1*ftext, octets 33 to 126 but the colon. §4.5 (obsolete syntax, still
# seen) allows blanks before the colon. A line that begins with a blank continues the field.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n?+")
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
        text = self.raw.split(b":", 1)[1].decode("utf-8", "replace").strip()
        return _CONTROL.sub(" ", _FOLD.sub("", text))

    @property
    def text(self) -> str:
        """The value as a person reads it: encoded words decoded (RFC 2047)."""
        return decode_words(self.value)


@dataclass(frozen=True, slots=True)
class Headers:
    """The fields of one header section, in their order."""

    fields: tuple[Field, ...] = ()
    size: int = 0
    """Where the body begins: behind the blank line, if there is one."""
    truncated: bool = False
    """The section goes on beyond what may be scanned; `fields` are its beginning."""

    @classmethod
    def scan(cls, octets: bytes) -> "Headers":
        """The header section at the beginning of `octets`, at most 128 KiB and 1,000 fields of it.

        A line that is neither a field nor its continuation ends the section and begins the body.
        """
        window = octets[:MAX_OCTETS]
        fields: list[Field] = []
        at = 0
        while len(fields) < MAX_FIELDS and (found := _FIELD.match(window, at)):
            fields.append(Field(found[1].decode("ascii"), found[0]))
            at = found.end()
        blank = _BLANK_LINE.match(window, at)
        if blank:
            return cls(tuple(fields), blank.end())
        if fields and at == MAX_OCTETS < len(octets):
            # The last one was cut by the window, so its octets are not what was sent.
            at -= len(fields.pop().raw)
            return cls(tuple(fields), at, truncated=True)
        return cls(tuple(fields), at, truncated=len(fields) == MAX_FIELDS)

    def count(self, name: str) -> int:
        """How many fields have this name."""
        return sum(1 for field in self.fields if field.name.lower() == name.lower())

    def get_all(self, name: str) -> list[str]:
        """The unfolded values of the fields of this name, first to last."""
        return [field.value for field in self.fields if field.name.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The unfolded value of the first field of this name."""
        return next(iter(self.get_all(name)), None)

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
