"""Where a message came from: the facts that the Received field and the journal tell."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec import structs

from merpati.mail.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS handshake agreed on."""

    version: str
    """As RFC 8314 names it in Received: `TLSv1.3`."""
    cipher: str
    verified: bool = False
    """The peer's certificate was checked and matches the name that was asked for; of a client, that
    it showed one which our operator's authorities vouch for."""
    peer_name: str = ""
    chain: tuple[bytes, ...] = ()
    """The certificates that the peer sent (DER), its own first, whoever vouches for them. Of a
    client its own alone."""
    channel_bindings: tuple[tuple[str, bytes], ...] = ()
    """(type, data) usable by SCRAM-PLUS: `tls-exporter`, `tls-server-end-point`, `tls-unique`."""


class Client(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is on the other end of a received session."""

    ip: str
    """IPv4 or IPv6 text; empty for a Unix socket."""
    port: int = 0
    name: str = ""
    """Its name in the DNS, if looked up and confirmed."""
    helo: str = ""
    login: str = ""
    tls: Tls | None = None
    protocol: str = "SMTP"
    """The `with` keyword: SMTP, ESMTP, ESMTPS, ESMTPSA, UTF8SMTPSA, LMTP … (RFC 3848, 6531)."""
    role: str = "mx"
    """The port's role: mx, submission, submissions, lmtp; `local` for sendmail and our own."""

    def introduced(self, helo: str, login: str, *, extended: bool) -> "Client":
        """The same by the name it says and the login it proved; `protocol` follows from them."""
        protocol = _protocol(self.role, extended, is_secure=bool(self.tls), has_login=bool(login))
        return structs.replace(self, helo=helo, login=login, protocol=protocol)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What a name or an address literal is made of. All else that a stranger says becomes `?`, so that
# no HELO opens a comment, ends a clause or begins a line.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:\[\]-]")


@lru_cache(maxsize=4)
def date_time(second: int) -> str:
    """A date-time of RFC 5322 §3.3 in UTC. The same for a second's mail, so it is kept."""
    at = datetime.fromtimestamp(second, UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day} {month} {at.year} {at:%H:%M:%S} +0000"


def received(client: Client, envelope: Envelope, by: str, message: str, at: float) -> bytes:
    """The Received field that this host puts on top (RFC 5321 §4.4), CRLF included."""
    # RFC 6710 registers the clause.
    priority = f" priority {envelope.priority}" if envelope.priority else ""
    tls = _tls(client.tls) if client.tls else ""
    return (
        f"Received: {_from(client.ip, client.helo, client.name)}"
        f"by {by}{_with(client.protocol, envelope.smtputf8)}\r\n"
        f"\tid {message}{_for(envelope)}{priority}{tls};\r\n"
        f"\t{date_time(int(at))}\r\n"
    ).encode()


# The same for all messages of a session, and of whoever comes often.
@lru_cache(maxsize=1024)
def _from(ip: str, helo: str, name: str) -> str:
    if not ip and not helo:
        return ""  # made on this host: there is no "from"
    said = _clean(helo) or "unknown"
    if not ip:
        return f"from {said}\r\n\t"
    literal = f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
    known = f"{_clean(name)} " if name else ""
    return f"from {said} ({known}{literal})\r\n\t"


# RFC 3848; plain HELO is SMTP, whatever carries it.
def _protocol(role: str, extended: bool, *, is_secure: bool, has_login: bool) -> str:
    if role != "lmtp" and not extended:
        return "SMTP"
    name = "LMTP" if role == "lmtp" else "ESMTP"
    return name + ("S" if is_secure else "") + ("A" if has_login else "")


def _with(protocol: str, smtputf8: bool) -> str:
    if not protocol:
        return ""
    # RFC 6531 §4.3: UTF8SMTP and UTF8LMTP take the place of ESMTP and LMTP.
    return f" with UTF8{protocol.removeprefix('E')}" if smtputf8 else f" with {protocol}"


def _for(envelope: Envelope) -> str:
    # More than one would show blind copies to all (RFC 5321 §7.2).
    if len(envelope.recipients) != 1:
        return ""
    address = str(envelope.recipients[0].address)
    if not address.isprintable() or not (address.isascii() or envelope.smtputf8):
        return ""
    return f"\r\n\tfor <{address}>"


def _tls(tls: Tls) -> str:
    # RFC 8314 §4.3 wants the registered name of the suite; older versions have OpenSSL's only.
    if tls.cipher.startswith("TLS_"):
        return f"\r\n\t({_clean(tls.version)}) tls {_clean(tls.cipher)}"
    return f"\r\n\t({_clean(tls.version)} {_clean(tls.cipher)})"


def _clean(text: str) -> str:
    return _NOT_IN_A_NAME.sub("?", text[:255])
