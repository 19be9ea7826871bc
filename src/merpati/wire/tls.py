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
import os
import ssl
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from merpati.mail.trace import Tls
from merpati.wire.errors import TlsError, from_tls_error

PIECE = 16 * 1024
"""Octets that the largest TLS record carries (RFC 8446 §5.1)."""
_HEADER = 5  # Type, version, and the length of what follows in two octets.
# With none, a STARTTLS client without TCP_NODELAY waits 44 ms for its first reply.
_TICKETS = 1


class Identity(ssl.SSLContext):
    """A server's certificate with its chain and its key, ready for handshakes."""

    end_point: bytes = b""
    """Its tls-server-end-point (RFC 5929 §4.1)."""
    pem: tuple[bytes, bytes] = (b"", b"")
    """Chain and key that it was made of."""


Choose = Callable[[str], Identity]
"""What to show to a client that asks for this name; empty for one that asks for none. It must not
raise, and is called in the middle of a handshake."""


def unraisable(told: "sys.UnraisableHookArgs") -> None:
    """For `sys.unraisablehook`: what is told of exceptions that nobody can catch.

    A client that asks for a name beyond ASCII, which RFC 6066 §3 does not allow, is refused before
    we are asked, and Python would write a trace of it: no stranger fills the log by that.
    """
    if not (isinstance(told.exc_value, UnicodeDecodeError) and isinstance(told.object, bytes)):
        sys.__unraisablehook__(told)


class TlsContext:
    """What one side brings to its handshakes.

    A server's shows an identity of its own for each name that clients ask for (SNI, RFC 6066 §3).
    Sessions that stand keep the one they began with, whatever is offered later.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.asking: dict[bool, TlsContext] = {}
        """The same for doors that ask for a certificate; True: who shows none gets no session."""
        self._choose: Choose | None = None

    def offer(self, choose: Choose) -> None:
        """Choose so from the next handshake on, at the doors that ask as well."""
        self._choose = choose
        self.context.sni_callback = _answer(choose)
        for one in self.asking.values():
            one.offer(choose)

    def renew(self) -> None:
        """Write session tickets by a new key from the next handshake on, and forget the one before
        (RFC 5077 §5.5): it could open whatever was said in sessions of TLS 1.2 that had a ticket.

        OpenSSL keeps the key in the context and Python has no way to it, so that no other process
        knows it, and who comes with a ticket of before gets a whole handshake.
        """
        fresh = self._fresh()
        if self._choose is not None:
            fresh.sni_callback = _answer(self._choose)
        self.context = fresh
        for one in self.asking.values():
            one.renew()

    def _fresh(self) -> ssl.SSLContext:
        """As ours, with a key of its own."""
        return _server_side()

    def trust(self, authorities: Path | None) -> None:
        """Ask for certificates of these authorities, or raise TlsError and change nothing.

        It is a PEM file, with their lists of revoked ones (CRL) if there are any. Doors keep the
        contexts in `asking` that they were given: what is within is exchanged, so that an authority
        that was taken out vouches for nobody, not even in sessions that are resumed.
        """
        if authorities is None:
            return
        made = {required: _Asking(authorities, required) for required in (False, True)}
        for required, asking in made.items():
            kept = self.asking.setdefault(required, asking)
            if isinstance(kept, _Asking):
                kept.become(asking)
            if self._choose is not None:
                kept.offer(self._choose)


def _answer(choose: Choose) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    def answer(session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        # OpenSSL asks for every handshake, also where the client has named nothing. Tickets
        # stay those of the context in front, so sessions are resumed after a change as well.
        session.context = choose(name or "")

    return answer


class _Asking(TlsContext):
    """Of a door that asks. OpenSSL takes the authorities from the identity that is shown, so each
    has a twin that knows them."""

    def __init__(self, authorities: Path, required: bool) -> None:
        self._twins: WeakKeyDictionary[Identity, Identity] = WeakKeyDictionary()
        self._required = required
        try:
            self._authorities = authorities.read_bytes()
            super().__init__(self._fresh())
        except ssl.SSLError as error:
            raise TlsError(f"{authorities}: no certificates of authorities") from error
        except OSError as error:
            raise TlsError(f"{authorities}: {error.strerror}") from error

    def _fresh(self) -> ssl.SSLContext:
        context = _server_side()
        _trust(context, self._authorities)
        context.verify_mode = ssl.CERT_REQUIRED if self._required else ssl.CERT_OPTIONAL
        if b"-----BEGIN X509 CRL-----" in self._authorities:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context

    def become(self, other: "_Asking") -> None:
        self.context, self._authorities = other.context, other._authorities
        self._twins = WeakKeyDictionary()

    def offer(self, choose: Choose) -> None:
        super().offer(lambda name: self._twin(choose(name)))

    def _twin(self, identity: Identity) -> Identity:
        if (twin := self._twins.get(identity)) is None:
            twin = load_identity(*identity.pem, "of a door that asks")
            _trust(twin, self._authorities)
            self._twins[identity] = twin
        return twin


def _trust(context: ssl.SSLContext, authorities: bytes) -> None:
    with _in_memory(authorities) as path:
        context.load_verify_locations(path)


def _server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    context.num_tickets = _TICKETS
    return context


def load_identity(chain: bytes, key: bytes, name: str) -> Identity:
    """From PEM texts; `name` is for the TlsError that says why they cannot be used."""
    identity = Identity(ssl.PROTOCOL_TLS_SERVER)
    _harden(identity)
    identity.num_tickets = _TICKETS
    try:
        with _in_memory(chain) as first, _in_memory(key) as second:
            # With a password nobody is asked for one, be the key encrypted or not.
            identity.load_cert_chain(first, second, password="")
        identity.pem = (chain, key)
        identity.end_point = server_end_point(ssl.PEM_cert_to_DER_cert(first_certificate(chain)))
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise TlsError(f"certificate {name}: {reason}") from error
    except (OSError, ValueError) as error:
        raise TlsError(f"certificate {name}: {error}") from error
    return identity


@contextmanager
def _in_memory(octets: bytes) -> Iterator[str]:
    """A path that leads to these octets and touches no disk: OpenSSL takes keys from files alone,
    and what was checked has to be what is used."""
    descriptor = os.memfd_create("pem")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(octets)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def server_context() -> TlsContext:
    """For a server: TLS 1.2 and later, no renegotiation, one session ticket. It has nothing to show
    before `offer`."""
    return TlsContext(_server_side())


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What we show to servers that ask who we are."""

    # Either may be a file with both in it: neither is shown to anybody who looks at a route.
    chain: bytes = field(repr=False)
    """PEM, our own first."""
    key: bytes = field(repr=False)

    def use_in(self, context: ssl.SSLContext) -> None:
        """Show it in handshakes of this context. TlsError when it cannot be used."""
        try:
            with _in_memory(self.chain) as first, _in_memory(self.key) as second:
                context.load_cert_chain(first, second, password="")
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise TlsError(f"client certificate: {reason}") from error


