"""Private keys in the data directory: whether each loads, and belongs to what it is for.

A key that the disk has damaged is met when it is needed: mail leaves unsigned, or no TLS is to be
had. `merpati verify` meets it before.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from merpati.authenticity.dkim.keypair import KeyPair, KeyPairError
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import digest_of, read_key
from merpati.config.places import Places
from merpati.storage.finding import Damage, Finding
from merpati.storage.inspection import Seen

NO_CERTIFICATE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""What cryptography says of octets that are no certificate, or of a kind that it does not know."""


def dkim_flaw(record: str, private: object) -> str:
    """What is wrong with a key that signs mail; empty for nothing. RSA takes 40 ms."""
    if not isinstance(private, bytes):
        return "is gone"
    try:
        pair = KeyPair.from_pem(private)
    except KeyPairError as error:
        return f"cannot be used: {error}"
    is_its = _public(pair.record.decode()) == _public(record)
    return "" if is_its else "is not the one that its record tells of"


def _public(record: str) -> str:
    return record.rpartition("p=")[2]


def verify_certificates(places: Places, seen: Seen) -> Iterator[tuple[Path, Finding]]:
    """Certificates with their keys, each in its file: from a CA, and of our own making."""
    folder = places.certificates
    pairs = [(file, file) for file in sorted(folder.glob("*.pem"))]
    if places.certificate.exists():
        pairs.append((places.certificate, places.key))
    for file, key in pairs:
        seen("keys", 1)
        if why := _pair_flaw(file, key):
            yield file, Finding(Damage.CERTIFICATE, why)
    for file in sorted(folder.glob("*.next")):
        seen("keys", 1)
        if why := _key_flaw(file):
            yield file, Finding(Damage.CERTIFICATE, f"the key that is to follow: {why}")


def _pair_flaw(file: Path, key: Path) -> str:
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
        is_its = digest_of(chain[0]) == digest_of(read_key(key.read_bytes()))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (*NO_CERTIFICATE, IssueError) as error:
        return f"cannot be used: {error}"
    return _chain_flaw(chain, is_own=file != key) if is_its else "its key is another certificate's"


def _chain_flaw(chain: Sequence[x509.Certificate], *, is_own: bool) -> str:
    """Each is signed by the next; the last one by a CA that is not here, or `is_own`, by itself."""
    issuers = [*chain[1:], chain[-1]] if is_own else chain[1:]
    try:
        for one, issuer in zip(chain, issuers, strict=False):
            one.verify_directly_issued_by(issuer)
    except (*NO_CERTIFICATE, InvalidSignature):
        return "cannot be used: a signature in it does not match"
    return ""


def _key_flaw(file: Path) -> str:
    try:
        read_key(file.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except IssueError as error:
        return f"cannot be used: {error}"
    return ""
