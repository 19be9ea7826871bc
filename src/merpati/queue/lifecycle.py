"""The life of a recipient in the queue: the only place that decides a transition.

accepted ──> IN_HAND ──> DELIVERED | FAILED | EXPIRED | CANCELLED   (final)
     │          │ ▲
     └──> WAITING ┘ (claimed: in hand in memory, the row still says WAITING)
            │  ▲
            ▼  │ release
           HELD
"""

from dataclasses import dataclass

from merpati.queue.entry import Settlement, State

_FINAL = {State.DELIVERED, State.FAILED, State.EXPIRED, State.CANCELLED}

MOVES: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.WAITING, State.HELD} | _FINAL),
    State.IN_HAND: frozenset({State.WAITING, State.HELD} | _FINAL),
    State.HELD: frozenset({State.WAITING, State.EXPIRED, State.CANCELLED}),
    State.DELIVERED: frozenset(),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one of an operator's actions does to a recipient that no attempt has."""

    applies: frozenset[State]
    becomes: State | None
    """None: the state stays."""
    now: bool
    """Due at once."""
    cause: str | None = None
    """Why it is so from now on; None: as before."""


STOPPED = "account-suspended"
"""The cause of what is held since its sender may not send."""
_LOOSE = frozenset({State.WAITING, State.HELD})

TURNS: dict[str, Turn] = {
    "hold": Turn(frozenset({State.WAITING}), State.HELD, now=False),
    "release": Turn(frozenset({State.HELD}), State.WAITING, now=True),
    "retry": Turn(frozenset({State.WAITING}), None, now=True),
    "cancel": Turn(_LOOSE, State.CANCELLED, now=False),
    "reroute": Turn(_LOOSE, None, now=True),
    "stop": Turn(frozenset({State.WAITING}), State.HELD, now=False, cause=STOPPED),
    "go": Turn(frozenset({State.HELD}), State.WAITING, now=True, cause=""),
}
"""`alter`'s actions by name. What is in an attempt's hands is not touched by any. The last two are
of suspended accounts: what they hold goes on with the account, what an operator holds does not."""


def may_move(before: State, after: State) -> bool:
    """Whether the table has this transition."""
    return after in MOVES[before]


def check_settlement(settlement: Settlement) -> None:
    """Raise ValueError for a result that nothing in hand can have: a defect of the caller."""
    if settlement.state is not State.DELIVERED and not may_move(State.IN_HAND, settlement.state):
        raise ValueError(f"what is in hand cannot become {settlement.state.name}")
