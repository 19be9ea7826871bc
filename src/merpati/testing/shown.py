"""What a server shows that has one certificate for everybody."""

from pathlib import Path

from merpati.wire.tls import Identity, TlsContext, load_identity, server_context


def identity_of(certificate: Path, key: Path) -> Identity:
    """From PEM files, which may be one; TlsError when they do not fit."""
    return load_identity(certificate.read_bytes(), key.read_bytes(), f"{certificate} with {key}")


def showing(certificate: Path, key: Path, authorities: Path | None = None) -> TlsContext:
    """Whoever connects is shown this; with `authorities` it has `asking` as well."""
    identity, tls = identity_of(certificate, key), server_context()
    tls.trust(authorities)
    tls.offer(lambda _: identity)
    return tls
