"""Where a message came from: the facts that the Received field and the journal tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """What a TLS handshake agreed on."""

    version: str
    """As RFC 8314 names it in Received: `TLSv1.3`."""
    cipher: str
    verified: bool = False
    """The peer's certificate was checked and matches the name that was asked for."""
    peer_name: str = ""
    channel_bindings: tuple[tuple[str, bytes], ...] = ()
    """(type, data) usable by SCRAM-PLUS: `tls-exporter`, `tls-server-end-point`, `tls-unique`."""


@dataclass(frozen=True, slots=True)
class Client:
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
