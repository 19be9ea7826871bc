"""What a certificate lacks that nobody demanded anything of, had somebody.

OpenSSL tells that by ending the handshake. So the chain that a host sent is checked once more, by
another library and rules that are a little stricter (RFC 5280, and what public authorities agreed
on): once an hour for each chain, in a third of a millisecond. Those who connect again look it up.
"""

import datetime
import re
import ssl
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from merpati.wire.certificates import UNREADABLE
from merpati.wire.chain import MAX_COMPARISONS, Certificate, read_chain
from merpati.wire.errors import CertificateFlaw
from merpati.wire.trust import State, state_of

MAX_OCTETS = 16 * 1024
"""Of a chain that is checked; they are kept."""
MAX_CERTIFICATES = 6
_CHAINS = 128
"""How many are kept, with what was found."""
_HOUR = 3600
"""For which what was found holds; that a certificate has expired is seen at once."""
_MINUTE = 60
"""Between two looks whether the files of authorities have changed: one takes as long as all else
for a chain that is known."""
_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""Files in a folder of authorities that OpenSSL looks at."""


def flaws(
    chain: Sequence[bytes], name: str, now: float, authorities: Path | None = None
) -> tuple[CertificateFlaw, ...] | None:
    """What a certificate lacks to prove a host of this name; none: it would have been good.

    `chain` as the host sent it (DER), its own first; `now` in seconds since 1970; `authorities` a
    PEM file, or None for the system's. None: it was not looked at, since nothing was sent, it
    cannot be read or is larger than `MAX_OCTETS`, or the host has no name. Never raises.
    """
    if sum(map(len, chain)) > MAX_OCTETS or not _is_host(name):
        return None
    state = _state(authorities, int(now // _MINUTE))
    found = _looked_at(tuple(chain), int(now // _HOUR), authorities, state)
    if found is None:
        return None
    own, is_vouched_for = found
    lacks = {
        CertificateFlaw.NAME: not own.names_host(name),
        CertificateFlaw.TIME: not own.is_in_time(now),
        # Of one without a name the library does not say who vouches for it.
        CertificateFlaw.AUTHORITY: bool(own.host_names) and not is_vouched_for,
    }
    return tuple(flaw for flaw, is_true in lacks.items() if is_true)


def _is_host(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return bool(name)
    return False


@lru_cache(2)
def _state(authorities: Path | None, minute: int) -> State:
    return state_of(authorities)


@lru_cache(_CHAINS)
def _looked_at(
    chain: tuple[bytes, ...], hour: int, authorities: Path | None, state: State
) -> tuple[Certificate, bool] | None:
    certificates = read_chain(chain[:MAX_CERTIFICATES])
    if not certificates:
        return None
    return certificates[0], _is_vouched_for(certificates, hour * _HOUR, authorities, state)


def _is_vouched_for(
    chain: Sequence[Certificate], now: float, authorities: Path | None, state: State
) -> bool:
    """Whether authorities that we trust did so in its time: that it is over is a flaw by itself."""
    if sum(one.comparisons(chain[0].name_count) for one in chain[1:]) > MAX_COMPARISONS:
        return False
    own = chain[0].parsed
    at = datetime.datetime.fromtimestamp(now, datetime.UTC)
    at = min(max(at, own.not_valid_before_utc), own.not_valid_after_utc)
    try:
        policy = PolicyBuilder().store(_store(authorities, state)).time(at)
        policy = policy.extension_policies(ca_policy=_AUTHORITIES, ee_policy=_HOSTS)
        verifier = policy.build_server_verifier(x509.DNSName(_any_name(chain[0])))
        verifier.verify(own, [one.parsed for one in _between(chain)])
    except (VerificationError, OSError, TypeError, *UNREADABLE):
        return False
    return True


def _any_name(certificate: Certificate) -> str:
    """One that it is for: the library asks for names and authorities together, and we do not."""
    return next(iter(certificate.host_names), "").replace("*", "x")


def _between(chain: Sequence[Certificate]) -> Iterator[Certificate]:
    """One of each name, and none that signed itself: so there is one way up, and it ends."""
    names = {chain[0].parsed.subject}
    for one in chain[1:]:
        subject = one.parsed.subject
        if one.checks_soon and subject not in names and subject != one.parsed.issuer:
            names.add(subject)
            yield one


def _serves(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise ValueError("a certificate for something else")


_AUTHORITIES = ExtensionPolicy.webpki_defaults_ca()
# Of a host's own OpenSSL asks for no more.
_HOSTS = (
    ExtensionPolicy.permit_all()
    .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _serves)
)


@lru_cache(2)
def _store(authorities: Path | None, state: State) -> Store:
    """The authorities in the files as they are now. OSError; ValueError where there are none."""
    found: set[x509.Certificate] = set()
    for file in _files(authorities):
        for pem in _PEM.findall(file.read_bytes()):
            try:
                with warnings.catch_warnings(action="ignore"):
                    found.add(x509.load_pem_x509_certificate(pem))
            except UNREADABLE:
                continue  # Some lists have roots of long ago; who comes from them is not trusted.
    return Store(list(found))


def _files(authorities: Path | None) -> Iterator[Path]:
    if authorities is not None:
        yield authorities
        return
    known = ssl.get_default_verify_paths()
    if known.cafile:
        yield Path(known.cafile)
    if known.capath:
        yield from (one for one in Path(known.capath).iterdir() if _HASHED.fullmatch(one.name))
