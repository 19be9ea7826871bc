"""Writes docs/states.md: the states of a server connection, drawn from the table that moves it.

`python docs/states.py` rewrites the page; a test fails when it is out of date.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from merpati.smtp.states import TABLE, TRANSACTION, Row, State

PAGE = Path(__file__).parent / "states.md"
INTRODUCTION = """\
# States of a server connection

Drawn from `merpati.smtp.states.TABLE` by `python docs/states.py`; do not edit by hand.

A step moves the connection by its answer: *no* marks what a refusal does, *more* a further
challenge of AUTH. Steps that leave the state as it is are in the table below the picture. From
everywhere, 421 and a fatal mistake lead to *closed*. A step that a state does not list is out of
order there: 503, and nothing moves.
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join([INTRODUCTION, *_picture(), "", *_table(), ""])


def _picture() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.CONNECTED.name}"
    for state in State:
        if state not in TRANSACTION:
            yield f'    state "{state.value}" as {state.name}'
    yield "    state transaction {"
    for state in State:
        if state in TRANSACTION:
            yield f'        state "{state.value}" as {state.name}'
    yield "    }"
    for state, rows in TABLE.items():
        yield from _arrows(state, rows.values())
    # Not an answer but the handshake leads on (`ServerConnection.secured`).
    yield f"    {State.TLS.name} --> {State.GREETED.name}: handshake"
    yield f"    {State.CLOSED.name} --> [*]"
    yield "```"


def _arrows(here: State, rows: Iterable[Row]) -> Iterator[str]:
    labels: dict[State, list[str]] = {}
    for row in rows:
        for mark, after in _outcomes(row):
            if after is not here:
                labels.setdefault(after, []).append(f"{row.step.value}{mark}")
    for after, steps in labels.items():
        yield f"    {here.name} --> {after.name}: {', '.join(steps)}"


def _outcomes(row: Row) -> Iterator[tuple[str, State]]:
    yield "", row.yes
    if row.no is not row.yes:
        yield " (no)", row.no
    if row.more is not None:
        yield " (more)", row.more


def _table() -> Iterator[str]:
    yield "| state | step | after yes | after no | after more | the client must |"
    yield "|---|---|---|---|---|---|"
    for state, rows in TABLE.items():
        for row in rows.values():
            more = row.more.value if row.more else ""
            words = (state.value, row.step.value, row.yes.value, row.no.value, more, _duty(row))
            yield f"| {' | '.join(words)} |"


def _duty(row: Row) -> str:
    if row.is_alone:
        return "wait for the reply"
    if row.is_grouped:
        return "have been offered PIPELINING, or wait"
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
