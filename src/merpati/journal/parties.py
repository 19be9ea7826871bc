"""Under which addresses the journal is asked for an event."""

from collections.abc import Iterable

from merpati.journal.events import Accepted, Refused


def parties(event: Accepted | Refused) -> set[str]:
    """Every address under which a message, or its refusal, can be asked for."""
    named = {event.address, event.sender}
    if isinstance(event, Accepted):
        named.update(event.recipients, (alias for alias, _ in event.aliases))
    return {address.lower() for address in named if address}


def concerns(address: str, known: Iterable[str]) -> bool:
    """Whether an address, or one of `@domain`, is among those known."""
    wanted = address.lower()
    return any(one.endswith(wanted) if wanted[:1] == "@" else one == wanted for one in known)
