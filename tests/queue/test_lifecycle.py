"""Every transition stands in the table, also those that operators make."""

import pytest

from merpati.queue.entry import State
from merpati.queue.lifecycle import TURNS, Turn, may_move
from merpati.queue.selection import TOLD


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_an_operator_makes_no_move_that_the_table_has_not(turn: Turn) -> None:
    for before in turn.applies:
        assert turn.becomes is None or may_move(before, turn.becomes)


def test_every_action_is_told() -> None:
    assert TOLD.keys() == TURNS.keys()


@pytest.mark.parametrize("state", [state for state in State if state.is_final])
def test_nothing_leaves_a_final_state(state: State) -> None:
    assert not any(may_move(state, after) for after in State)
