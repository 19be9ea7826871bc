"""Which header fields a signature covers, and the octets that are signed (RFC 6376 §3.7, §5.4)."""

import re
from collections.abc import Sequence

from merpati.authenticity.dkim.canonical import Canonicalization, canonical_field
from merpati.mail.headers import Headers

# §3.5: the value of b= is taken for empty, with all white space around it. No tag's value has a
# semicolon, so a tag begins behind one, or where the value of the field does.
_B = re.compile(rb"(?:^|;)[ \t\r\n]*+b[ \t\r\n]*+=([^;]*+)")


class SignedFields:
    """The header fields of one message, to be chosen from by many signatures."""

    def __init__(self, headers: Headers) -> None:
        self._by_name: dict[str, list[bytes]] = {}
        for field in headers.fields:
            self._by_name.setdefault(field.name.lower(), []).append(field.raw)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def count(self, name: str) -> int:
        """How many fields have this name, which is in lower case."""
        return len(self._by_name.get(name, ()))

    def raw(self, name: str) -> Sequence[bytes]:
        """The octets of the fields of this name, first to last."""
        return self._by_name.get(name, ())

    def canonical(self, names: Sequence[str], canon: Canonicalization) -> bytes:
        """What h= covers, in its order: each name stands for the next field of it from below.

        A name beyond the last of its fields stands for nothing, so that none can be added (§5.4).
        """
        left = {name: len(raws) for name, raws in self._by_name.items()}
        octets = []
        for name in names:
            key = name.lower()
            if left.get(key):
                left[key] -= 1
                octets.append(canonical_field(self._by_name[key][left[key]], canon))
        return b"".join(octets)


def unsigned_field(raw: bytes, canon: Canonicalization) -> bytes:
    """A signature's own field as it is signed: without b='s value and without a line end."""
    name, colon, value = raw.partition(b":")
    found = _B.search(value)
    if found:
        value = value[: found.start(1)] + value[found.end(1) :]
    return canonical_field(name + colon + value, canon).removesuffix(b"\r\n")
