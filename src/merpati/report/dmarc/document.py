"""XML of strangers as small trees, one for each child of the root: no DTD, no entities, bounded.

Expat reads it in one go, since what comes in pieces can be made to be read again with each piece.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from merpati.report.errors import ReportError

MAX_DEPTH = 12
MAX_ELEMENTS = 1_000_000
MAX_IN_CHILD = 5000
"""Elements within one child of the root."""
MAX_TEXT = 1000
"""Characters of an element's text; the rest is left out."""

_is_charset = re.compile(
    r"utf-?8|utf-?16|us-ascii|iso-8859-[0-9]{1,2}|windows-125[0-9]", re.IGNORECASE
).fullmatch
_NAMESPACES = frozenset({"", "urn:ietf:params:xml:ns:dmarc-2.0", "http://dmarc.org/dmarc-xml/0.1"})


@dataclass(slots=True)
class Element:
    """An element by its local name."""

    name: str
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def all(self, name: str) -> "list[Element]":
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> "Element":
        """The first child of this name; an empty one where there is none."""
        return next((child for child in self.children if child.name == name), Element(name))

    def of(self, name: str) -> str:
        """The text of the first child of this name, stripped."""
        return self.get(name).text.strip()


class _Reading:
    """One document. Elements in a namespace that is not DMARC's are left out with all in them."""

    def __init__(self, root: str, take: Callable[[Element], None]) -> None:
        self._root = root
        self._take = take
        self._open: list[Element] = []
        self._foreign = 0
        self._elements = 0
        self._in_child = 0

    def start(self, name: str, _attributes: object) -> None:
        namespace, _, local = name.rpartition(" ")
        self._elements += 1
        self._in_child += 1
        if self._elements > MAX_ELEMENTS or self._in_child > MAX_IN_CHILD:
            raise ReportError("too many elements")
        if len(self._open) + self._foreign >= MAX_DEPTH:
            raise ReportError("nested too deep")
        if self._foreign or namespace not in _NAMESPACES:
            self._foreign += 1
            return
        if not self._open and local != self._root:
            raise ReportError("another kind of document")
        self._open.append(Element(local))

    def end(self, _name: str) -> None:
        if self._foreign:
            self._foreign -= 1
            return
        element = self._open.pop()
        if len(self._open) > 1:
            self._open[-1].children.append(element)
        elif self._open:
            self._take(element)
            self._in_child = 0

    def characters(self, text: str) -> None:
        if self._open and not self._foreign:
            element = self._open[-1]
            if len(element.text) < MAX_TEXT:
                element.text = (element.text + text)[:MAX_TEXT]


def read_document(octets: bytes, root: str, take: Callable[[Element], None]) -> None:
    """Give each child of the root to `take`, as it ends. Raises ReportError, and what it raises."""
    reading = _Reading(root, take)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.ordered_attributes = True  # nobody looks at them: a list costs less
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.XmlDeclHandler = _check_declaration
    try:
        parser.Parse(octets, True)
    except expat.ExpatError as error:
        raise ReportError(f"not well-formed: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError):
        raise ReportError("not in its character set") from None


def _refuse_doctype(*_: object) -> None:
    # All that expands, and all that leads outside, is declared in a DTD.
    raise ReportError("has a document type declaration")


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and not _is_charset(encoding):
        raise ReportError("in a character set that is not read")
