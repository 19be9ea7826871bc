"""A lane of which something is in hand."""

from dataclasses import dataclass, field

from merpati.queue.lanes import Lane

Key = tuple[int, int]
"""A row: (message, n)."""


@dataclass(slots=True)
class Berth:
    """Where all parcels of a lane hang, so that moving the lane is one change."""

    lane: Lane
    recipients: int = 0
    """In hand, fresh or claimed; with the last of them the berth goes."""
    claimed: set[Key] = field(default_factory=set)
    """Rows that say WAITING and are claimed."""
