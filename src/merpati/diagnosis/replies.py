"""What a remote refusal means: stage first, then the enhanced code, then the words.

`_ROWS` is the table of docs/delivery.md, most telling rows first; the first row that fits wins. The
words are those that large receivers are known to send. Every expression is free of nested
repetition, and the text is cut before it is searched, so that a stranger cannot make us think long.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Where in the conversation a reply came."""

    CONNECT = "connect"
    HELLO = "hello"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """To DATA itself."""
    BODY = "body"
    """To the final dot or a BDAT."""


class Refusal(Enum):
    """Classes of refusal; each has one reaction (docs/delivery.md has the table)."""

    PROTOCOL = "protocol"
    RECIPIENT = "recipient"
    SPLIT = "split"
    GREYLIST = "greylist"
    MESSAGE = "message"
    SENDER = "sender"
    CONNECTION = "connection"
    RATE = "rate"
    STORAGE = "storage"
    REPUTATION = "reputation"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A refusal understood."""

    refusal: Refusal
    cause: str
    """A key of the diagnosis texts."""
    permanent: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """What a row is held against."""

    stage: Stage
    code: str
    status: str
    text: str
    first_try: bool
    recipients_before: int


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table; what is empty fits everything."""

    refusal: Refusal
    cause: str
    at: frozenset[Stage] = frozenset()
    code: str = ""
    status: str = ""
    """Subject and detail of the enhanced code, or `none`; its class says what the code says."""
    words: re.Pattern[str] | None = None
    first_try: bool = False
    after_recipients: bool = False

    def fits(self, told: _Told) -> bool:
        """Whether every condition of this row holds."""
        return (
            (not self.at or told.stage in self.at)
            and (not self.code or re.fullmatch(self.code, told.code) is not None)
            and (not self.status or re.fullmatch(self.status, told.status) is not None)
            and (self.words is None or self.words.search(told.text) is not None)
            and (not self.first_try or told.first_try)
            and (not self.after_recipients or told.recipients_before > 0)
        )


