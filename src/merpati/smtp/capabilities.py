"""What a server said it can do, from its answer to EHLO or LHLO (RFC 5321 §4.1.1.1).

Unknown keywords and malformed values are ignored (RFC 9422 §4.2 asks that of LIMITS; RFC 5321 of
the rest). Only the last answer counts, and none from before TLS (RFC 3207 §4.2).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from merpati.smtp.answers import Answer

_KEYWORD = re.compile(r"[A-Z0-9][A-Z0-9-]*")
_NUMBER = re.compile(r"[0-9]{1,18}")
# RFC 9422 §3: limits = limit-name "=" 1*6DIGIT, none with a leading zero.
_LIMIT = re.compile(r"(MAILMAX|RCPTMAX|RCPTDOMAINMAX)=([1-9][0-9]{0,5})")
_MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The extensions that are offered now. The default is a server that knows HELO only."""

    name: str = ""
    """What the server calls itself."""
    keywords: frozenset[str] = frozenset()
    """Upper case, as offered."""
    size: int | None = None
    """The largest message; None: none named."""
    mechanisms: tuple[str, ...] = ()
    """SASL mechanisms of AUTH."""
    mail_max: int | None = None
    """MAIL commands a connection (RFC 9422 §4)."""
    rcpt_max: int | None = None
    """RCPT commands a transaction."""
    shortest_by: int = 0
    """The shortest BY= for mode R, in seconds (RFC 2852 §2)."""

    def offers(self, keyword: str) -> bool:
        """Whether an extension is offered."""
        return keyword in self.keywords


def parse(answer: Answer, ignored: Collection[str] = ()) -> Capabilities:
    """Read a positive answer to EHLO; keywords in `ignored` are taken as not said."""
    lines = answer.text.split("\n")
    spoken = [_words(line) for line in lines[1:_MAX_LINES]]
    values: dict[str, list[str]] = {}
    for keyword, *parameters in filter(None, spoken):
        if keyword not in ignored:
            values.setdefault(keyword, []).extend(parameters)
    limits = {m[1]: m[2] for m in map(_LIMIT.fullmatch, values.get("LIMITS", ())) if m}
    return Capabilities(
        name=(lines[0].split() or [""])[0],
        keywords=frozenset(values),
        size=_number(values.get("SIZE")) or None,  # RFC 1870 §4: zero says that there is no limit.
        mechanisms=tuple(dict.fromkeys(values.get("AUTH", ()))),
        mail_max=_number([limits.get("MAILMAX", "")]),
        rcpt_max=_number([limits.get("RCPTMAX", "")]),
        shortest_by=_number(values.get("DELIVERBY")) or 0,
    )


def _words(line: str) -> list[str]:
    """The keyword and its parameters; servers of old wrote `AUTH=LOGIN`."""
    words = re.sub(r"^AUTH=", "AUTH ", line.upper()).split()
    return words if words and _KEYWORD.fullmatch(words[0]) else []


def _number(parameters: list[str] | None) -> int | None:
    first = parameters[0] if parameters else ""
    return int(first) if _NUMBER.fullmatch(first) else None
