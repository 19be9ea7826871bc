"""What the HTTP doors serve: `[http]`, `[mta_sts]`, `[autoconfig]`."""

from typing import Annotated

from merpati.config.table import CONNECTIONS, Table, between, key
from merpati.config.values import Domain, DomainName, Duration
from merpati.delivery.sts.policy import MAX_AGE
from merpati.setup.sts import Mode, OwnPolicy
from merpati.wire.endpoint import Endpoint


class HttpTable(Table, frozen=True):
    """The HTTP doors. At `listen`: `/healthz`, `/metrics` and all that strangers ask for; at
    `https` the latter alone: the policy of `[mta_sts]`, `[autoconfig]`, and `tls_reports`."""

    listen: Annotated[
        Endpoint | None,
        key('Address and port without TLS, `"127.0.0.1:8026"`: for you, and for a proxy of yours.'),
    ] = None
    https: Annotated[
        Endpoint | None,
        key(
            'Address and port with TLS, `"[::]:443"`: for everybody. It shows the certificates '
            "of the doors for mail, to each client that of the name that it asks for."
        ),
    ] = None
    connections: Annotated[
        int,
        CONNECTIONS,
        key("At a time at each of the doors; more are answered 503, or closed where TLS is."),
    ] = 1000
    connections_per_address: Annotated[
        int, CONNECTIONS, key("The same from one address; a proxy is one, too.")
    ] = 50
    tls_reports: Annotated[
        bool,
        key(
            "Take reports about TLS at `POST /tls-reports`, for `rua=https://…` of TLS-RPT. "
            "Nothing proves who sends them, so prefer those by mail."
        ),
    ] = False

    def doors(self) -> tuple[tuple[str, Endpoint], ...]:
        """Those that there are, by the key that names them."""
        both = (("listen", self.listen), ("https", self.https))
        return tuple((name, end) for name, end in both if end is not None)


class MtaStsTable(Table, frozen=True):
    """The policy of MTA-STS of all domains here: what other servers are asked for that send to
    them. With this table it is served on `[http]`, as `/.well-known/mta-sts.txt` for `mta-sts.`
    and the domain. Senders ask by HTTPS: `https` of `[http]`, or a web server in front of it, has
    a certificate for `mta-sts.` and the domain."""

    mode: Annotated[
        Mode,
        key(
            "`testing`: senders report what fails and deliver; `enforce`: they do not deliver "
            "where it fails; `none`: there is a policy no more."
        ),
    ] = Mode.TESTING
    max_age: Annotated[
        Duration,
        between(1, MAX_AGE),
        key("How long senders keep the policy; RFC 8461 wants weeks, at most a year."),
    ] = Duration(OwnPolicy(()).max_age)
    mx: Annotated[
        tuple[Domain, ...], key("Hosts that take mail besides this one, as the MX records say.")
    ] = ()


class AutoconfigTable(Table, frozen=True):
    """What mail programs are told who ask for the settings of the domains here. With this table
    `[http]` serves it: `/mail/config-v1.1.xml` for Thunderbird and others, and
    `/autodiscover/autodiscover.xml` for Outlook. Programs ask by HTTPS: `https` of `[http]`,
    or a web server in front of it, has a certificate for `autoconfig.` and the domain."""

    imap: Annotated[
        DomainName | None,
        key(
            "The host where people read their mailboxes, by IMAP with TLS at port 993. Without it "
            "Outlook is told where to send alone, and Thunderbird takes nothing of it."
        ),
    ] = None
