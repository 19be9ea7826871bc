"""What can go wrong between two hosts, in words fit for a person.

WireError                 the connection failed; `.cause` says how
├── WireTimeout           a wait reached its deadline
├── WireRefused           the other end is there and does not want us
├── WireUnreachable       no way leads there
├── WireLocal             this machine has no descriptor or memory left for it
├── WireLost              a connection that stood broke: reset, aborted, closed under us
├── WireTaken             an address or path that cannot be listened on
├── WebError              a document could not be had from a web server; `.flaw` says how
├── TlsError              the handshake or the encrypted stream failed
│   └── CertificateError  the peer's certificate is not good for its name
└── ProxyError            a PROXY protocol header that is malformed, too long or missing

Errors of asyncio, sockets and OpenSSL are mapped here and nowhere else.
"""

import errno
import ssl
from enum import Enum

from merpati.errors import MerpatiError


class WireError(MerpatiError):
    """The connection failed."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class WireTimeout(WireError):
    """A wait reached its deadline."""


class WireRefused(WireError):
    """The other end is there and does not want us."""


class WireUnreachable(WireError):
    """No way leads there."""


class WireLocal(WireError):
    """This machine has no descriptor or memory left for it; the other end was not asked."""


class WireLost(WireError):
    """A connection that stood broke."""


class WireTaken(WireError):
    """An address or path that cannot be listened on."""


class WebFlaw(Enum):
    """Why a document is not taken that a host should have."""

    NOWHERE = "nowhere"
    """The host has no address."""
    INSIDE = "inside"
    """One of its addresses is not on the Internet."""
    REDIRECT = "redirect"
    ABSENT = "absent"
    STATUS = "status"
    """Any other answer than 200."""
    TYPE = "type"
    """Of another media type."""
    LENGTH = "length"


class WebError(WireError):
    """A document could not be had from a web server."""

    def __init__(self, cause: str, flaw: WebFlaw) -> None:
        super().__init__(cause)
        self.flaw = flaw


class TlsError(WireError):
    """The handshake or the encrypted stream failed."""


class CertificateFlaw(Enum):
    """What is wrong with a certificate."""

    NAME = "name"
    """It is for others."""
    TIME = "time"
    """It is over, or not yet good."""
    AUTHORITY = "authority"
    """Nobody whom we trust vouches for it."""
    OTHER = "other"


class CertificateError(TlsError):
    """The peer's certificate is not good for its name."""

    def __init__(self, cause: str, flaw: CertificateFlaw = CertificateFlaw.OTHER) -> None:
        super().__init__(cause)
        self.flaw = flaw


class ProxyError(WireError):
    """A PROXY protocol header that is malformed, too long or missing."""


_LOST = {
    errno.ECONNRESET: "the connection was reset by the other end",
    errno.EPIPE: "the other end closed the connection",
    errno.ECONNABORTED: "the connection was aborted",
    errno.ENOTCONN: "the connection is closed",
}
_UNREACHABLE = {
    errno.ENETUNREACH: "the network is unreachable",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETDOWN: "the network is down",
    errno.EHOSTDOWN: "the host is down",
    errno.EADDRNOTAVAIL: "this source address is not available here",
    errno.EAFNOSUPPORT: "this address family is not supported here",
    errno.ENOENT: "the socket does not exist",
}
_LOCAL = {
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
    errno.ENOBUFS: "this machine has no buffer space left",
    errno.ENOMEM: "this machine has no memory left",
}
_BY_NUMBER: tuple[tuple[type[WireError], dict[int, str]], ...] = (
    (WireLocal, _LOCAL),
    (WireUnreachable, _UNREACHABLE),
    (WireLost, _LOST),
)


def from_os_error(error: BaseException) -> WireError:
    """The WireError for what a socket, asyncio or uvloop raised."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ETIMEDOUT or isinstance(error, TimeoutError):
        return WireTimeout("the other end did not answer in time")
    if number == errno.ECONNREFUSED or isinstance(error, ConnectionRefusedError):
        return WireRefused("the connection was refused")
    for kind, texts in _BY_NUMBER:
        if number in texts:
            return kind(texts[number])
    if isinstance(error, ConnectionError):
        return WireLost("the connection was lost")
    return WireError(str(error) or type(error).__name__)


# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_FLAWS = {
    **dict.fromkeys((2, 18, 19, 20, 21, 27), CertificateFlaw.AUTHORITY),
    **dict.fromkeys((9, 10), CertificateFlaw.TIME),
    **dict.fromkeys((62, 64), CertificateFlaw.NAME),
}
MISSING_CERTIFICATE = "peer did not return a certificate"
"""OpenSSL's words within the cause of a TlsError: the client was to show one."""


def from_tls_error(error: ssl.SSLError) -> TlsError:
    """The TlsError for what OpenSSL raised."""
    if isinstance(error, ssl.SSLCertVerificationError):
        flaw = _FLAWS.get(error.verify_code, CertificateFlaw.OTHER)
        return CertificateError(f"the certificate was not accepted: {error.verify_message}", flaw)
    # A reason of OpenSSL reads WRONG_VERSION_NUMBER; plain text instead of TLS gives that one.
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return TlsError(f"TLS failed: {reason}")
