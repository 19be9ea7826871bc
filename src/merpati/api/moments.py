"""How the office writes times and whom it names."""

from datetime import UTC, date, datetime

from merpati.api.errors import Mistaken

BY = "operator"
"""Whom the journal names for what is done here."""


def moment(seconds: float) -> datetime:
    """A stored time as it is shown."""
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)


def optional_moment(seconds: float | None) -> datetime | None:
    """The same for what may not have happened."""
    return moment(seconds) if seconds else None


def day_number(text: str) -> int:
    """Days from 1970 to `2026-04-01`. Mistaken for what no calendar has."""
    try:
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as error:
        raise Mistaken(f"{text} is no day: {error}") from error
