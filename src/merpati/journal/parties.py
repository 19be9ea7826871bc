"""Under which addresses the journal is asked for an event.

`merpati verify` holds what is stored against this: an event that an earlier version wrote must not
get an address more, or the mark of new ones must change (`storage.checksum`).
"""

from collections.abc import Iterable

from merpati.journal.events import (
    Accepted,
    AccountResumed,
    AccountSuspended,
    LoginFailed,
    Refused,
)

Found = Accepted | Refused | LoginFailed | AccountSuspended | AccountResumed
"""The kinds of events that are found by an address."""
MAX_RECIPIENTS = 100
"""Of a refused message that it is found by: strangers pay nothing for what they are refused."""


def parties(event: Found) -> set[str]:
    """Every address under which a message, or its refusal, can be asked for."""
    if isinstance(event, Accepted):
        named = {event.address, event.sender, *event.recipients}
        if event.aliases:
            named.update(alias for alias, _ in event.aliases)
        if event.forwards:
            named.update(forward.sender for forward in event.forwards)
    elif isinstance(event, Refused):
        named = {event.address, event.sender, event.login, *event.recipients[:MAX_RECIPIENTS]}
    else:
        named = {event.login}
    return {address.lower() for address in named if address}


def concerns(address: str, known: Iterable[str]) -> bool:
    """Whether an address, or one of `@domain`, is among those known."""
    wanted = address.lower()
    return any(one.endswith(wanted) if wanted[:1] == "@" else one == wanted for one in known)
