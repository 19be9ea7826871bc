"""Lists of tags, `v=DKIM1; k=rsa; p=...`: what signatures and records in the DNS are written in.

RFC 6376 §3.2, and by reference RFC 8617 and RFC 9989. Bounded and linear, whatever strangers send.
"""

import re
from dataclasses import dataclass

from merpati.errors import MerpatiError

MAX_OCTETS = 32 * 1024
"""Of one list; a signature that copies header fields (z=) is long."""
MAX_TAGS = 100

# RFC 6376 §3.2:
#   tag-list  =  tag-spec *( ";" tag-spec ) [ ";" ]
#   tag-spec  =  [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
#   tag-name  =  ALPHA *ALNUMPUNC
#   tag-value =  [ tval *( 1*(WSP / FWS) tval ) ]
#   VALCHAR   =  %x21-3A / %x3C-7E  ; EXCLAMATION to TILDE except SEMICOLON
# and UTF8-non-ascii besides (RFC 8616 §5), but for what no name is made of: see mail.address.
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_BLANK = " \t\r\n"
_is_name = re.compile(r"[A-Za-z][A-Za-z0-9_]*+").fullmatch
_is_value = re.compile(r"[\t -:<-~\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]*+").fullmatch


class TagError(MerpatiError):
    """Octets that are no list of tags; the message says why, without repeating them."""


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one list, in their order. No name is there twice."""

    pairs: tuple[tuple[str, str], ...] = ()
    """(name, value); values are unfolded, stripped, and keep the white space within them."""

    def get(self, name: str) -> str | None:
        """The value of a tag, None where the list has no such tag."""
        for each, value in self.pairs:
            if each == name:
                return value
        return None

    def __contains__(self, name: object) -> bool:
        return any(each == name for each, _ in self.pairs)


def parse_tags(octets: bytes) -> Tags:
    """Read a list as DKIM and ARC do: any fault makes all of it void. Names keep their case.

    Raises TagError: a piece that is no tag, a name that is there twice, too long or too many.
    """
    pieces = _pieces(octets)
    if len(pieces) > 1 and not pieces[-1].strip(_BLANK):
        pieces.pop()  # the one empty piece that the grammar allows, behind the last `;`
    pairs: dict[str, str] = {}
    for piece in pieces:
        pair = _pair(piece)
        if pair is None:
            raise TagError("a piece that is no tag of the form name=value")
        if pair[0] in pairs:
            raise TagError(f"the tag {pair[0][:20]} is there twice")
        pairs[pair[0]] = pair[1]
    return Tags(tuple(pairs.items()))


def parse_tags_leniently(octets: bytes) -> Tags:
    """Read a list as DMARC does (RFC 9989 §4.7): what is no tag is passed over.

    Names are in lower case, and the first of a name counts. Raises TagError only for a list that
    is too long, has too many tags, or is no text.
    """
    pairs: dict[str, str] = {}
    for piece in _pieces(octets):
        if pair := _pair(piece):
            pairs.setdefault(pair[0].lower(), pair[1])
    return Tags(tuple(pairs.items()))


def _pieces(octets: bytes) -> list[str]:
    if len(octets) > MAX_OCTETS:
        raise TagError(f"longer than {MAX_OCTETS} octets")
    if octets.count(b";") > MAX_TAGS:
        raise TagError(f"more than {MAX_TAGS} tags")
    try:
        return octets.decode("utf-8").split(";")
    except UnicodeDecodeError:
        raise TagError("octets that are not UTF-8") from None


def _pair(piece: str) -> tuple[str, str] | None:
    name, equals, value = piece.partition("=")
    name, value = name.strip(_BLANK), value.strip(_BLANK)
    if "\n" in value:  # as few have
        value = _FOLD.sub("", value)
    if equals and _is_name(name) and _is_value(value):
        return name, value
    return None
