"""What can happen to a message, each a frozen fact. Encoded in batches by the writer thread.

Times are seconds since 1970 UTC. Text that strangers sent is kept as it came, bounded by
`MAX_TEXT`; whoever shows it escapes it.
"""

import msgspec

MAX_TEXT = 1000
CANNOT_CHECK = "cannot be checked now"
"""Why a login failed that nobody could judge."""


class Fact(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True, omit_defaults=True):
    """What every event has."""

    at: float
    message: str = ""
    """The entry's id; empty for what happened before there was one."""
    address: str = ""
    """The recipient this is about; for Accepted and Refused see their own fields."""


class Exchange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command and what was answered; `sent` is empty for a greeting."""

    sent: str
    reply: str
    seconds: float = 0.0


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one host. `connection` names the Opened event that tells how it began."""

    route: str
    site: str = ""
    host: str = ""
    ip: str = ""
    port: int = 0
    connection: str = ""
    tls: str = ""
    """`TLSv1.3 TLS_AES_256_GCM_SHA384`; empty for plain text."""
    policy: str = ""
    """Who decided what the host had to prove: none, opportunistic, required, dane, sts-enforce,
    sts-testing; waived, requiretls: the message's own sender."""
    proof: str = ""
    """How it proved who it is: pkix, dane-ta, dane-ee; empty: not at all."""
    tls_failure: str = ""
    """What its TLS lacked; see `Opened`."""
    dialogue: tuple[Exchange, ...] = ()
    """This transaction's own commands: MAIL, RCPT of this recipient, DATA or BDAT, the end."""
    seconds: float = 0.0
    signed: tuple[str, ...] = ()
    """Where the keys are whose signatures the message left with: `selector._domainkey.a.test`."""


class RecordSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check found at a name of the DNS, beside the record in `Check.record`."""

    name: str
    record: str = ""
    """Printable ASCII; one that is cut says how long it was. Empty: there was none."""
    answered: bool = True
    """False: the DNS did not say what is there."""


class SealSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """One set of a chain (ARC): what its seal says of itself, and what came of it."""

    instance: int
    sealer: str = ""
    selector: str = ""
    claims: str = ""
    """cv=: how the sealer found the chain before it: none, pass or fail."""
    result: str = ""
    """pass, fail or temperror; empty: nobody looked, since the chain had failed before."""


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check of a message's authenticity found, with the evidence."""

    method: str
    """iprev, spf, dkim, arc, dmarc."""
    result: str
    """The word of RFC 8601 §2.7."""
    about: str = ""
    """The domain or name that was checked."""
    selector: str = ""
    """Of dkim."""
    why: str = ""
    identity: str = ""
    """Of spf: helo where it is the HELO name beside a sender (RFC 7208 §2.3)."""
    mechanism: str = ""
    """Of spf: the directive that decided, and of whose record if not of that of `about`."""
    lookups: int = 0
    """Of spf: terms that asked the DNS, of ten (RFC 7208 §4.6.4)."""
    void_lookups: int = 0
    """Of spf: those that found nothing, of two."""
    record: str = ""
    """What was found in the DNS, with its name in front where that is not plain."""
    alignment: str = ""
    """How it stands to the domain in From."""
    asks: str = ""
    """Of dmarc: what the domain asks to be done with the message."""
    vouched: str = ""
    """Of arc: the sealer who was believed."""
    seen: tuple[RecordSeen, ...] = ()
    """Of spf: what include and redirect led to, as it was asked for. Of arc: keys of sealers."""
    seals: tuple[SealSeen, ...] = ()
    """Of arc: the first host's first."""
    left_off: int = 0
    """How many of `seen` and `seals`, or of signatures behind this one, there was no room for."""


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A good signature that came again and again from hosts that are not its signer's."""

    domain: str
    selector: str = ""
    copies: int = 0
    """Messages that it came with, this one among them."""
    recipients: int = 0
    seconds: float = 0.0
    """Since the first of them; an hour at most."""


class Forward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recipient elsewhere to which an alias of ours sends a stranger's message on."""

    address: str
    sender: str = ""
    """The rewritten one that the next host is told."""
    kept: str = ""
    """Why it was not rewritten: null, ours, off, unproved, too-long."""
    lost: str = ""
    """The message passed DMARC by SPF alone and the copy does not: what its author's domain asks
    for such mail (none, quarantine, reject)."""
    forged: bool = False
    """SPF or DMARC says that the sender is a lie, and no signature of its domain says otherwise:
    nobody is told of a failure."""


