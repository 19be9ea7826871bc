"""Whether a selection means a recipient, and how an operator's action is told."""

from collections.abc import Callable
from string import ascii_lowercase, ascii_uppercase

from merpati.journal.events import Cancelled, Event, Held, Released, Rerouted
from merpati.mail.address import Address
from merpati.queue.entry import Entry, Selection, Waiting

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def plain(address: Address | None) -> str:
    """An address as filters compare it: unquoted, lower case; empty for the null sender."""
    if address is None:
        return ""
    return f"{address.local}@{address.domain}".lower() if address.domain else address.local.lower()


def login_key(login: str) -> str:
    """A login as mail is found by it: in lower case as SQLite's `lower` has it, ASCII alone."""
    return login.translate(_LOWER)


def means(selection: Selection, entry: Entry, waiting: Waiting) -> bool:
    """Whether every field that is given matches."""
    recipient = waiting.recipient.address
    return (
        (not selection.ids or entry.id in selection.ids)
        and (not selection.domain or recipient.domain == selection.domain.lower())
        and _is(selection.sender, plain(entry.envelope.sender))
        and _is(selection.recipient, plain(recipient))
        and (selection.state is None or waiting.state is selection.state)
        and selection.login in ("", login_key(entry.client.login))
        and selection.cause in ("", waiting.cause)
        and (selection.older_than is None or entry.received < selection.older_than)
        and (selection.not_before is None or entry.received >= selection.not_before)
    )


def _is(wanted: str, address: str) -> bool:
    """An empty wish is met by all, `@domain` by the whole domain, `<>` by the null sender."""
    wanted = wanted.lower()
    if wanted == "<>":
        return not address
    return address.endswith(wanted) if wanted.startswith("@") else wanted in ("", address)


def suspended(login: str) -> str:
    """Who holds the mail of an account that may not send, as the journal has it."""
    return f"the suspension of {login}"


def resumed(login: str) -> str:
    """Who lets it go on."""
    return f"the end of the suspension of {login}"


TOLD: dict[str, Callable[[float, str, str, str, str], Event]] = {
    "hold": lambda at, message, address, by, _: Held(
        at=at, message=message, address=address, by=by
    ),
    "release": lambda at, message, address, by, _: Released(
        at=at, message=message, address=address, by=by
    ),
    "retry": lambda at, message, address, by, _: Released(
        at=at, message=message, address=address, by=by
    ),
    "cancel": lambda at, message, address, by, _: Cancelled(
        at=at, message=message, address=address, by=by
    ),
    "stop": lambda at, message, address, by, _: Held(
        at=at, message=message, address=address, by=by
    ),
    "go": lambda at, message, address, by, _: Released(
        at=at, message=message, address=address, by=by
    ),
    "reroute": lambda at, message, address, by, route: Rerouted(
        at=at, message=message, address=address, by=by, route=route
    ),
}
"""The event of each of `lifecycle.TURNS`, from time, message, address, who and route."""
