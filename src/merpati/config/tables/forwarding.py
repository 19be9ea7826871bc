"""Mail that an alias leads to another server: `[forwarding]`."""

from enum import Enum
from typing import Annotated

from merpati.config.table import Table, key
from merpati.config.values import DomainName


class Seal(Enum):
    """Ways to vouch for a message that is sent on."""

    ARC = "arc"


class ForwardingTable(Table, frozen=True):
    """Mail of strangers that an alias here leads to another server. The message itself is never
    altered, so that its author's DKIM signature stays good."""

    rewrite_sender: Annotated[
        bool,
        key(
            "Tell the next server a sender of ours, `SRS0=…`, so that SPF passes there and notices "
            "come back by us, who send them on to the true sender. Without it SPF fails there."
        ),
    ] = True
    domain: Annotated[
        DomainName | None,
        key(
            "The domain here that such senders and seals are of. Without it, and where it is none "
            "of `merpati domain list`, that of the alias."
        ),
    ] = None
    seal: Annotated[
        tuple[Seal, ...],
        key(
            'How to vouch for what was found of the message when it came. `["arc"]` puts a seal of '
            "ARC on it, by the DKIM key of `domain`: receivers that trust it may take what lost "
            "its DMARC on the way."
        ),
    ] = ()
