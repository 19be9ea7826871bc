"""Authentication-Results (RFC 8601): what a host found, written for those behind it, and read.

The field is believed by whoever finds it under the name of a host that it trusts. So nothing that
a stranger sent may end a value, a comment or a line when it is written, and what comes in under
our own name is found whatever is done to hide it (`is_forged`).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from merpati.errors import MerpatiError
from merpati.mail.address import MAX_DOMAIN, AddressError, parse_domain
from merpati.mail.headers import Field
from merpati.mail.mailboxes import comment_end
from merpati.mail.words import decode_words

NAME = "authentication-results"
MAX_OCTETS = 32 * 1024
"""Of one field that is read."""
MAX_FINDINGS = 100
MAX_PROPERTIES = 50
"""Of one finding."""
MAX_VALUE = 320
"""Characters of a value that is written: an address of 254, quoted."""
MAX_COMMENT = 200
MAX_FIELDS = 30
"""Of one message; where there are more, none of them is honest. To read thirty takes up to 5 ms."""
_MAX_HEAD = 500
"""Characters that a host is named in."""
_LINE = 78  # RFC 5322 §2.1.1

# RFC 8601 §2.2; Keyword is RFC 5321's Ldh-str, value is RFC 2045's token or a quoted-string:
#   authres-payload = [CFWS] authserv-id [ CFWS authres-version ] ( no-result / 1*resinfo ) [CFWS]
#   no-result       = [CFWS] ";" [CFWS] "none"
#   resinfo         = [CFWS] ";" methodspec [ CFWS reasonspec ] [ CFWS 1*propspec ]
#   methodspec      = [CFWS] method [CFWS] "=" [CFWS] result
#   method          = Keyword [ [CFWS] "/" [CFWS] method-version ]
#   reasonspec      = "reason" [CFWS] "=" [CFWS] value
#   propspec        = ptype [CFWS] "." [CFWS] property [CFWS] "=" pvalue
#   pvalue          = [CFWS] ( ( value / [ [ local-part ] "@" ] domain-name ) ) [CFWS]
# `_` besides in a Keyword: results of other hosts have it.
_is_keyword = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?").fullmatch
_TEXT = r"\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"  # see mail.address
_is_token = re.compile(rf"[!#-'*+\-.0-9A-Z^-~{_TEXT}]+").fullmatch
_ATOM = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_TEXT}]+"
_is_address = re.compile(
    rf"(?:{_ATOM}(?:\.{_ATOM})*)?@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
).fullmatch
_UNWRITABLE = re.compile(rf"[^ -~{_TEXT}]")
_BEYOND_ASCII = re.compile(r"[^ -~]")
_ESCAPED = re.compile(r'(["\\])')
_ESCAPED_COMMENT = re.compile(r"([()\\])")

_QUOTED = r"\"(?:[^\"\\]|\\.)*+\""
_PIECE = re.compile(rf"({_QUOTED})|([^;(\"]++)|(;)|(.)", re.DOTALL)
_EDGES = re.compile(r"([()])")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_BLANKS = re.compile(r"[ \t\r\n]++")
_WORD = r"[A-Za-z0-9_-]++"
_SPEC = re.compile(
    rf"({_WORD})(?:[ ]*+([./])[ ]*+({_WORD}))?+[ ]*+=[ ]*+((?:{_QUOTED}|[^\" ])++)", re.DOTALL
)
_OTHER = re.compile(rf"[ ]++|(?:{_QUOTED}|[^\" ])++", re.DOTALL)
_HEAD = re.compile(rf"[ ]*+({_QUOTED}|[^ \"=]++)(?:[ ]++[0-9]++)?+[ ]*+", re.DOTALL)


class ResultsError(MerpatiError):
    """Text that is no Authentication-Results, or words that none can be made of."""


@dataclass(frozen=True, slots=True)
class Property:
    """What a result is about: `smtp.mailfrom=ann@a.test`."""

    ptype: str
    name: str
    value: str

    def __post_init__(self) -> None:
        _check_keywords(self.ptype, self.name)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one method found."""

    method: str
    result: str
    properties: tuple[Property, ...] = ()
    reason: str = ""
    comment: str = ""
    """For people; of a field that is read, all comments of the finding."""
    version: int = 1
    """Of the method."""

    def __post_init__(self) -> None:
        _check_keywords(self.method, self.result)

    def get(self, ptype: str, name: str) -> str | None:
        """The first value of a property, None where it is not told."""
        for each in self.properties:
            if (each.ptype, each.name) == (ptype, name):
                return each.value
        return None


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """What a host found; no findings are `none`: nothing was checked."""

    id: str
    """The authserv-id: under which name the host vouches for it."""
    findings: tuple[Finding, ...] = ()

    def field(self, *, utf8: bool = False) -> bytes:
        """The folded field with its CRLF; UTF-8 only for a message that may have it (RFC 6532).

        Whatever the values are, this is one field of one host with these findings. What the
        grammar has no room for becomes `?`, and what is too long is cut.
        """
        return f"Authentication-Results: {self.value(utf8=utf8)}\r\n".encode()

    def value(self, *, utf8: bool = False) -> str:
        """The field's value, folded, as a sealer of ARC writes it behind its instance."""
        (head,), *findings = self._words(utf8)
        lines = [head]
        for words in findings:
            lines[-1] += ";"
            lines.append("\t" + words[0])
            for word in words[1:]:
                if len(lines[-1]) + len(word) < _LINE:
                    lines[-1] += " " + word
                else:
                    lines.append("\t " + word)
        return "\r\n".join(lines)

    def payload(self, *, utf8: bool = False) -> str:
        """The field's value in one line."""
        return "; ".join(" ".join(words) for words in self._words(utf8))

    def _words(self, utf8: bool) -> list[list[str]]:
        """Of the head and of each finding: between the words a line may be folded."""
        findings = [_words(each, utf8) for each in self.findings[:MAX_FINDINGS]]
        return [[_value(self.id, utf8)], *(findings or [["none"]])]


