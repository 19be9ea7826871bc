"""What every pool of a worker is made from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from merpati.delivery.ending import End
from merpati.delivery.families import Families
from merpati.delivery.lesson import Lesson, SiteMemory
from merpati.delivery.mx import HostFinder
from merpati.delivery.tenants import Tenants
from merpati.delivery.transaction import Host, Source, Way
from merpati.node.table import Table, TableSettings


class Talk(Protocol):
    """A conversation: `open` once, then `run` once."""

    async def open(self) -> End | None:
        """None when it stands, else why not."""
        ...

    async def run(self, source: Source) -> End:
        """Draw transactions until a reason to end."""
        ...


Talker = Callable[[Way, Host, SiteMemory, Callable[[Lesson], None]], Talk]
"""Makes the conversation with a host."""


@dataclass(frozen=True, slots=True)
class PoolParts:
    """What every pool of a worker is made from."""

    finder: HostFinder
    talker: Talker
    families: Families = field(default_factory=Families)
    max_rcpt: int = 50
    """Recipients a transaction, unless the site bears less."""
    permits: int = 32
    """Of the worker's 64: for each of ten connections a verdict to come and one to be written."""
    table: Table = field(default_factory=lambda: Table(TableSettings()))
    """What the workers of the node know of sites together."""
    tenants: Tenants = field(default_factory=Tenants)
    """What this worker knows of whom the sites refuse."""
    bounce_listed_after: Callable[[], float | None] = lambda: None
    """Seconds after which mail is returned that a site refuses for who we are; None for never."""
