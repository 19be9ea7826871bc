"""merpati.toml as it may be written: every table and key with its type, default and meaning.

This is the one table of keys: reading, `merpati config explain` and docs/configuration.md use it.
Defaults are those of the parts that use the settings; None means that there is none.
"""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from merpati.config.table import Table, key
from merpati.config.tls import AcmeTable, TlsTable
from merpati.config.values import (
    Domain,
    DomainName,
    Duration,
    LocalPart,
    Mailbox,
    Network,
    Size,
    Target,
)
from merpati.delivery.mx import MxSettings
from merpati.delivery.settling import SettlingSettings
from merpati.delivery.transaction import TlsDemand
from merpati.dns.resolver import PORT
from merpati.feedback.feedback import Room
from merpati.identity.expected import Expected
from merpati.identity.gate import GateSettings
from merpati.intake import IntakeSettings
from merpati.policy.guard import GuardSettings
from merpati.policy.rules.limits import LimitSettings
from merpati.queue.schedule import Schedule
from merpati.reception.port import ClientCertificates, Role
from merpati.setup.sts import Mode, OwnPolicy
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import ListenSettings

_RULES = LimitSettings()
_GUARD = GuardSettings()
_LISTEN = ListenSettings()
_ROOM = Room()


class Language(Enum):
    """Languages that texts for people exist in."""

    ENGLISH = "en"
    INDONESIAN = "id"


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
        Size | None, key("The largest message on this port, if not as in `[limits]`.")
    ] = None
    connections: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        key("Connections at once on this port, if not as in `[limits]`."),
    ] = None


class CertificatesTable(Table, frozen=True):
    """Logins by certificate, at ports with `client_certificates`: the mail address in it
    (rfc822Name) is the user who logs in. Whoever signs for these authorities can log in as
    anybody, so take none of the public ones."""

    authorities: Annotated[
        str,
        key(
            "PEM file with the authorities whose certificates are believed, relative to this file. "
            "Lists of revoked certificates (CRL) in it are obeyed: then each authority needs one."
        ),
    ]


_GATE = GateSettings()
_TIMEOUT = "What a login waits at most for the answer; then it is told to come later (454)."
_CACHE = (
    "How long a password that was right is taken for right without asking again; a change of it "
    "counts after that. Only a keyed digest is remembered. 0: every login asks."
)
_AUTHORITIES = "PEM file with the authorities its certificate may come from; else the system's."


