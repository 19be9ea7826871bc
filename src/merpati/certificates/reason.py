"""Why a certificate is not to be believed any more."""

from enum import Enum


class Reason(Enum):
    """Those of RFC 5280 §5.3.1 that CAs take from who holds a certificate."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"

    @property
    def number(self) -> int:
        """In the RFC."""
        return _NUMBERS[self]


_NUMBERS = dict(zip(Reason, (0, 1, 3, 4, 5), strict=True))
