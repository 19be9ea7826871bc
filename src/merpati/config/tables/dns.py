"""How the DNS is asked and changed: `[dns]`."""

from typing import Annotated

from merpati.config.table import Table, between, key
from merpati.config.values import DomainName
from merpati.dns.resolver import PORT
from merpati.wire.endpoint import Endpoint


class UpdateTable(Table, frozen=True):
    """Who may change our zones by DNS UPDATE (RFC 2136): for `merpati domain setup --apply` and
    `[acme]`. The `[[dns.update]]` with the longest `zone` that a name lies in is taken."""

    key: Annotated[
        str,
        key(
            "File with the key (TSIG) as BIND's `tsig-keygen` writes it, relative to this file; "
            "nobody else may read it."
        ),
    ]
    zone: Annotated[
        DomainName | None,
        key(
            "The zone that this key may change; without it any, and the DNS says where one begins."
        ),
    ] = None
    server: Annotated[
        Endpoint | None,
        key(
            'The zone\'s primary as `"address:port"`; without it the one that its SOA record names.'
        ),
    ] = None


class DnsTable(Table, frozen=True):
    """How the DNS is asked and changed."""

    servers: Annotated[
        tuple[Endpoint, ...],
        key('Resolvers as `"address:port"`; without any, those of the system.'),
    ] = ()
    trusted: Annotated[
        bool,
        key(
            "Believe these resolvers that an answer was validated (DNSSEC), which DANE needs. Only "
            "for `servers` on this machine that validate, such as unbound: anybody on the way "
            "could say so."
        ),
    ] = False
    authority_port: Annotated[
        int,
        between(1, 65535),
        key(
            "The port of zones' own servers, which `merpati domain setup` asks and changes. For "
            "tests and closed networks: on the Internet it is 53 and nothing else."
        ),
    ] = PORT
    update: tuple[UpdateTable, ...] = ()
