"""Lists of mailboxes in header fields: To, Cc, Bcc, From, Sender, Reply-To (RFC 5322 §3.4).

Tokens are read one after the other, each once, so time is linear and nothing recurses. Only
`Address.parse` decides what an address is; quotes reach it untouched, so that an `@` inside them
never becomes the one that counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from merpati.mail.address import Address, AddressError
from merpati.mail.words import decode_words

MAX_COMMENT_DEPTH = 50
MAX_MAILBOXES = 5000
MAX_FLAW = 200
"""Characters of a flaw that are kept."""

# RFC 5322 §3.2: CFWS, quoted-string, domain-literal, specials that matter to a list, and atoms.
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]++)"
    r"|(?P<quoted>\"(?:[^\"\\]|\\.)*+\")"
    r"|(?P<literal>\[[^\[\]\\]*+\])"
    r"|(?P<special>[<>,;:])"
    r"|(?P<atom>[^ \t\r\n\"<>,;:(\[]++)"
    # A quote that never ends takes the rest with it: looking for the end of each is quadratic.
    r"|(?P<broken>\".*+|.)",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"[()]|\\.?", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name that stands before it."""

    address: Address
    name: str = ""


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """What a list holds, in its order."""

    found: tuple[Mailbox, ...] = ()
    flaws: tuple[str, ...] = ()
    """Pieces of the list that are no mailbox, cut to a length fit for an error message."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses alone."""
        return tuple(mailbox.address for mailbox in self.found)


@dataclass(slots=True)
class _Reading:
    """One list being read."""

    found: list[Mailbox] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)
    phrase: list[str] = field(default_factory=list)
    """What stands before `<`, or a bare address; white space between words is one blank."""
    angle: list[str] = field(default_factory=list)
    """What stands between `<` and `>`."""
    place: str = "phrase"
    """Where the next piece belongs: phrase, angle, or behind the closed address."""
    spaced: bool = False
    is_broken: bool = False

    def take(self, kind: str, piece: str) -> None:
        """One token."""
        if kind == "space":
            self.spaced = True
        elif kind == "special":
            self._special(piece)
        elif self.place == "angle":
            # A blank inside an address is kept: `<a b@c>` must not become the address `ab@c`.
            self._append(self.angle, piece)
        else:
            self._append(self.phrase, piece)
            self.is_broken |= kind == "broken" or self.place == "behind"

    def _append(self, pieces: list[str], piece: str) -> None:
        if pieces and self.spaced:
            pieces.append(" ")
        self.spaced = False
        pieces.append(piece)

    def _special(self, mark: str) -> None:
        if mark in ",;" and self.place != "angle":
            self.finish()
        elif mark == ":" and self.place == "phrase":
            # The name of a group (§3.4); its members follow as if they stood alone.
            name = "".join(self.phrase)
            if "@" in name and len(self.flaws) < MAX_MAILBOXES:
                self.flaws.append(name[:MAX_FLAW])  # No phrase: an address, to some readers.
            self.phrase.clear()
        elif mark == ":" and self.place == "angle":
            # RFC 5322 §4.4: an obsolete source route, `<@a,@b:x@c>`, is read and forgotten.
            self.angle.clear()
        elif (mark, self.place) in _TURNS:
            self.place, self.spaced = _TURNS[mark, self.place], False
        else:
            self._append(self.angle if self.place == "angle" else self.phrase, mark)
            self.is_broken |= self.place != "angle"

    def finish(self) -> None:
        """The end of one mailbox."""
        bare = self.place == "phrase"
        text = "".join(self.phrase if bare else self.angle)
        if text or not bare:
            self._keep(text, "" if bare else _name(self.phrase))
        self.phrase.clear()
        self.angle.clear()
        self.place, self.spaced, self.is_broken = "phrase", False, False

    def _keep(self, text: str, name: str) -> None:
        address = None if self.is_broken or self.place == "angle" else _address(text)
        if address and len(self.found) < MAX_MAILBOXES:
            self.found.append(Mailbox(address, name))
        elif len(self.flaws) < MAX_MAILBOXES:
            self.flaws.append((text or name)[:MAX_FLAW])


_TURNS = {("<", "phrase"): "angle", (">", "angle"): "behind"}


def _address(text: str) -> Address | None:
    try:
        return Address.parse(text)
    except AddressError:
        return None


def parse_mailboxes(text: str) -> Mailboxes:
    """The mailboxes of a list; groups are opened, comments dropped. Never raises."""
    reading = _Reading()
    for kind, piece in _tokens(text):
        reading.take(kind, piece)
    reading.finish()
    return Mailboxes(tuple(reading.found), tuple(reading.flaws))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if text[at] == "(":
            end = comment_end(text, at)
            yield ("space", " ") if end else ("broken", text[at:])
            at = end or len(text)
        elif found := _TOKEN.match(text, at):
            yield str(found.lastgroup), found[0]
            at = found.end()


def comment_end(text: str, start: int) -> int:
    """Behind the comment that begins at `start`; 0 when it never ends or nests too deep."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(edge[0], 0)
        if depth == 0:
            return edge.end()
        if depth > MAX_COMMENT_DEPTH:
            return 0
    return 0


def _name(phrase: list[str]) -> str:
    words = [_QUOTED_PAIR.sub(r"\1", word[1:-1]) if _is_quoted(word) else word for word in phrase]
    return decode_words("".join(words))


def _is_quoted(word: str) -> bool:
    return len(word) > 1 and word[0] == word[-1] == '"'
