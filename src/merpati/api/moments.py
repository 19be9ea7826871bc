"""How the office writes times and whom it names."""

from datetime import UTC, datetime

BY = "operator"
"""Whom the journal names for what is done here."""


def moment(seconds: float) -> datetime:
    """A stored time as it is shown."""
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)


def optional_moment(seconds: float | None) -> datetime | None:
    """The same for what may not have happened."""
    return moment(seconds) if seconds else None
