"""TLS as a filter over octets: no socket, no transport, no event loop.

OpenSSL works between two memory buffers. What arrives goes in one record (16 KiB) at a time and is
decrypted at once, so that its buffers stay small: uvloop's own TLS keeps 650 KiB for every
connection that once carried a large message. Because a filter is put in front of a connection
that stays what it was, nothing is swapped at STARTTLS, and no octet can slip through between the
plain and the encrypted part.

Channel bindings (RFC 5929): `tls-server-end-point` for every version and `tls-unique` for TLS 1.2.
Python's ssl cannot export keying material, so `tls-exporter` (RFC 9266) is not offered.
"""

import _ssl
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from merpati.mail.trace import Tls
from merpati.wire.errors import TlsError, from_tls_error

PIECE = 16 * 1024
"""Octets that the largest TLS record carries (RFC 8446 §5.1)."""
_HEADER = 5  # Type, version, and the length of what follows in two octets.


class TlsContext:
    """What one side brings to its handshakes. Sessions that stand are not touched by a reload."""

    def __init__(self, context: ssl.SSLContext, end_point: bytes = b"") -> None:
        self.context = context
        self.end_point = end_point
        """The tls-server-end-point of our own certificate; empty on the client's side."""
        self.asking: dict[bool, TlsContext] = {}
        """The same for doors that ask for a certificate; True: who shows none gets no session."""

    def reload(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        """Use this certificate (chain) and key for new handshakes, or raise TlsError.

        `authorities` is the PEM file of those whose certificates clients may show, with their
        lists of revoked ones (CRL) if there are any. The pair is tried on a context of its own
        first: load_cert_chain takes the certificate in before it finds that the key does not fit.
        """
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
        end_point = server_end_point(ssl.PEM_cert_to_DER_cert(first_certificate(certificate)))
        asking = _asking_contexts((certificate, key), authorities) if authorities else {}
        load_pair(self.context, certificate, key)
        self.end_point = end_point
        for required, context in asking.items():
            # Its doors keep what they were given: what is within is exchanged, so that an authority
            # that was taken out vouches for nobody, not even in sessions that are resumed.
            kept = self.asking.setdefault(required, TlsContext(context))
            kept.context, kept.end_point = context, end_point


def server_context(certificate: Path, key: Path, authorities: Path | None = None) -> TlsContext:
    """For a server: TLS 1.2 and later, no renegotiation, one session ticket.

    With `authorities` of clients it has `asking` for the doors that want to know them.
    """
    tls = TlsContext(_server_side())
    tls.reload(certificate, key, authorities)
    return tls


def _server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    # With none, a STARTTLS client without TCP_NODELAY waits 44 ms for its first reply.
    context.num_tickets = 1
    return context


def _asking_contexts(pair: tuple[Path, Path], authorities: Path) -> dict[bool, ssl.SSLContext]:
    return {required: _asking_context(pair, authorities, required) for required in (False, True)}


def _asking_context(pair: tuple[Path, Path], authorities: Path, required: bool) -> ssl.SSLContext:
    context = _server_side()
    load_pair(context, *pair)
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(authorities)
        has_revoked = "-----BEGIN X509 CRL-----" in authorities.read_text("ascii", "replace")
    except ssl.SSLError as error:
        raise TlsError(f"{authorities}: no certificates of authorities") from error
    except OSError as error:
        raise TlsError(f"{authorities}: {error.strerror}") from error
    if has_revoked:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(verify: bool = True, authorities: Path | None = None) -> TlsContext:
    """For a client. Not verifying is opportunistic TLS: better than plain text, proves nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is not None:
        context.load_verify_locations(authorities)
    else:
        context.load_default_certs()
    return TlsContext(context)


def _harden(context: ssl.SSLContext) -> None:
    # RFC 8996 retires TLS 1.0 and 1.1; renegotiation is CVE-2009-3555 and a way to burn our CPU.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """load_cert_chain with errors that name the file."""
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise TlsError(f"certificate {certificate} with key {key}: {reason}") from error
    except OSError as error:
        raise TlsError(f"certificate {certificate} with key {key}: {error.strerror}") from error


def first_certificate(path: Path) -> str:
    """The first PEM block of a chain: the server's own certificate."""
    text = path.read_text("ascii", "replace")
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    return text[begin : end + len(ssl.PEM_FOOTER)]


def server_end_point(der: bytes) -> bytes:
    """The channel binding of a server's certificate (RFC 5929 §4.1), or b"" where undefined."""
    try:
        algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if algorithm is None:
        return b""  # Ed25519: RFC 5929 defines the binding for signatures with one hash only.
    if algorithm.name in {"md5", "sha1"}:
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(der)
    return digest.finalize()


def _record_end(octets: memoryview, start: int) -> int:
    """Where the record that begins at `start` ends; behind the octets while it is not known."""
    if len(octets) - start < _HEADER:
        return len(octets) + 1
    return start + _HEADER + int.from_bytes(octets[start + 3 : start + _HEADER], "big")


class TlsFilter:
    """One side of one TLS session."""

    def __init__(self, tls: TlsContext, server_side: bool, server_name: str | None) -> None:
        self._own_end_point = tls.end_point
        self._verify_mode = tls.context.verify_mode
        self._server_side = server_side
        self._server_name = server_name or ""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=None if server_side else server_name,
        )
        self._held = b""
        self.ended = False
        """The other side said close_notify: its orderly end."""

    def handshake(self, octets: bytes) -> bool:
        """Feed what arrived; True when the session stands; then `decrypt(b"")` has the rest."""
        self._incoming.write(octets)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise from_tls_error(error) from error
        self._held = self._incoming.read()  # It takes no more than the record it works on.
        return True

    def decrypt(self, octets: bytes | memoryview) -> bytes:
        """Feed what arrived; the plain octets that became readable by it.

        OpenSSL gets whole records: asking it for more than it has raises an exception, which
        costs as much as it does to decrypt several KiB.
        """
        held = memoryview(self._held + octets if self._held else octets)
        pieces: list[bytes] = []
        start = 0
        while (end := _record_end(held, start)) <= len(held):
            self._incoming.write(held[start:end])
            self._read_into(pieces)
            start = end
        self._held = bytes(held[start:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_into(self, pieces: list[bytes]) -> None:
        try:
            # Asking first saves the exception that an empty buffer would raise.
            while self._incoming.pending or self._tls.pending():
                piece = self._tls.read(PIECE)
                if not piece:
                    self.ended = True
                    self._incoming.read()  # Nothing behind close_notify counts (RFC 8446 §6.1).
                    return
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            raise from_tls_error(error) from error

    def encrypt(self, octets: bytes) -> bytes:
        """The records that carry these octets."""
        try:
            self._tls.write(octets)
        except ssl.SSLError as error:
            raise from_tls_error(error) from error
        return self._outgoing.read()

    def take(self) -> bytes:
        """What TLS itself wants to send: handshake, tickets, alerts, key updates."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def goodbye(self) -> bytes:
        """Our close_notify. The other side's is not waited for."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Want-read says that ours is written and theirs is missing. Any other failure leaves
            # nothing to say to a session that is already broken.
            return self.take()
        return self.take()

    def facts(self) -> Tls:
        """What the handshake agreed on."""
        cipher = self._tls.cipher()
        return Tls(
            version=self._tls.version() or "",
            cipher=cipher[0] if cipher else "",
            verified=self._verified,
            peer_name=self._server_name,
            chain=self._chain(),
            channel_bindings=tuple(self._channel_bindings()),
        )

    @property
    def _verified(self) -> bool:
        if self._server_side and self._verify_mode != ssl.CERT_NONE:
            return bool(self._tls.getpeercert(binary_form=True))  # It may have shown none.
        return self._verify_mode == ssl.CERT_REQUIRED

    def _chain(self) -> tuple[bytes, ...]:
        if self._server_side:
            shown = self._tls.getpeercert(binary_form=True)
            return (shown,) if shown else ()
        # Public from Python 3.13 on, where it gives octets; before, what is beneath has it.
        beneath = getattr(self._tls, "_sslobj", None)
        sent = getattr(beneath, "get_unverified_chain", lambda: None)() or ()
        return tuple(one.public_bytes(_ssl.ENCODING_DER) for one in sent)

    def _channel_bindings(self) -> list[tuple[str, bytes]]:
        bindings = []
        end_point = self._own_end_point or self._peer_end_point()
        if end_point:
            bindings.append(("tls-server-end-point", end_point))
        # RFC 9266 §4: tls-unique is not defined for TLS 1.3.
        unique = self._tls.get_channel_binding("tls-unique")
        if unique and self._tls.version() == "TLSv1.2":
            bindings.append(("tls-unique", unique))
        return bindings

    def _peer_end_point(self) -> bytes:
        der = self._tls.getpeercert(binary_form=True)
        return server_end_point(der) if der else b""