class Accepted(Fact, frozen=True, tag="accepted", kw_only=True, omit_defaults=True):
    """Stored for good; written in the transaction that stores the message."""

    sender: str
    recipients: tuple[str, ...]
    size: int
    ip: str = ""
    client: str = ""
    helo: str = ""
    login: str = ""
    role: str = ""
    protocol: str = ""
    tls: str = ""
    envelope_id: str = ""
    message_id: str = ""
    subject: str = ""
    aliases: tuple[tuple[str, str], ...] = ()
    """(alias, target) pairs that were expanded."""
    forwards: tuple[Forward, ...] = ()
    checks: tuple[Check, ...] = ()
    """Of a stranger's message."""
    replay: Replay | None = None


class Refused(Fact, frozen=True, tag="refused", kw_only=True, omit_defaults=True):
    """We said no to a client."""

    stage: str
    """connect, hello, auth, mail, rcpt, data, message; command for what is malformed or idle."""
    reply: str
    rule: str
    ip: str = ""
    helo: str = ""
    login: str = ""
    role: str = ""
    sender: str = ""
    line: str = ""
    recipients: tuple[str, ...] = ()
    """Of a whole message that was refused; a refusal at RCPT is about `address`."""
    checks: tuple[Check, ...] = ()
    replay: Replay | None = None


class LoggedIn(Fact, frozen=True, tag="logged-in", kw_only=True, omit_defaults=True):
    """A login succeeded."""

    login: str
    ip: str
    mechanism: str
    program: str = ""
    """The app password's name; empty for the account's own."""
    by: str = ""
    """Who vouched for it where it was not our directory: http, ldap, token, certificate."""
    issuer: str = ""
    subject: str = ""
    """Of the token or certificate."""


class LoginFailed(Fact, frozen=True, tag="login-failed", kw_only=True, omit_defaults=True):
    """A login did not succeed."""

    login: str
    ip: str
    mechanism: str
    why: str
    detail: str = ""
    """What was found, or who gave no answer."""
    issuer: str = ""
    subject: str = ""
    """Of the token or certificate, if it was truly issued."""


class Opened(Fact, frozen=True, tag="opened", kw_only=True, omit_defaults=True):
    """A connection outward was made or failed; its greeting, hello and TLS."""

    connection: str
    site: str
    host: str
    ip: str
    port: int = 0
    tls: str = ""
    verified: bool = False
    """Its certificate was checked and fits; `proof` says how."""
    policy: str = ""
    proof: str = ""
    """Both as in `Attempt`."""
    tls_failure: str = ""
    """What TLS lacked, as a result type of RFC 8460 §4.3: what the domain demanded and mail waits
    for, or what was wished for and mail went without. Empty: nothing, or nobody wished for TLS."""
    name: str = ""
    """What TLS was asked for and the certificate, where it is checked, has to be for."""
    local: str = ""
    """Our own address of it; empty where none was made."""
    tlsa: tuple[str, ...] = ()
    """Of policy dane: the records that the certificate had to match, as zone files have them."""
    certificate: str = ""
    """SHA-256 of what it showed (DER), in hexadecimal digits, also where nobody checked it. Empty
    where the handshake failed."""
    certificate_name: str = ""
    """The first host name in it, as the host wrote it."""
    certificate_check: str = ""
    """What had come of it where it was not demanded: `valid`, or what it lacks, as result types of
    RFC 8460 §4.3 with commas between. Empty: it had to prove something (`proof`, `tls_failure`), or
    was not looked at."""
    dialogue: tuple[Exchange, ...] = ()
    error: str = ""
    seconds: float = 0.0


class Delivered(Fact, frozen=True, tag="delivered", kw_only=True, omit_defaults=True):
    """Final: the next host, or the mailbox here, has it."""

    reply: str
    attempt: Attempt
    delay: float = 0.0
    """Seconds since it was received."""
    is_ours: bool = False
    """The message is a notice or a report that this server wrote itself."""