_MAX_TEXT = 2000
_STATUS = re.compile(r"[245]\.(\d{1,3}\.\d{1,3})")


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_IP = r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"
_LISTED = _words(
    r"spamhaus|barracuda|spamcop|sorbs|uceprotect|surbl|\bcbl\b|\b[rd]ns?bls?\b|\brbls?\b",
    r"black ?list|block ?list|deny ?list|listed (?:in|on|at|by)",
    r"(?:poor|bad|low) reputation|reputation of (?:the|your)",
    r"(?:ip|host|client|server|network)\b[^.]{0,60}\b(?:blocked|banned|blacklisted)",
    rf"blocked[^.]{{0,60}}{_IP}|{_IP}[^.]{{0,40}}(?:blocked|banned|rejected due)",
    r"(?:user|many|excessive) complaints|banned sending ip|S3150|S3140|TSS0[49]|CS01",
)
_NO_REVERSE = _words(
    r"reverse (?:dns|hostname|lookup|mapping)|\bptr\b|\brdns\b|fcrdns",
    r"cannot find your (?:reverse )?hostname|client host rejected: cannot find",
)
_SPF = _words(r"\bspf\b|sender policy framework")
_DKIM = _words(r"\bdkim\b")
_DMARC = _words(r"\bdmarc\b")
_UNAUTHENTICATED = _words(r"unauthenticated|not authenticated|authentication (?:checks|results)")
_TOO_MANY_CONNECTIONS = _words(
    r"too many (?:concurrent|simultaneous)|too many connections|connection limit|"
    r"maximum (?:number of )?connections|concurrency limit"
)
_PACE_WORDS = (
    r"rate.?limit|throttl|too (?:many (?:messages|mails|emails|requests)|much mail)",
    r"too (?:fast|quick|frequent)|unusual rate|slow down|(?:limit|rate) exceeded",
)
_PACE = _words(*_PACE_WORDS)
"""Words that speak of nothing but pace; they need no enhanced code beside them."""
_RATE = _words(*_PACE_WORDS, r"temporarily deferred|try again later|exceeded|too many")
_GREY = _words(r"gr[ea]y.?list|gr[ea]ylisting|postgrey")
_UNKNOWN_USER = _words(
    r"user (?:unknown|not found|does ?n[o']t exist)|unknown (?:user|recipient|mailbox|local)",
    r"no such (?:user|recipient|mailbox|person|address)|no mailbox (?:here|by)",
    r"(?:mailbox|recipient|account|address)\b[^.]{0,40}"
    r"(?:not found|unavailable|unknown|does ?n[o']t exist|do not exist|not exist|invalid)",
    r"recipient (?:address )?rejected: (?:undeliverable|access denied|unknown)",
)
_MAILBOX_FULL = _words(
    r"over ?quota|quota (?:is )?exceeded|exceed\w* (?:\w+ ){0,3}quota|"
    r"(?:mailbox|inbox|storage)\b[^.]{0,20}\bfull|out of storage"
)
_DISABLED = _words(r"(?:mailbox|account|user|address)\b[^.]{0,30}(?:disabled|inactive|suspended)")
_RELAY = _words(r"relay(?:ing)?\b[^.]{0,30}(?:denied|not (?:permitted|allowed)|prohibited|access)")
_RELAY_US = _words(r"(?:unable|not (?:permitted|allowed|authori[sz]ed)) to relay|we do not relay")
_NOT_OURS = _words(
    r"not owned by (?:the )?(?:user|auth)|belongs to (?:some|an)\w* else",
    r"(?:not (?:allowed|permitted|authori[sz]ed)|permissions?) to (?:send|use)\b[^.]{0,30}"
    r"\b(?:as|from|sender|address)",
    r"sender (?:address )?(?:rejected|mismatch)[^.]{0,20}not (?:owned|logged)",
)
_AUTH_NEEDED = _words(r"authentication (?:is )?required|must (?:issue|authenticate)|login first")
_TLS_NEEDED = _words(r"must issue a starttls|starttls (?:is )?required|(?:tls|encryption) required")
_SPAM = _words(
    r"\bspam|\bunsolicited|\bjunk\b|\bbulk mail|content (?:rejected|denied|refused)|phish",
    r"message (?:content )?(?:rejected|blocked|refused)\b[^.]{0,40}content",
)
_VIRUS = _words(r"\bvirus|malware|infected|clamav|trojan")
_TOO_LARGE = _words(
    r"(?:message|size)\b[^.]{0,40}(?:too (?:large|big)|exceeds)|exceeds?\b[^.]{0,30}size"
)
_LOOP = _words(r"\bloop|too many hops|hop count")
_UNRESOLVABLE = _words(
    r"(?:domain|sender)\b[^.]{0,40}(?:not found|does ?n[o']t (?:exist|resolve)|not resolve)",
    r"domain of sender|unresolvable|sender domain must",
)
_HELO = _words(r"\b(?:helo|ehlo)\b")
_NULL_MX = _words(r"null ?mx|does not accept (?:any )?mail")
_SYSTEM_FULL = _words(r"insufficient (?:system )?(?:storage|resources|disk)|disk full|no space")
_NO_VALID = _words(r"no valid recipients|no recipients")

_OPENING = frozenset({Stage.CONNECT, Stage.HELLO})
_AT_RCPT = frozenset({Stage.RCPT})
_AT_MAIL = frozenset({Stage.MAIL})
_AT_BODY = frozenset({Stage.DATA, Stage.BODY})
_SENDER_TOLD = _AT_MAIL | _AT_RCPT
_BUT_RCPT = frozenset(Stage) - _AT_RCPT

