"""What the HTTP door serves: `[http]`, `[mta_sts]`, `[autoconfig]`."""

from typing import Annotated

from merpati.config.table import Table, key
from merpati.config.values import Domain, DomainName, Duration
from merpati.setup.sts import Mode, OwnPolicy
from merpati.wire.endpoint import Endpoint


class HttpTable(Table, frozen=True):
    """The HTTP door: `/healthz`, `/metrics`, and with `[mta_sts]` the policy of MTA-STS."""

    listen: Annotated[Endpoint, key('Address and port, `"127.0.0.1:8025"`.')]
    tls_reports: Annotated[
        bool,
        key(
            "Take reports about TLS at `POST /tls-reports`, for `rua=https://…` of TLS-RPT. "
            "Nothing proves who sends them, so prefer those by mail."
        ),
    ] = False


class MtaStsTable(Table, frozen=True):
    """The policy of MTA-STS of all domains here: what other servers are asked for that send to
    them. With this table it is served on `[http]`, as `/.well-known/mta-sts.txt` for `mta-sts.`
    and the domain. Senders ask by HTTPS: a web server in front has the certificate."""

    mode: Annotated[
        Mode,
        key(
            "`testing`: senders report what fails and deliver; `enforce`: they do not deliver "
            "where it fails; `none`: there is a policy no more."
        ),
    ] = Mode.TESTING
    max_age: Annotated[
        Duration, key("How long senders keep the policy; RFC 8461 wants weeks, at most a year.")
    ] = Duration(OwnPolicy(()).max_age)
    mx: Annotated[
        tuple[Domain, ...], key("Hosts that take mail besides this one, as the MX records say.")
    ] = ()


class AutoconfigTable(Table, frozen=True):
    """What mail programs are told who ask for the settings of the domains here. With this table
    `[http]` serves it: `/mail/config-v1.1.xml` for Thunderbird and others, and
    `/autodiscover/autodiscover.xml` for Outlook. Programs ask by HTTPS: a web server in front has
    the certificate for `autoconfig.` and the domain."""

    imap: Annotated[
        DomainName | None,
        key(
            "The host where people read their mailboxes, by IMAP with TLS at port 993. Without it "
            "Outlook is told where to send alone, and Thunderbird takes nothing of it."
        ),
    ] = None
