"""Whether a selection means a recipient, and which moves an operator's action makes."""

from collections.abc import Callable
from dataclasses import dataclass

from merpati.journal.events import Cancelled, Event, Held, Released, Rerouted
from merpati.mail.address import Address
from merpati.queue.entry import Entry, Selection, State, Waiting


def plain(address: Address | None) -> str:
    """An address as filters compare it: unquoted, lower case; empty for the null sender."""
    if address is None:
        return ""
    return f"{address.local}@{address.domain}".lower() if address.domain else address.local.lower()


def means(selection: Selection, entry: Entry, waiting: Waiting) -> bool:
    """Whether every field that is given matches."""
    recipient = waiting.recipient.address
    return (
        (not selection.ids or entry.id in selection.ids)
        and (not selection.domain or recipient.domain == selection.domain.lower())
        and _is(selection.sender, plain(entry.envelope.sender))
        and _is(selection.recipient, plain(recipient))
        and (selection.state is None or waiting.state is selection.state)
        and (selection.older_than is None or entry.received < selection.older_than)
    )


def _is(wanted: str, address: str) -> bool:
    """An empty wish is met by all, `@domain` by the whole domain, `<>` by the null sender."""
    wanted = wanted.lower()
    if wanted == "<>":
        return not address
    return address.endswith(wanted) if wanted.startswith("@") else wanted in ("", address)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator can do: to whom, with what result, told by which event."""

    applies: frozenset[State]
    becomes: State | None
    """None: the state stays."""
    now: bool
    """Due at once."""
    event: Callable[[float, str, str, str, str], Event]
    """Of time, message, address, who, route."""


_LOOSE = frozenset({State.WAITING, State.HELD})

ACTIONS: dict[str, Action] = {
    "hold": Action(
        frozenset({State.WAITING}),
        State.HELD,
        False,
        lambda at, message, address, by, _: Held(at=at, message=message, address=address, by=by),
    ),
    "release": Action(
        frozenset({State.HELD}),
        State.WAITING,
        True,
        lambda at, message, address, by, _: Released(
            at=at, message=message, address=address, by=by
        ),
    ),
    "retry": Action(
        frozenset({State.WAITING}),
        None,
        True,
        lambda at, message, address, by, _: Released(
            at=at, message=message, address=address, by=by
        ),
    ),
    "cancel": Action(
        _LOOSE,
        State.CANCELLED,
        False,
        lambda at, message, address, by, _: Cancelled(
            at=at, message=message, address=address, by=by
        ),
    ),
    "reroute": Action(
        _LOOSE,
        None,
        True,
        lambda at, message, address, by, route: Rerouted(
            at=at, message=message, address=address, by=by, route=route
        ),
    ),
}
"""`alter`'s actions by name. What is in an attempt's hands is not touched by any."""
