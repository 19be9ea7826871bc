"""Whether a logo is of the profile SVG Tiny Portable/Secure, as far as receivers refuse it for.

draft-svg-tiny-ps-abrotman: SVG Tiny 1.2 without what moves, acts, or loads anything. The document
is read once and never drawn; nothing in it can expand, since a document type is refused.
"""

import re
from xml.parsers import expat

MAX_OCTETS = 256 * 1024
"""Of a logo that is looked at."""
ADVISED_OCTETS = 32 * 1024
MAX_ELEMENTS = 20_000
MAX_DEPTH = 100
MAX_FLAWS = 20
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FORBIDDEN = frozenset(
    {
        *("a", "audio", "discard", "foreignObject", "handler", "iframe", "image", "listener"),
        *("animate", "animateColor", "animateMotion", "animateTransform", "animation", "set"),
        *("prefetch", "script", "switch", "video"),
    }
)
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_is_view_box = re.compile(
    rf"\s*({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})[\s,]+({_NUMBER})\s*", re.ASCII
).fullmatch
_outside = re.compile(r"url\(\s*['\"]?\s*(?!#)[^)\s]|@import", re.IGNORECASE).search


class _TooMuch(Exception):
    pass


class _Reading:
    """One document, flaw by flaw."""

    def __init__(self) -> None:
        self.flaws: dict[str, None] = {}
        self._path: list[str] = []
        self._elements = 0
        self._title = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._path) >= MAX_DEPTH:
            raise _TooMuch
        if not self._path:
            self._root(namespace, local, attributes)
        elif local in _FORBIDDEN:
            self._add(f"<{local}> is not allowed")
        self._path.append(local)
        for attribute, value in attributes.items():
            self._attribute(attribute, value)

    def end(self, _name: str) -> None:
        self._path.pop()

    def characters(self, text: str) -> None:
        if self._path == ["svg", "title"]:
            self._title = (self._title + text)[:200]
        elif self._path[-1:] == ["style"] and _outside(text):
            self._add("a style loads something from elsewhere")

    def finish(self) -> None:
        """What lacks is known at the end."""
        if not self._title.strip():
            self._add("there is no <title> with the name of the brand")

    def doctype(self, *_: object) -> None:
        self._add("it has a document type declaration")
        raise _TooMuch

    def _root(self, namespace: str, local: str, attributes: dict[str, str]) -> None:
        if (namespace, local) != (_SVG, "svg"):
            self._add("it is no SVG")
            raise _TooMuch
        if attributes.get("version") != "1.2":
            self._add('version is not "1.2"')
        if attributes.get("baseProfile") != "tiny-ps":
            self._add('baseProfile is not "tiny-ps"')
        for name in ("x", "y"):
            if name in attributes:
                self._add(f"<svg> has {name}=")
        if not _is_square(attributes.get("viewBox", "")):
            self._add("viewBox is not a square")

    def _attribute(self, name: str, value: str) -> None:
        namespace, _, local = name.rpartition(" ")
        if local.lower().startswith("on") and not namespace:
            self._add(f"{local[:20]}= acts")
        if local == "href" and namespace in ("", _XLINK) and not value.strip().startswith("#"):
            self._add("href= leads elsewhere")
        elif _outside(value):
            self._add("an attribute loads something from elsewhere")

    def _add(self, flaw: str) -> None:
        if len(self.flaws) < MAX_FLAWS:
            self.flaws[flaw] = None


def flaws_of(octets: bytes) -> tuple[str, ...]:
    """Why receivers would not show this logo, in words for people; empty: nothing is known against
    it. Never raises; linear in time."""
    if len(octets) > MAX_OCTETS:
        return (f"longer than {MAX_OCTETS // 1024} KiB",)
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    parser.StartDoctypeDeclHandler = reading.doctype
    try:
        parser.Parse(octets, True)
    except _TooMuch:
        return tuple(reading.flaws) or ("it has too many elements",)
    except (expat.ExpatError, ValueError, LookupError):
        return (*reading.flaws, "it is not well-formed XML")
    reading.finish()
    if len(octets) > ADVISED_OCTETS:
        reading.flaws[f"longer than {ADVISED_OCTETS // 1024} KiB, which some receivers refuse"] = (
            None
        )
    return tuple(reading.flaws)


def _is_square(view_box: str) -> bool:
    found = _is_view_box(view_box[:200])
    return found is not None and float(found[3]) == float(found[4]) > 0
