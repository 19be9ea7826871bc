"""Replies: a code, an enhanced status code and text lines (RFC 5321 §4.2, RFC 2034)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from merpati.smtp.status import Status

_UNPRINTABLE = re.compile(r"[^\t -~]")
# RFC 5321 §4.5.3.1.5: a reply line is at most 512 octets with code, separator and CRLF.
_MAX_TEXT = 512 - len("250-") - len("\r\n")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, complete. Only a Reply reaches a peer. Encoded once, when it is made.

    Text is ASCII; anything else, and every control character, becomes `?`, so that no reply can
    carry an injected line.
    """

    code: int
    text: str = ""
    """Lines separated by `\\n`; long lines are cut to what RFC 5321 §4.5.3.1.5 allows."""
    status: Status | None = None
    octets: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "octets", b"".join(self._lines()))

    def _lines(self) -> Iterable[bytes]:
        prefix = f"{self.status} " if self.status else ""
        room = _MAX_TEXT - len(prefix)
        lines = self.text.split("\n")
        for n, line in enumerate(lines):
            mark = " " if n == len(lines) - 1 else "-"
            clean = _UNPRINTABLE.sub("?", line)[:room]
            yield f"{self.code}{mark}{prefix}{clean}".rstrip(" ").encode() + b"\r\n"

    @property
    def is_positive(self) -> bool:
        """2yz or 3yz."""
        return self.code < 400

    @property
    def is_permanent(self) -> bool:
        """5yz."""
        return self.code >= 500

    @property
    def is_temporary(self) -> bool:
        """4yz."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        prefix = f"{self.status} " if self.status else ""
        return f"{self.code} {prefix}" + self.text.replace("\n", " ")
