"""What is wrong with a merpati.toml, said so that it can be put right without a manual."""

from collections.abc import Sequence
from dataclasses import dataclass

from merpati.errors import MerpatiError


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake at one place."""

    key: str
    """The key as a person says it: `port 2, listen`; empty when the file cannot be read at all."""
    line: int
    """1-based; 0 when it belongs to no line."""
    what: str
    allowed: str = ""
    """What would be right."""

    def tell(self, file: str) -> str:
        """One line, `file:line: key: what (allowed)`, as editors and people read it."""
        place = f"{file}:{self.line}" if self.line else file
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.what}" + (f". {self.allowed}" if self.allowed else "")


class ConfigError(MerpatiError):
    """The configuration cannot be used; every flaw that was found is in the text."""

    def __init__(self, file: str, flaws: Sequence[Flaw]) -> None:
        super().__init__("\n".join(flaw.tell(file) for flaw in flaws))
        self.file = file
        self.flaws = tuple(flaws)