def client_context(
    verify: bool = True,
    authorities: Path | None = None,
    certificate: ClientCertificate | None = None,
) -> TlsContext:
    """For a client. Not verifying is opportunistic TLS: better than plain text, proves nothing.

    A server's name has to stand in subjectAltName. TlsError when the certificate cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    # RFC 8461 §3.3 and §4.2, RFC 9110 §4.3.4, RFC 9525 §2: the common name is no name of a host.
    # OpenSSL would take it where there is no other.
    context.hostname_checks_common_name = False
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is not None:
        context.load_verify_locations(authorities)
    else:
        context.load_default_certs()
    if certificate is not None:
        certificate.use_in(context)
    return TlsContext(context)


def _harden(context: ssl.SSLContext) -> None:
    # RFC 8996 retires TLS 1.0 and 1.1; renegotiation is CVE-2009-3555 and a way to burn our CPU.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE


def first_certificate(pem: bytes) -> str:
    """The first certificate of a chain in PEM: the server's own."""
    text = pem.decode("ascii", "replace")
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    return text[begin : end + len(ssl.PEM_FOOTER)]


def server_end_point(der: bytes) -> bytes:
    """The channel binding of a server's certificate (RFC 5929 §4.1), or b"" where undefined."""
    try:
        # What a stranger's certificate has that one should not have is no line of our log.
        with warnings.catch_warnings(action="ignore"):
            algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
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
        if end_point := self._own_end_point() or self._peer_end_point():
            bindings.append(("tls-server-end-point", end_point))
        # RFC 9266 §4: tls-unique is not defined for TLS 1.3.
        unique = self._tls.get_channel_binding("tls-unique")
        if unique and self._tls.version() == "TLSv1.2":
            bindings.append(("tls-unique", unique))
        return bindings

    def _own_end_point(self) -> bytes:
        chosen = self._tls.context
        return chosen.end_point if isinstance(chosen, Identity) else b""

    def _peer_end_point(self) -> bytes:
        der = self._tls.getpeercert(binary_form=True)
        return server_end_point(der) if der else b""
