"""The table of a server connection, looked at as a whole."""

import pytest

from merpati.smtp.commands import LMTP_COMMANDS, SMTP_COMMANDS
from merpati.smtp.states import ALONE, TABLE, TRANSACTION, State, Step
from tests.cases import each

READING_COMMANDS = [
    State.GREETED,
    State.READY,
    State.MAIL,
    State.RCPT,
    State.BETWEEN_CHUNKS,
]


def leads_to(state: State) -> set[State]:
    rows = TABLE[state].values()
    return {after for row in rows for after in (row.yes, row.no, row.more) if after is not None}


def test_every_state_can_be_reached() -> None:
    reached, edge = set(), {State.CONNECTED}
    while edge:
        reached |= edge
        edge = set().union(*(leads_to(state) for state in edge)) - reached
    assert reached == set(State)


def test_content_is_only_reached_with_a_recipient() -> None:
    for state in State:
        if leads_to(state) & {State.DATA, State.CHUNK}:
            assert state in {State.RCPT, State.DATA, State.CHUNK, State.BETWEEN_CHUNKS}


def test_tls_begins_only_between_transactions() -> None:
    assert [state for state in State if State.TLS in leads_to(state)] == [State.READY]


def test_auth_begins_only_between_transactions() -> None:
    assert [state for state in State if Step.AUTH in TABLE[state]] == [State.READY]


@each("state", READING_COMMANDS)
def test_whoever_reads_commands_lets_the_client_go_and_begin_anew(state: State) -> None:
    assert TABLE[state][Step.QUIT].yes is State.CLOSED
    assert TABLE[state][Step.HELLO].yes is State.READY
    assert TABLE[state][Step.RSET].yes not in TRANSACTION


@pytest.mark.parametrize("state", [State.DATA, State.CHUNK])
def test_the_end_of_content_ends_the_transaction_either_way(state: State) -> None:
    assert {TABLE[state][Step.END].yes, TABLE[state][Step.END].no} == {State.READY}


def test_the_client_waits_where_the_meaning_of_the_next_octets_hangs_on_the_reply() -> None:
    steps = {Step.CONNECT, Step.HELLO, Step.AUTH, Step.RESPONSE, Step.STARTTLS, Step.DATA}
    assert steps | {Step.XCLIENT} == ALONE


def test_every_command_has_a_state_that_takes_it() -> None:
    taken = {step for rows in TABLE.values() for step in rows}
    for command in [*SMTP_COMMANDS.values(), *LMTP_COMMANDS.values()]:
        assert command.step in taken
