"""Passwords as they are kept, and the check of one against them.

All secrets of one account share a salt. So one hash tells which of them was given, an account
with ten app passwords takes no longer than one that does not exist, and a SCRAM client, which is
told one salt, can use any of them.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from argon2.low_level import Type, hash_secret

from merpati.directory.directory import Secret
from merpati.smtp.sasl.preparation import password_of

SCRAM_ITERATIONS = 4096
"""RFC 7677 §4: at least 4,096."""

_SALT = 16
_HASH = 32
# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 25 ms.
_MEMORY_KIB, _PASSES, _LANES = 19_456, 2, 1
# RFC 5802 §3.
_CLIENT_KEY, _SERVER_KEY = b"Client Key", b"Server Key"


def make_secret(
    name: str, password: str, entropy: Callable[[int], bytes], like: Secret | None = None
) -> Secret:
    """Prepare a password (SASLprep) and hash it. `entropy` is `os.urandom`.

    `like` is any secret that the account has already: the new one shares its salt. Raises
    SaslError for a password that is empty, too long or holds control characters.
    """
    password = password_of(password)
    salt = like.scram_salt if like else entropy(_SALT)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, _CLIENT_KEY, "sha256")
    return Secret(
        name=name,
        argon2=_hash(password, salt),
        scram_salt=salt,
        scram_iterations=SCRAM_ITERATIONS,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=hmac.digest(salted, _SERVER_KEY, "sha256"),
    )


def find_secret(secrets: Sequence[Secret], password: str) -> Secret | None:
    """The secret that this prepared password is. Takes as long for nobody as for somebody."""
    computed: dict[bytes, str] = {}
    found = None
    for secret in secrets:
        salt = secret.scram_salt
        if salt not in computed:
            computed[salt] = _hash(password, salt)
        if hmac.compare_digest(computed[salt], secret.argon2):
            found = secret
    if not computed:
        _hash(password, bytes(_SALT))
    return found


def _hash(password: str, salt: bytes) -> str:
    octets = hash_secret(
        password.encode(), salt, _PASSES, _MEMORY_KIB, _LANES, hash_len=_HASH, type=Type.ID
    )
    return octets.decode("ascii")
