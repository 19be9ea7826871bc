"""Strangers' text made fit to show: nothing in it can act on a terminal, a log or a mail."""

import re

MAX_SHOWN = 1000

# C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of
# reading or hide text (Unicode TR 36 §2.10.3): all are shown by their number.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """The text with every active character as `\\u202e`, cut to `limit` characters before that."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
