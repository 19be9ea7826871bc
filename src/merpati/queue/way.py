"""Which way mail goes: a domain, as its routes have it, or as an operator or a sender wants it.

All lanes of a way hang on one site. What waives the demands of its recipients' domains
(`TLS-Required: No`) goes to the same hosts by other connections, and must not wait when those are
on hold over a demand: so it has ways of its own.
"""

from merpati.queue.entry import Entry

Way = tuple[str, str]
"""Domain and forced route; the route is empty for most."""

WAIVED = "tls-required: no"
"""Stands for a route that nobody forced, of what waives demands. Nothing that an operator names is
called so."""


def way_of(entry: Entry, domain: str, forced: str = "") -> Way:
    """The way of a message's recipients in a domain."""
    return domain, forced or (WAIVED if entry.waives_tls else "")


def forced_of(route: str) -> str:
    """The route of a way, as far as an operator forced it."""
    return "" if route == WAIVED else route