class LoginHttpTable(Table, frozen=True):
    """Passwords that a program of yours knows, which is asked by HTTP. docs/logins.md has the
    contract. Passwords of the directory are good besides; SCRAM is not offered."""

    url: Annotated[str, key("Where it answers: `https://`, or `http://` on this machine.")]
    secret_file: Annotated[
        str,
        key(
            "File with a secret that the program is shown as a bearer token; nobody else reads it."
        ),
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    timeout: Annotated[Duration, key(_TIMEOUT)] = Duration(_GATE.seconds)
    cache: Annotated[Duration, key(_CACHE)] = Duration(0)


class LoginLdapTable(Table, frozen=True):
    """Passwords that an LDAP server knows (OpenLDAP, Active Directory, ...): it is bound to as the
    user. Passwords of the directory are good besides; SCRAM is not offered."""

    servers: Annotated[
        tuple[str, ...],
        key(
            "`ldaps://host` or `ldap://host`, which is encrypted by StartTLS; in turn, until one "
            "can be asked."
        ),
    ]
    dn: Annotated[
        str,
        key(
            "How a user is called there: `uid={local},ou=people,dc=a,dc=test`. `{user}` is the "
            "whole address, `{local}` and `{domain}` its parts."
        ),
    ] = ""
    base: Annotated[str, key("Without `dn`: below which entry users are looked for.")] = ""
    filter: Annotated[
        str, key("Without `dn`: which entry it is, `(&(objectClass=person)(mail={user}))`.")
    ] = ""
    bind_dn: Annotated[str, key("Who may look; without it the server is asked as nobody.")] = ""
    bind_password_file: Annotated[
        str, key("File with the password of `bind_dn`; nobody else may read it.")
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    start_tls: Annotated[
        bool, key("False: passwords go to `ldap://` in the clear. Only to this machine.")
    ] = True
    timeout: Annotated[Duration, key(_TIMEOUT)] = Duration(_GATE.seconds)
    cache: Annotated[Duration, key(_CACHE)] = Duration(0)


class LoginOauthTable(Table, frozen=True):
    """Tokens of an OpenID provider, for OAUTHBEARER and XOAUTH2. Needs `pip install
    merpati[oauth]`. A token has to be signed by the provider's keys, or be known to it."""

    issuer: Annotated[
        str,
        key(
            "The provider, exactly as its tokens and its OpenID configuration name it: `https://`, "
            "or `http://` on this machine."
        ),
    ]
    audience: Annotated[
        tuple[str, ...], key("Whom tokens have to be for (`aud`): one of these names of us.")
    ]
    scope: Annotated[tuple[str, ...], key("What tokens have to be good for: all of these.")] = ()
    claim: Annotated[
        str,
        key(
            "Which claim names the user's address. With `email` the provider has to have verified "
            "it (`email_verified`); any other one nobody but the provider may be able to change."
        ),
    ] = Expected("", ()).claim
    client_id: Annotated[
        str,
        key(
            "Our name at the provider: with it tokens that are no signed JWT are asked about there "
            "(introspection, RFC 7662)."
        ),
    ] = ""
    client_secret_file: Annotated[
        str, key("File with the secret of `client_id`; nobody else may read it.")
    ] = ""
    authorities: Annotated[str, key(_AUTHORITIES)] = ""
    timeout: Annotated[Duration, key(_TIMEOUT)] = Duration(_GATE.seconds)


class LoginTable(Table, frozen=True):
    """Who knows that somebody is who they say, besides the passwords of the directory. Whoever
    logs in is a user of the directory all the same (`merpati user add`)."""

    certificates: CertificatesTable | None = None
    http: LoginHttpTable | None = None
    ldap: LoginLdapTable | None = None
    oauth: LoginOauthTable | None = None


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
        Meta(ge=1, le=65535),
        key(
            "The port of zones' own servers, which `merpati domain setup` asks and changes. For "
            "tests and closed networks: on the Internet it is 53 and nothing else."
        ),
    ] = PORT
    update: tuple[UpdateTable, ...] = ()


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
            "Without it `opportunistic`, or `required` where a password goes to another machine."
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
        Annotated[int, Meta(ge=1)] | None,
        key("Connections at once to one site of this route. Without it up to 10, as it bears."),
    ] = None
    max_messages: Annotated[
        Annotated[int, Meta(ge=1)] | None, key("Messages in one connection, then a new one.")
    ] = None
    max_recipients: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        key("Recipients in one transaction, if fewer than 50."),
    ] = None


class DeliveryTable(Table, frozen=True):
    """How mail leaves."""

    mx_port: Annotated[
        int,
        Meta(ge=1, le=65535),
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
            "the hosts that it names get mail, with a valid certificate."
        ),
    ] = True