class Deferred(Fact, frozen=True, tag="deferred", kw_only=True, omit_defaults=True):
    """Not now; tried again at `due`."""

    reply: str
    cause: str
    """A key of the diagnosis texts."""
    attempt: Attempt | None = None
    due: float = 0.0
    attempts: int = 0
    in_doubt: bool = False
    """The connection was lost after the last octet left: the host may have it (UNKNOWN)."""
    is_ours: bool = False
    """As in `Delivered`."""


class Failed(Fact, frozen=True, tag="failed", kw_only=True, omit_defaults=True):
    """Final: refused for good."""

    reply: str
    cause: str
    status: str = ""
    attempt: Attempt | None = None
    is_ours: bool = False
    """As in `Delivered`."""


class Expired(Fact, frozen=True, tag="expired", kw_only=True, omit_defaults=True):
    """Final: its time was over; `reply` is the last answer."""

    reply: str = ""
    attempts: int = 0


BY_ITSELF = "merpati"
"""Who holds a message back because what is stored of it is damaged."""


class Held(Fact, frozen=True, tag="held", kw_only=True, omit_defaults=True):
    """Held back by an operator or a rule."""

    by: str
    why: str = ""


class Released(Fact, frozen=True, tag="released", kw_only=True, omit_defaults=True):
    """Free to go again, or told to be tried now."""

    by: str


class Rerouted(Fact, frozen=True, tag="rerouted", kw_only=True, omit_defaults=True):
    """An operator sent it another way."""

    by: str
    route: str


class Cancelled(Fact, frozen=True, tag="cancelled", kw_only=True, omit_defaults=True):
    """Final: an operator ended it."""

    by: str


class Noticed(Fact, frozen=True, tag="noticed", kw_only=True, omit_defaults=True):
    """A notice (DSN) about this recipient was queued as message `notice`."""

    notice: str
    action: str


class Unnoticed(Fact, frozen=True, tag="unnoticed", kw_only=True, omit_defaults=True):
    """A notice was due and is deliberately not sent."""

    action: str
    why: str


class SiteHeld(Fact, frozen=True, tag="site-held", kw_only=True, omit_defaults=True):
    """A site is slowed, suspended or resumed (until = 0)."""

    site: str
    until: float
    why: str
    by: str = ""


class SenderHeld(Fact, frozen=True, tag="sender-held", kw_only=True, omit_defaults=True):
    """A site refused a sender several times: its mail to that site waits (until = 0: no longer)."""

    site: str
    sender: str
    """A login, or the domain of the sender."""
    until: float
    why: str


class AccountSuspended(
    Fact, frozen=True, tag="account-suspended", kw_only=True, omit_defaults=True
):
    """An account may not send any more; what waits of it is held."""

    login: str
    why: str
    by: str = ""
    """An operator, or this server by itself."""


class AccountResumed(Fact, frozen=True, tag="account-resumed", kw_only=True, omit_defaults=True):
    """It may send again."""

    login: str
    by: str = ""


class PolicyUnread(Fact, frozen=True, tag="policy-unread", kw_only=True, omit_defaults=True):
    """The MTA-STS policy that a domain announces could not be had."""

    domain: str
    flaw: str
    """fetch, certificate, or text."""
    why: str


class Reported(Fact, frozen=True, tag="reported", kw_only=True, omit_defaults=True):
    """A report to another domain about one day's mail: `message` brings it, or it was posted."""

    report: str
    """dmarc or tls."""
    domain: str
    """Whom it is about."""
    day: str
    """`2026-04-01`, in UTC."""
    outcome: str
    """mailed, posted, or given-up."""
    to: tuple[str, ...] = ()
    """Addresses or URIs."""
    rows: int = 0
    why: str = ""
    """Where nothing more could be done, and of destinations that were left out."""


class Lifecycle(Fact, frozen=True, tag="server", kw_only=True, omit_defaults=True):
    """The server itself: started, stopped, reloaded, or a limit was hit."""

    what: str
    detail: str = ""


Event = (
    Accepted
    | Refused
    | LoggedIn
    | LoginFailed
    | Opened
    | Delivered
    | Deferred
    | Failed
    | Expired
    | Held
    | Released
    | Rerouted
    | Cancelled
    | Noticed
    | Unnoticed
    | SiteHeld
    | SenderHeld
    | AccountSuspended
    | AccountResumed
    | PolicyUnread
    | Reported
    | Lifecycle
)
