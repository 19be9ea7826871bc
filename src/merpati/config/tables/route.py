"""Where mail goes and how it leaves: `[[route]]`, `[delivery]`."""

from typing import Annotated

from merpati.config.table import Table, between, key
from merpati.config.values import Domain, Duration, Target
from merpati.delivery.mx import MxSettings
from merpati.delivery.transaction import TlsDemand

LISTED = between(0, 366 * 86400)


class RouteTable(Table, frozen=True):
    """Where mail for domains that are not ours goes. The first `[[route]]` that matches wins."""

    match: Annotated[
        tuple[Domain, ...],
        key('Recipient domains: `"a.test"`, `"*.a.test"` for all below it, `"*"` for all.'),
    ]
    to: Annotated[
        Target,
        key(
            "`smtp://host:port`, `smtps://host:port` (TLS from the first octet), "
            "`lmtp://host:port`, `lmtp:unix:/path`, or `mx:` for the hosts the DNS names."
        ),
    ]
    tls: Annotated[
        TlsDemand | None,
        key(
            "`off`; `opportunistic` encrypts when the host offers it, whatever its certificate; "
            "`required` sends encrypted to a host with a valid certificate or not at all. "
            "Without it `opportunistic`, or `required` where a password goes to another machine. "
            "A policy (MTA-STS) of the host's own name adds to it, but not to `off`."
        ),
    ] = None
    username: Annotated[str, key("Login at the host.")] = ""
    password_file: Annotated[
        str, key("File with the login's password, relative to this file; nobody else may read it.")
    ] = ""
    client_certificate: Annotated[
        str,
        key(
            "PEM file with a certificate and its chain that the host is shown when it asks; where "
            "it offers EXTERNAL we log in with it. Then `tls` is `required` unless it says else."
        ),
    ] = ""
    client_key: Annotated[
        str, key("PEM file with the key of `client_certificate`; nobody else may read it.")
    ] = ""

    lookahead: Annotated[
        bool,
        key(
            "Whether the next message's envelope is sent behind a body, before the body's answer. "
            "Where a host stumbles over it we notice and stop by ourselves."
        ),
    ] = True
    ehlo_ignore: Annotated[
        tuple[str, ...],
        key(
            'Extensions not to use though the host offers them: `["CHUNKING"]` for a proxy that '
            'loses what comes by BDAT, `["PIPELINING"]` for one command at a time, `["SIZE"]`, ...'
        ),
    ] = ()
    connections: Annotated[
        Annotated[int, between(1, 1_000)] | None,
        key("Connections at once to one site of this route. Without it up to 10, as it bears."),
    ] = None
    max_messages: Annotated[
        Annotated[int, between(1, 1_000_000)] | None,
        key("Messages in one connection, then a new one."),
    ] = None
    max_recipients: Annotated[
        Annotated[int, between(1, 1_000)] | None,
        key("Recipients in one transaction, if fewer than 50."),
    ] = None
    bounce_listed_after: Annotated[
        Annotated[Duration, LISTED] | None, key("As in `[delivery]`, for the sites of this route.")
    ] = None


class DeliveryTable(Table, frozen=True):
    """How mail leaves."""

    bounce_listed_after: Annotated[
        Annotated[Duration, LISTED] | None,
        key(
            "Mail for a site that refuses this server as such (its address is on a blocklist or of "
            "poor reputation, or has no reverse name) is returned once it is so old. Without it "
            "such mail waits like any other, as long as `[queue] expire` says."
        ),
    ] = None
    mx_port: Annotated[
        int,
        between(1, 65535),
        key(
            "The port of the hosts that MX records name. For tests and closed networks: on the "
            "Internet it is 25 and nothing else."
        ),
    ] = MxSettings().port
    dane: Annotated[
        bool,
        key(
            "Hosts of `mx:` whose zone promises certificates (TLSA records) get mail only when "
            "they show them. Needs `trusted` resolvers; without them nobody is asked."
        ),
    ] = True
    mta_sts: Annotated[
        bool,
        key(
            "Domains of `mx:` that publish a policy (MTA-STS) have it kept: in mode `enforce` only "
            "the hosts that it names get mail, with a valid certificate. A host that a `[[route]]` "
            "names is held to the policy of its own name."
        ),
    ] = True