class LimitsTable(Table, frozen=True):
    """What one message, one peer and one account may use. A rate of 0 is no limit."""

    message_size: Annotated[Size, key("The largest message in octets.")] = Size(_RULES.max_size)
    recipients: Annotated[
        int, Meta(ge=100), key("Recipients of one message (RFC 5321 demands at least 100).")
    ] = _RULES.max_recipients
    connections: Annotated[int, Meta(ge=1), key("Connections at once to one port, all peers.")] = (
        _LISTEN.connections
    )
    connections_per_address: Annotated[
        int, Meta(ge=1), key("Connections at once to one port from one address.")
    ] = _LISTEN.connections_per_ip
    connections_per_minute: Annotated[
        int,
        Meta(ge=0),
        key("New connections of one stranger (IPv6: one /64); not of trusted networks."),
    ] = _RULES.connections_per_minute
    messages_per_minute: Annotated[
        int, Meta(ge=0), key("Messages of one stranger; not of logins and trusted networks.")
    ] = _RULES.messages_per_minute
    recipients_per_hour: Annotated[
        int, Meta(ge=0), key("Recipients of one login: what a stolen password can send.")
    ] = _RULES.recipients_per_hour
    free_space: Annotated[
        Size | None,
        key(
            "Octets of the disk that are kept free: below it new mail is told to come later, and "
            "what is queued goes on. Without it one and a half of the largest message, and at "
            "least 5 % of the disk where that is less than 1 GiB. 0: until it is full."
        ),
    ] = None


class SubmissionTable(Table, frozen=True):
    """What one login may send, so that a stolen password is noticed before it has done much harm.
    A day begins at midnight UTC; 0 is any number. `merpati user quotas` has other figures for
    single accounts, `--application` none for programs that write to many."""

    messages_per_day: Annotated[
        int, Meta(ge=0), key("Messages of one login; more are told to come the next day.")
    ] = _GUARD.messages
    recipients_per_day: Annotated[
        int, Meta(ge=0), key("Recipients of one login, each as often as it is named.")
    ] = _GUARD.recipients
    new_recipients_per_day: Annotated[
        int,
        Meta(ge=0),
        key(
            "Recipients in domains elsewhere that the login never wrote to before, as far as a "
            "year back. One more suspends it."
        ),
    ] = _GUARD.strangers
    unknown_recipients_per_hour: Annotated[
        int,
        Meta(ge=0),
        key("Recipients of one login whom their hosts do not know. One more suspends it."),
    ] = _GUARD.unknown
    suspend: Annotated[
        bool,
        key(
            "Suspend accounts by itself: they send nothing, what is queued of them is held, owner "
            "and postmaster are told, until `merpati user resume`. Without it what goes beyond "
            "`new_recipients_per_day` is told to come the next day."
        ),
    ] = _GUARD.suspends


class UnclearFrom(Enum):
    """What becomes of a message without exactly one author."""

    REFUSE = "refuse"
    ACCEPT = "accept"


class Dmarc(Enum):
    """What becomes of a message that its author's domain wants refused."""

    ENFORCE = "enforce"
    RECORD = "record"


class AuthenticityTable(Table, frozen=True):
    """Whether mail is what it says it is. Of mail from other servers that come to an `mx` port:
    never of logins, of `trusted` networks, or of this machine."""

    check: Annotated[
        bool,
        key(
            "Check the reverse name, SPF, DKIM, ARC and DMARC, write what was found on top of the "
            "message (Authentication-Results) and into the journal. This asks the DNS."
        ),
    ] = True
    dmarc: Annotated[
        Dmarc,
        key(
            "`enforce` refuses what the domain in From wants refused (p=reject) when neither SPF "
            "nor DKIM proves that it is from there; `record` only writes down what was found."
        ),
    ] = Dmarc.ENFORCE
    trusted_sealers: Annotated[
        tuple[DomainName, ...],
        key(
            "Domains whose ARC seals are believed, of mailing lists and forwarders that alter "
            "messages: what they found authentic is not refused."
        ),
    ] = ()
    unclear_from: Annotated[
        UnclearFrom,
        key(
            "What becomes of a message whose From field does not name one author that all programs "
            "read alike: several fields or domains, none, or one that cannot be read without doubt."
        ),
    ] = UnclearFrom.REFUSE


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


class QueueTable(Table, frozen=True):
    """How long mail is tried."""

    retry: Annotated[
        tuple[Duration, ...], key("Waits between attempts, jittered; the last one repeats.")
    ] = tuple(map(Duration, Schedule().delays))
    expire: Annotated[
        Duration, key("After this time in the queue a message is given up and returned.")
    ] = Duration(IntakeSettings("").max_age)
    delay_notice: Annotated[
        Duration, key("After this time the sender is told once that the message waits.")
    ] = Duration(SettlingSettings().delay_notice)


