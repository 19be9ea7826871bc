"""Which certificate a client is shown, by the name that it asks for (SNI, RFC 6066 §3)."""

from collections.abc import Sequence

from merpati.certificates.pair import Pair
from merpati.wire.tls import Identity


class Chooser:
    """Chooses among certificates that stand in the order of their precedence.

    The name itself goes before a wildcard that covers it, what has not expired before what has. The
    first is for clients that ask for no name, or for one that nothing here covers: between mail
    servers a certificate for another name is better than none.
    """

    def __init__(self, pairs: Sequence[Pair], now: float) -> None:
        """At least one pair."""
        self._default = pairs[0]
        self._by_name: dict[str, Pair] = {}
        for pair in sorted(pairs, key=lambda one: one.shown.ends < now):
            for name in pair.shown.names:
                self._by_name.setdefault(name, pair)

    def pair(self, name: str) -> Pair:
        """For this name, as clients write it; empty for none."""
        wanted = name.lower().removesuffix(".")
        if found := self._by_name.get(wanted):
            return found
        # RFC 9525 §6.3: `*` stands for one whole label.
        return self._by_name.get(f"*.{wanted.partition('.')[2]}", self._default)

    def choose(self, name: str) -> Identity:
        """The same, ready for the handshake."""
        return self.pair(name).identity
