"""Addresses: one parser for SMTP, headers, commands, directory (RFC 5321 §4.1.2, RFC 6531)."""

import ipaddress
import re
from dataclasses import dataclass

import idna

from merpati.errors import MerpatiError

# RFC 5321 §4.1.2, with atext and qtextSMTP widened by UTF8-non-ascii (RFC 6531 §3.3):
#   Mailbox         = Local-part "@" ( Domain / address-literal )
#   Local-part      = Dot-string / Quoted-string
#   Dot-string      = Atom *("."  Atom)
#   Quoted-string   = DQUOTE *QcontentSMTP DQUOTE
#   QcontentSMTP    = qtextSMTP / quoted-pairSMTP  ; space is qtext too
#   quoted-pairSMTP = %d92 %d32-126
#   qtextSMTP       = %d32-33 / %d35-91 / %d93-126
# Of UTF8-non-ascii, the controls (C1), line and paragraph separators and surrogates are left out:
# no mailbox has them, and a log line or a terminal may obey them.
_NON_ASCII = "\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_NON_ASCII}]+"
_DOT_STRING = rf"{_ATOM}(?:\.{_ATOM})*"
_QCONTENT = rf"(?:[ !#-\[\]-~{_NON_ASCII}]|\\[ -~])*"
_MAILBOX = re.compile(rf'(?:({_DOT_STRING})|"({_QCONTENT})")@([^@]+)')
_IS_DOT_STRING = re.compile(_DOT_STRING).fullmatch
_QUOTED_PAIR = re.compile(r"\\(.)")
_MUST_ESCAPE = re.compile(r'(["\\])')

#   Domain         = sub-domain *("." sub-domain)
#   sub-domain     = Let-dig [Ldh-str]
# with "_" besides: DNS has such names (RFC 2181 §11) and real senders use them.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_IS_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
#   address-literal = "[" ( IPv4-address-literal / IPv6-address-literal ) "]"
# No tag for a General-address-literal was ever registered, so there is none to read.
_LITERAL = re.compile(r"\[(?:([0-9.]{7,15})|(?i:ipv6):([0-9A-Fa-f:.]{2,45}))\]")

# RFC 5321 §4.5.3.1.1 gives a local part 64 octets, and §4.5.3.1 asks receivers for no limits where
# they can do without: return paths that name a recipient (VERP, SRS) are longer, so the path's
# limit is the only one.
MAX_DOMAIN = 253  # RFC 5321 §4.5.3.1.2 says 255: as DNS counts, with two length octets more
MAX_MAILBOX = 254  # RFC 5321 §4.5.3.1.3: a path is at most 256 octets, "<" and ">" among them


class AddressError(MerpatiError):
    """Text that is no address; the message says what is wrong with it, without repeating it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `Address.parse(str(a)) == a` for every address that exists."""

    local: str
    """Unquoted; as written, case kept. May be UTF-8 (RFC 6531)."""
    domain: str
    """Lower case; A-labels, or an address literal in brackets. Empty only for `<postmaster>`."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read a mailbox without its angle brackets, or the bare word `postmaster`.

        Raises AddressError for everything else, also for what is longer than a path may be.
        """
        match = _MAILBOX.fullmatch(text) if len(text) <= MAX_MAILBOX else None
        if match is None:
            return cls._parse_special(text)
        plain, quoted, domain = match.groups()
        local = plain if plain is not None else _QUOTED_PAIR.sub(r"\1", quoted)
        address = cls(local, parse_domain(domain))
        if not text.isascii() or len(text) > MAX_MAILBOX // 2:  # else it cannot be too long
            _check_length(address)
        return address

    @classmethod
    def _parse_special(cls, text: str) -> "Address":
        if len(text) > MAX_MAILBOX:
            raise AddressError("address is longer than 254 octets")
        if text.lower() == "postmaster":  # RFC 5321 §4.5.1: the only name without a domain
            return cls(text, "")
        raise AddressError("not an address of the form local@domain")

    @property
    def is_ascii(self) -> bool:
        """False for an address that only SMTPUTF8 can carry."""
        return self.local.isascii()

    @property
    def ip(self) -> str | None:
        """The address inside an address literal, None for a domain."""
        if not self.domain.startswith("["):
            return None
        return self.domain.strip("[]").removeprefix("IPv6:")

    @property
    def display(self) -> str:
        """As people write it: the domain in U-labels."""
        return self._with_domain(display_domain(self.domain))

    def __str__(self) -> str:
        # For nearly all, without the calls that the rest needs: each message is told of thrice.
        if self.domain and _IS_DOT_STRING(self.local):
            return f"{self.local}@{self.domain}"
        return self._with_domain(self.domain)

    def _with_domain(self, domain: str) -> str:
        return f"{self._quoted_local()}@{domain}" if domain else self.local

    def _quoted_local(self) -> str:
        # RFC 5321 §4.1.2: the quoted form is used only where it is needed.
        if _IS_DOT_STRING(self.local):
            return self.local
        return '"' + _MUST_ESCAPE.sub(r"\\\1", self.local) + '"'


def parse_domain(text: str) -> str:
    """A domain in A-labels and lower case, or an address literal in its one canonical form.

    Raises AddressError. A final dot is refused, as in RFC 5321 §2.3.5.
    """
    domain = text.lower()
    if not text.isascii():
        domain = _to_a_labels(text)
    if _IS_DOMAIN(domain) and len(domain) <= MAX_DOMAIN:
        # RFC 3696 §2: no top level is all digits. A bare IP address is not a domain.
        if domain[domain.rfind(".") + 1 :].isdigit():
            raise AddressError("an IP address stands in brackets: [192.0.2.1]")
        return domain
    if text.startswith("["):
        return _parse_literal(text)
    raise AddressError("not a domain name")


def display_domain(domain: str) -> str:
    """A domain with U-labels for its A-labels. A label that is no true A-label stays as it is."""
    if "xn--" not in domain:
        return domain
    return ".".join(map(_to_u_label, domain.split(".")))


def _to_u_label(label: str) -> str:
    try:
        return idna.decode(label)
    except idna.IDNAError:
        return label


def _to_a_labels(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise AddressError("not an internationalised domain name") from None


def _parse_literal(text: str) -> str:
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise AddressError("not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]")
    ipv4, ipv6 = match.groups()
    try:
        if ipv4 is not None:
            return f"[{ipaddress.IPv4Address(ipv4)}]"
        return f"[IPv6:{ipaddress.IPv6Address(ipv6)}]"
    except ipaddress.AddressValueError:
        raise AddressError("not an IP address inside the brackets") from None


def _check_length(address: Address) -> None:
    if len(str(address).encode()) > MAX_MAILBOX:
        raise AddressError("address is longer than 254 octets")