def _words(finding: Finding, utf8: bool) -> list[str]:
    version = f"/{finding.version}" if finding.version != 1 else ""
    words = [f"{finding.method}{version}={finding.result}"]
    if comment := _clean(finding.comment, MAX_COMMENT, utf8):
        words.append("(" + _ESCAPED_COMMENT.sub(r"\\\1", comment) + ")")
    if finding.reason:
        words.append(f"reason={_value(finding.reason, utf8)}")
    about = finding.properties[:MAX_PROPERTIES]
    return words + [f"{each.ptype}.{each.name}={_pvalue(each.value, utf8)}" for each in about]


def _value(text: str, utf8: bool) -> str:
    text = _clean(text, MAX_VALUE, utf8)
    return text if _is_token(text) else '"' + _ESCAPED.sub(r"\\\1", text) + '"'


def _pvalue(text: str, utf8: bool) -> str:
    """Only here an address may stand as it is."""
    clean = _clean(text, MAX_VALUE, utf8)
    return clean if _is_address(clean) else _value(text, utf8)


def _clean(text: str, most: int, utf8: bool) -> str:
    # Readers decode encoded words (RFC 2047), some before they look for the end of a comment.
    text = text[:most].replace("=?", "??")
    return (_UNWRITABLE if utf8 else _BEYOND_ASCII).sub("?", text)


def _check_keywords(*words: str) -> None:
    if not all(map(_is_keyword, words)):
        raise ResultsError("a word that is no keyword")


def parse_results(payload: str) -> AuthenticationResults:
    """Read an unfolded value tolerantly: a piece that is no finding is passed over.

    Raises ResultsError: too long, or no authserv-id in front. Method, result, type and property
    are in lower case.
    """
    if len(payload) > MAX_OCTETS:
        raise ResultsError(f"longer than {MAX_OCTETS} characters")
    pieces = _pieces(payload)
    id_ = _id(next(pieces)[0])
    findings = [_finding(text, comment) for text, comment in islice(pieces, MAX_FINDINGS)]
    return AuthenticationResults(id_, tuple(filter(None, findings)))


def _id(piece: str) -> str:
    head = _HEAD.fullmatch(piece)
    if head is None:
        raise ResultsError("no authserv-id stands in front")
    return _unquoted(head[1])