_ROWS: tuple[_Row, ...] = (
    # What the connection says about itself, whatever was asked.
    _Row(Refusal.CONNECTION, "connection-lost", code="0"),
    _Row(Refusal.CONNECTION, "too-many-connections", words=_TOO_MANY_CONNECTIONS),
    _Row(Refusal.REPUTATION, "ip-listed", code="421", words=_LISTED),
    _Row(Refusal.REPUTATION, "no-reverse-dns", at=_OPENING, code="5..", words=_NO_REVERSE),
    _Row(Refusal.REPUTATION, "ip-listed", at=_OPENING, words=_LISTED),
    # RFC 7504 §3: 521 in the greeting, 556 in the dialogue: no mail is accepted at all.
    _Row(Refusal.RECIPIENT, "null-mx", code="521|556"),
    _Row(Refusal.RECIPIENT, "null-mx", code="5..", words=_NULL_MX),
    _Row(Refusal.PROTOCOL, "protocol-error", at=frozenset({Stage.HELLO}), code="50[0-4]"),
    _Row(Refusal.REPUTATION, "helo-refused", at=_OPENING, code="5..", words=_HELO),
    _Row(Refusal.REPUTATION, "connection-refused-by-policy", at=_OPENING, code="5.."),
    _Row(Refusal.RATE, "rate-limited", at=_BUT_RCPT, code="4..", status=r"7\.28"),
    _Row(Refusal.RATE, "rate-limited", code="421", status=r"7\.0|3\.2|4\.5", words=_RATE),
    _Row(Refusal.CONNECTION, "server-busy", code="421"),
    _Row(Refusal.CONNECTION, "server-busy", at=_OPENING, code="4.."),
    # STARTTLS and AUTH are asked for by us; their refusals are about the way, not the message.
    _Row(Refusal.CONNECTION, "tls-failed", at=frozenset({Stage.STARTTLS})),
    _Row(Refusal.CONNECTION, "auth-failed", at=frozenset({Stage.AUTH}), code="5.."),
    _Row(Refusal.CONNECTION, "server-busy", at=frozenset({Stage.AUTH})),
    _Row(Refusal.SENDER, "sender-not-allowed", at=_SENDER_TOLD, code="5..", words=_NOT_OURS),
    # Who sends: authentication of the domain before reputation, since the texts name lists too.
    _Row(Refusal.SENDER, "spf-failed", status=r"7\.2[34]"),
    _Row(Refusal.SENDER, "dkim-failed", status=r"7\.2[0-2]"),
    _Row(Refusal.SENDER, "no-reverse-dns", status=r"7\.25"),
    _Row(Refusal.SENDER, "dmarc-failed", status=r"7\.26|7\.1|7\.0|none", words=_DMARC),
    _Row(Refusal.SENDER, "sender-unauthenticated", status=r"7\.26"),
    _Row(Refusal.SENDER, "null-mx-sender", status=r"7\.27"),
    _Row(Refusal.PROTOCOL, "tls-needed", code="530", words=_TLS_NEEDED),
    _Row(Refusal.PROTOCOL, "tls-needed", status=r"7\.10"),
    _Row(Refusal.RECIPIENT, "requiretls-unsupported", status=r"7\.30"),
    _Row(Refusal.REPUTATION, "ip-listed", code="[45]..", words=_LISTED),
    _Row(Refusal.SENDER, "spf-failed", status=r"7\..*|none", words=_SPF),
    _Row(Refusal.SENDER, "dkim-failed", status=r"7\..*|none", words=_DKIM),
    _Row(Refusal.SENDER, "no-reverse-dns", status=r"7\..*|none", words=_NO_REVERSE),
    _Row(Refusal.SENDER, "sender-unauthenticated", status=r"7\..*|none", words=_UNAUTHENTICATED),
    # Too much in one transaction.
    _Row(Refusal.SPLIT, "too-many-recipients", code="4..|552", status=r"5\.3"),
    _Row(Refusal.STORAGE, "server-full", code="4..", status=r"3\.1"),
    _Row(Refusal.STORAGE, "server-full", code="452", words=_SYSTEM_FULL),
    _Row(Refusal.RECIPIENT, "mailbox-full", _AT_RCPT, status=r"2\.2"),
    _Row(Refusal.RECIPIENT, "mailbox-full", _AT_RCPT, words=_MAILBOX_FULL),
    _Row(Refusal.MESSAGE, "message-too-large", code="552", status=r"3\.4|2\.3"),
    # RFC 5321 §4.5.3.1.10: 452, and the 552 of old, say that the transaction has enough of them.
    _Row(Refusal.SPLIT, "too-many-recipients", _AT_RCPT, "452|552", after_recipients=True),
    # One recipient.
    _Row(Refusal.RECIPIENT, "mailbox-busy", _AT_RCPT, code="450", status=r"2\.1", words=_RATE),
    _Row(Refusal.RECIPIENT, "unknown-user", _AT_RCPT, code="5..", status=r"1\.(?:1|0)"),
    _Row(Refusal.RECIPIENT, "unknown-domain", _AT_RCPT, status=r"1\.2"),
    _Row(Refusal.RECIPIENT, "address-syntax", _AT_RCPT, status=r"1\.3"),
    _Row(Refusal.RECIPIENT, "moved", _AT_RCPT, status=r"1\.6"),
    _Row(Refusal.RECIPIENT, "null-mx", _AT_RCPT, status=r"1\.10"),
    _Row(Refusal.RECIPIENT, "moved", _AT_RCPT, code="551"),
    _Row(Refusal.RECIPIENT, "mailbox-disabled", _AT_RCPT, code="5..", status=r"2\.1"),
    _Row(Refusal.GREYLIST, "greylisted", _AT_RCPT, code="4..", words=_GREY),
    _Row(Refusal.RECIPIENT, "mailbox-disabled", _AT_RCPT, code="5..", words=_DISABLED),
    _Row(Refusal.RECIPIENT, "unknown-user", _AT_RCPT, code="5..", words=_UNKNOWN_USER),
    _Row(Refusal.SENDER, "relay-denied", _AT_RCPT, code="5..", words=_RELAY),
    _Row(Refusal.SENDER, "relay-denied", _AT_RCPT, code="5..", words=_RELAY_US),
    _Row(
        Refusal.GREYLIST,
        "greylisted",
        _AT_RCPT,
        code="45[01]",
        status=r"7\.1|7\.0|2\.0|none",
        first_try=True,
    ),
    _Row(Refusal.RECIPIENT, "rate-limited", _AT_RCPT, code="4..", words=_PACE),
    _Row(Refusal.RECIPIENT, "mailbox-busy", _AT_RCPT, code="4..", status=r"2\..*"),
    _Row(Refusal.RECIPIENT, "mailbox-disabled", _AT_RCPT, code="5..", status=r"2\..*"),
    # The message itself.
    _Row(Refusal.MESSAGE, "too-many-hops", status=r"4\.6"),
    _Row(Refusal.MESSAGE, "too-many-hops", _AT_BODY, words=_LOOP),
    _Row(Refusal.MESSAGE, "virus", _AT_BODY, code="5..", words=_VIRUS),
    _Row(Refusal.RATE, "rate-limited", _AT_BODY, code="4..", status=r"7\.0|3\.2|4\.5", words=_RATE),
    _Row(Refusal.MESSAGE, "spam-content", _AT_BODY, words=_SPAM),
    _Row(Refusal.MESSAGE, "message-too-large", status=r"3\.4"),
    _Row(Refusal.MESSAGE, "message-too-large", _AT_MAIL, code="552"),
    _Row(Refusal.MESSAGE, "message-too-large", code="55[24]", words=_TOO_LARGE),
    _Row(Refusal.MESSAGE, "smtputf8-unsupported", status=r"6\.7|6\.9|6\.10"),
    _Row(Refusal.MESSAGE, "content-refused", _AT_BODY, status=r"6\..*"),
    _Row(Refusal.MESSAGE, "content-refused", _AT_BODY, code="55[04]", status=r"7\.1"),
    _Row(Refusal.RECIPIENT, "mailbox-full", _AT_BODY, words=_MAILBOX_FULL),
    _Row(Refusal.MESSAGE, "message-too-large", _AT_BODY, code="552"),
    # RFC 5321 §4.2.2: 555 says that a parameter of MAIL or RCPT is not known or not implemented.
    _Row(Refusal.MESSAGE, "parameters-refused", code="555"),
    # The sender.
    _Row(Refusal.SENDER, "sender-refused", _AT_MAIL, status=r"1\.[78]"),
    _Row(Refusal.SENDER, "sender-refused", status=r"1\.[78]"),
    _Row(Refusal.SENDER, "sender-domain-unresolvable", _AT_MAIL, words=_UNRESOLVABLE),
    _Row(Refusal.RATE, "rate-limited", _BUT_RCPT, "4..", r"7\.0|3\.2|4\.5", _RATE),
    _Row(Refusal.RATE, "rate-limited", _BUT_RCPT, "45[012]", "none", _PACE),
    # Our way of speaking.
    _Row(Refusal.SENDER, "auth-needed", code="530|5..", words=_AUTH_NEEDED),
    _Row(Refusal.SENDER, "auth-needed", code="530"),
    _Row(Refusal.PROTOCOL, "no-valid-recipients", _AT_BODY, words=_NO_VALID),
    _Row(Refusal.PROTOCOL, "protocol-error", code="50[0-4]"),
    _Row(Refusal.PROTOCOL, "protocol-error", code="5..", status=r"5\.[0124]"),
    # What is left, by stage.
    _Row(Refusal.RECIPIENT, "policy", _AT_RCPT, code="5..", status=r"7\..*"),
    _Row(Refusal.RECIPIENT, "unknown-user", _AT_RCPT, code="550", status="none"),
    _Row(Refusal.RECIPIENT, "refused", _AT_RCPT, code="5.."),
    _Row(Refusal.RECIPIENT, "server-error", _AT_RCPT, code="4.."),
    _Row(Refusal.SENDER, "policy", _AT_MAIL, code="5..", status=r"7\..*"),
    _Row(Refusal.SENDER, "sender-refused", _AT_MAIL, code="5.."),
    _Row(Refusal.MESSAGE, "policy", code="5..", status=r"7\..*"),
    _Row(Refusal.MESSAGE, "refused", code="5.."),
)
# Unknown is temporary: a reply that nobody understands never costs a message its life.
_UNKNOWN = _Row(Refusal.MESSAGE, "server-error")
_TEMPORARY = {Refusal.CONNECTION, Refusal.SPLIT, Refusal.GREYLIST, Refusal.STORAGE}


def classify(  # noqa: PLR0913 - a reply and its two circumstances, each said by name
    stage: Stage,
    code: int,
    status: str,
    text: str,
    *,
    first_try: bool = False,
    recipients_before: int = 0,
) -> Meaning:
    """The meaning of a refusal; code 0 stands for a connection that ended without one.

    `status` is the enhanced code, empty for none. `first_try` says that this recipient was never
    tried before, `recipients_before` how many RCPTs the transaction already had accepted.
    """
    told = _Told(stage, str(code), _detail(status), text[:_MAX_TEXT], first_try, recipients_before)
    row = next((row for row in _ROWS if row.fits(told)), _UNKNOWN)
    return Meaning(row.refusal, row.cause, code >= 500 and row.refusal not in _TEMPORARY)


def causes() -> frozenset[str]:
    """Every cause that `classify` can name."""
    return frozenset(row.cause for row in (*_ROWS, _UNKNOWN))


def _detail(status: str) -> str:
    matched = _STATUS.fullmatch(status)
    return matched[1] if matched else "none"
