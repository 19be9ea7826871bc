"""The doors for mail: `[[port]]`."""

from typing import Annotated

from merpati.config.table import CONNECTIONS, MESSAGE, Table, key
from merpati.config.values import Network, Size
from merpati.reception.port import ClientCertificates, Role
from merpati.wire.endpoint import Endpoint


class PortTable(Table, frozen=True):
    """A door for mail. One `[[port]]` for each address that Merpati listens on."""

    role: Annotated[
        Role,
        key(
            "`mx` takes mail from other servers (port 25), `submission` from people and programs "
            "that log in (587, STARTTLS), `submissions` the same with TLS from the first octet "
            "(465), `lmtp` mail for mailboxes here from a server in front."
        ),
    ]
    listen: Annotated[
        Endpoint,
        key(
            'Address and port, `"127.0.0.1:2525"`, `"[::1]:2525"`, `"[::]:25"` for every address '
            'of the machine, or `"unix:run/lmtp"`, a socket relative to this file.'
        ),
    ]
    trusted: Annotated[
        tuple[Network, ...], key("Networks that may relay to any domain without a login.")
    ] = ()
    proxy: Annotated[
        tuple[Network, ...],
        key("Load balancers that begin with a PROXY header (version 1 or 2); nobody else may."),
    ] = ()
    xclient: Annotated[
        tuple[Network, ...], key("Peers that may use XCLIENT to say whom they speak for.")
    ] = ()
    auth_without_tls: Annotated[
        bool, key("Offer AUTH before TLS. Only on a loopback address or a Unix socket.")
    ] = False
    client_certificates: Annotated[
        ClientCertificates,
        key(
            "On `submission` and `submissions`, with `[login.certificates]`. `optional`: who shows "
            "a certificate of these authorities may log in with it (EXTERNAL); `required`: who "
            "shows none gets no connection, however they log in."
        ),
    ] = ClientCertificates.OFF
    message_size: Annotated[
        Annotated[Size, MESSAGE] | None,
        key("The largest message on this port, if not as in `[limits]`."),
    ] = None
    connections: Annotated[
        Annotated[int, CONNECTIONS] | None,
        key("Connections at once on this port, if not as in `[limits]`."),
    ] = None