def _pieces(payload: str) -> Iterator[tuple[str, str]]:
    """(text, comments) of the pieces between semicolons; outside of quotes, white space and
    comments are one blank. What never ends, a quote or a comment, takes the rest with it."""
    text: list[str] = []
    comments: list[str] = []
    at = 0
    while at < len(payload):
        if payload[at] == "(":
            end = comment_end(payload, at)
            if not end:
                text.append('"')  # no specification has one alone
                break
            comments.append(_PAIR.sub(r"\1", payload[at + 1 : end - 1]))
            text.append(" ")
            at = end
            continue
        found = _PIECE.match(payload, at)
        if found is None or found[4]:
            text.append('"')
            break
        at = found.end()
        if found[3]:
            yield "".join(text), " ".join(comments)
            text, comments = [], []
        else:
            text.append(found[1] or _BLANKS.sub(" ", found[2]))
    yield "".join(text), " ".join(comments)


def _finding(text: str, comment: str) -> Finding | None:
    specs = _specs(text)
    first = next(specs, None)
    if first is None or first[1] == ".":
        return None
    method, _, version, result = first
    result = result.lower()
    if not (_is_keyword(method) and _is_keyword(result)):
        return None
    reason = ""
    properties: list[Property] = []
    for ptype, mark, name, value in specs:
        if ptype == "reason" and not mark:
            reason = value
        elif mark == "." and _is_keyword(ptype) and _is_keyword(name):
            properties.append(Property(ptype, name, value))
        if len(properties) == MAX_PROPERTIES:
            break
    number = int(version) if version.isdecimal() and len(version) < 4 else 1
    return Finding(method, result, tuple(properties), reason, comment, number)


def _specs(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(word, `.` or `/` or nothing, second word, value) of everything that has an `=`."""
    at = 0
    while at < len(text):
        if found := _SPEC.match(text, at):
            word, mark, second, value = found.groups(default="")
            yield word.lower(), mark, second.lower(), _unquoted(value)
        elif not (found := _OTHER.match(text, at)):
            return
        at = found.end()


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _PAIR.sub(r"\1", value[1:-1])
    return value


def is_forged(field: Field, ids: Collection[str]) -> bool:
    """Whether a field that came in claims to be ours (RFC 8601 §5); `ids` are all our names.

    Names are compared without case, in A-labels, whatever the version and wherever comments
    stand. What cannot be read as the name of another host, and has one of ours in it, is ours:
    a reader less strict than this one might take it for that.
    """
    if field.name.lower() != NAME:
        return False
    ours = frozenset(map(_canonical, ids))
    value = field.value
    beginning = value[:_MAX_HEAD]
    if len(value) > MAX_OCTETS or (len(value) > _MAX_HEAD and ";" not in beginning):
        return True  # no honest field is that long, or names its host so late
    try:
        id_ = _id(next(_pieces(beginning))[0])
    except ResultsError:
        return _may_mention(value, ours)
    return _canonical(id_) in ours or (not _is_certain(id_) and _may_mention(id_, ours))


def _is_certain(id_: str) -> bool:
    """Whether all readers have the same name. U+FFFD stands for octets that are no UTF-8: in
    Latin-1 \\xa0 is a blank, which is taken from around a name."""
    return _is_token(id_) is not None and "\ufffd" not in id_


def _may_mention(text: str, ours: Collection[str]) -> bool:
    text = decode_words(_PAIR.sub(r"\1", text)).lower()
    # Readers throw away comments and blanks, even within a name.
    for plain in (_without_comments(text), _EDGES.sub("", text)):
        text += " " + "".join(plain.split())
    # No honest field is unreadable and beyond ASCII.
    return not text.isascii() or any(each in text for each in ours)


def _without_comments(text: str) -> str:
    depth, kept = 0, []
    for piece in _EDGES.split(text):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif depth == 0:
            kept.append(piece)
    return "".join(kept)


@lru_cache(maxsize=256)
def _canonical(id_: str) -> str:
    id_ = decode_words(id_).strip().removesuffix(".")
    try:
        return parse_domain(id_) if len(id_) <= MAX_DOMAIN else id_.lower()
    except AddressError:
        return id_.lower()
