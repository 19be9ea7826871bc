"""Names of directories from names of mailboxes: readable where that is safe, never a way out.

Letters and digits of any script, and `-_+=@.` stay as they are; everything else, a dot in front
and the percent sign become %XX. Different names stay different, none is empty, `.` or `..`, and
none holds a separator or an invisible character.
"""

import unicodedata
from hashlib import blake2b

# NAME_MAX is 255 octets on every file system that matters.
_MAX_OCTETS = 240
_PLAIN = frozenset("-_+=@.")


def directory_name(name: str) -> str:
    """The directory for a local part or a domain."""
    # Text that a file system may normalise would not keep different names apart.
    readable = unicodedata.is_normalized("NFC", name)
    encoded = "".join(
        char if _is_plain(char, n, readable) else _escaped(char) for n, char in enumerate(name)
    )
    octets = encoded.encode()
    if len(octets) <= _MAX_OCTETS:
        return encoded or "%"
    # A cut name gets a digest behind `%~`, which no escape looks like.
    cut = octets[: _MAX_OCTETS - 40].decode(errors="ignore")
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16)
    return f"{cut}%~{digest.hexdigest()}"


def _is_plain(char: str, place: int, readable: bool) -> bool:
    if char == ".":
        return place > 0
    return char in _PLAIN or (char.isalnum() and (readable or char.isascii()))


def _escaped(char: str) -> str:
    return "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogatepass"))