class ReportsTable(Table, frozen=True):
    """What others report of us, and we of them: of mail (DMARC, complaints), of TLS with hosts."""

    names: Annotated[
        tuple[LocalPart, ...],
        key(
            "The local parts, at every domain here, that take reports; `merpati domain setup` puts "
            "the first into the records, `merpati reports` shows what came. A user of such a name "
            "keeps the mail. `[]`: reports are not taken."
        ),
    ] = (LocalPart("mail-reports"),)
    age: Annotated[Duration, key("Age at which a report is forgotten.")] = Duration(_ROOM.age)
    count: Annotated[
        int,
        Meta(ge=1),
        key("Reports that are kept. Of more, those of whoever sends most go first."),
    ] = _ROOM.reports
    size: Annotated[Size, key("Octets of all of them together.")] = Size(_ROOM.octets)
    send: Annotated[
        bool | None,
        key(
            "Whether daily reports go to other domains that ask for them: of mail that came in "
            "their name (DMARC), of TLS with their hosts. Without it where there is an `mx` port "
            "and the hostname is a whole one, as `mx.a.test`."
        ),
    ] = None
    organization: Annotated[
        str,
        Meta(max_length=200),
        key("Who we say that we are in reports that we send; else the domain of `sender`."),
    ] = ""
    sender: Annotated[
        Mailbox | None,
        key(
            "The author of reports that we send. Its domain has to have a DKIM key here, or nobody "
            "believes them. Without it the postmaster of the domain here that the hostname is in."
        ),
    ] = None
    contact: Annotated[
        Mailbox | None, key("Whom others may ask about reports that we send; else `sender`.")
    ] = None


class RetentionTable(Table, frozen=True):
    """How long is remembered what happened."""

    journal: Annotated[Duration, key("Age at which the story of a message is forgotten.")] = (
        Duration(30 * 86400)
    )


class LogTable(Table, frozen=True):
    """What is written to standard output while the server runs."""

    events: Annotated[
        bool, key("Every event of every message as a line of JSON; the journal has them anyway.")
    ] = True


class Document(Table, frozen=True):
    """The keys that stand before the first table."""

    hostname: Annotated[
        str,
        key("The name we say in EHLO and banners, which the DNS should know; else the system's."),
    ] = ""
    data: Annotated[
        str, key("The directory of everything we keep, relative to this file. One server each.")
    ] = "var"
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        key(
            "Processes that share the work; without it one for each core. Each has a file of its "
            "own for queue and journal."
        ),
    ] = None
    language: Annotated[Language, key("The language of notices and explanations.")] = (
        Language.ENGLISH
    )
    postmaster: Annotated[
        Mailbox | None,
        key(
            "Who reads the postmaster's mail of domains here where nobody has that name. Without "
            "it the first user of the domain, since such mail has to be taken (RFC 5321)."
        ),
    ] = None
    user: Annotated[
        str, key("When started as root: the user to become once the ports are open.")
    ] = ""
    port: tuple[PortTable, ...] = ()
    tls: TlsTable | None = None
    acme: AcmeTable | None = None
    login: LoginTable = LoginTable()
    dns: DnsTable = DnsTable()
    http: HttpTable | None = None
    mta_sts: MtaStsTable | None = None
    autoconfig: AutoconfigTable | None = None
    route: tuple[RouteTable, ...] = ()
    delivery: DeliveryTable = DeliveryTable()
    limits: LimitsTable = LimitsTable()
    submission: SubmissionTable = SubmissionTable()
    authenticity: AuthenticityTable = AuthenticityTable()
    forwarding: ForwardingTable = ForwardingTable()
    queue: QueueTable = QueueTable()
    reports: ReportsTable = ReportsTable()
    retention: RetentionTable = RetentionTable()
    log: LogTable = LogTable()
