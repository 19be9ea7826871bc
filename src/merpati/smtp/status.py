"""Enhanced mail system status codes (RFC 3463, registry RFC 5248)."""

from typing import NamedTuple


class Status(NamedTuple):
    """class.subject.detail; class 2 success, 4 persistent transient, 5 permanent."""

    severity: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.severity}.{self.subject}.{self.detail}"
