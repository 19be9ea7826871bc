"""How keys take turns, as a table and the rules around it.

  NEXT ──rotate──▶ ACTIVE ──rotate──▶ RETIRED
    │                                    │ 14 days later, or more: no signature is valid any more
    ▼                                    ▼
  removed                             removed

A key is published while it is NEXT, signs while it is ACTIVE, and stays published while it is
RETIRED, until every message that it signed has been delivered and looked at.
"""

from collections.abc import Sequence
from dataclasses import replace

from merpati.directory.errors import DirectoryError
from merpati.directory.keys import DkimKey, KeyState

_DAY = 86_400.0
KEPT = 14 * _DAY
"""Seconds that a signature is valid for at least, and with it from retirement to removal."""
_ON_ITS_WAY = 2 * _DAY
"""Seconds that a message may take from the last attempt to whoever verifies it."""


def valid_for(tried: float) -> float:
    """Seconds that a signature is valid for of a message that is tried for so long, from when it
    came: it outlives the last attempt, also where the queue tries for weeks."""
    return max(KEPT, tried + _ON_ITS_WAY)


NEXT_STATE = {KeyState.NEXT: KeyState.ACTIVE, KeyState.ACTIVE: KeyState.RETIRED}


def rotated(keys: Sequence[DkimKey], at: float) -> list[DkimKey]:
    """The keys of one domain that change, as they are then. DirectoryError when none is next."""
    algorithms = {key.algorithm for key in keys if key.state is KeyState.NEXT}
    if not algorithms:
        raise DirectoryError("there is no key to take over; add one and publish it first")
    return [
        replace(key, state=NEXT_STATE[key.state], since=at)
        for key in keys
        if key.algorithm in algorithms and key.state in NEXT_STATE
    ]


def check_new(key: DkimKey, others: Sequence[DkimKey]) -> None:
    """DirectoryError when this key cannot stand beside the others of its domain."""
    if key.state is not KeyState.NEXT:
        raise ValueError("a new key is published before it signs")
    if any(other.selector == key.selector for other in others):
        raise DirectoryError(f"{key.domain} has a key {key.selector} already")
    for other in others:
        if other.state is KeyState.NEXT and other.algorithm == key.algorithm:
            raise DirectoryError(
                f"{key.domain} has a next key of {key.algorithm} already: {other.selector}; let it "
                "take over, or remove it"
            )


def removable_from(key: DkimKey, tried: float = 0.0) -> float | None:
    """When nobody can have to verify by this key any more; None while it signs.

    `tried`: seconds for which the queue may try what it takes, holds included.
    """
    times = {KeyState.NEXT: key.since, KeyState.RETIRED: key.since + valid_for(tried)}
    return times.get(key.state)


def check_removal(key: DkimKey, at: float, tried: float = 0.0) -> None:
    """DirectoryError while somebody may still have to verify by this key; `tried` as above."""
    since = removable_from(key, tried)
    if since is None:
        raise DirectoryError(f"{key.selector} signs mail of {key.domain} now")
    if at < since:
        raise DirectoryError(
            f"{key.selector} may have signed mail that is still on its way; it is safe to remove "
            f"in {(since - at) / 86_400.0:.1f} days"
        )
