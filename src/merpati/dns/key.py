"""A key that signs what we tell a name server (TSIG, RFC 8945), in a file of BIND's form."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from merpati.errors import MerpatiError

MAX_FILE = 10_000
"""Octets; a key takes 200."""
_OTHERS = 0o007
_LEAST = 16
"""Octets of a secret; whoever can guess it can change the zone."""


class KeyFileError(MerpatiError):
    """The file is not one key that can be used; says why, and nothing of the secret."""


class Algorithm(Enum):
    """Those that are safe (RFC 8945 §6), as BIND writes them."""

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA384 = "hmac-sha384"
    HMAC_SHA512 = "hmac-sha512"


@dataclass(frozen=True, slots=True)
class TsigKey:
    """Its name is known to the server; the secret is shown in no text."""

    name: str
    algorithm: Algorithm
    secret: bytes = field(repr=False)


# https://bind9.readthedocs.io/en/stable/reference.html#key-block-grammar, with three comments.
_TOKEN = re.compile(r'//[^\n]*|#[^\n]*|/\*.*?\*/|"[^"\n]*"|[{};]|[^\s{};"]+', re.S)
_COMMENTS = ("//", "#", "/*")
_STATEMENT = re.compile(r"key (\S+) { (\S+) (\S+) ; (\S+) (\S+) ; } ;")


def key_of(file: Path) -> TsigKey:
    """The key that a file has. Raises KeyFileError, which names the file, also where every user of
    this machine can read it."""
    try:
        if file.stat().st_mode & _OTHERS:
            raise KeyFileError(f"every user of this machine can use it. Run: chmod 600 {file}")
        with file.open("rb") as content:
            return read_key(content.read(MAX_FILE + 1).decode("ascii", "replace"))
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read: {error.strerror}") from error
    except KeyFileError as error:
        raise KeyFileError(f"{file}: {error}") from error


def read_key(text: str) -> TsigKey:
    """The one key of a file as `tsig-keygen` and `ddns-confgen` write it. Raises KeyFileError."""
    tokens = (one for one in _TOKEN.findall(text[:MAX_FILE]) if not one.startswith(_COMMENTS))
    statement = _STATEMENT.fullmatch(" ".join(one.strip('"') or "-" for one in tokens))
    if len(text) > MAX_FILE or not statement:
        raise KeyFileError(
            'is not one key as BIND has it: key "name" { algorithm …; secret "…"; };'
        )
    name, *pairs = statement.groups()
    said = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if said.keys() != {"algorithm", "secret"}:
        raise KeyFileError("does not say `algorithm` and `secret`, each once")
    return TsigKey(name.lower(), _algorithm(said["algorithm"]), _secret(said["secret"]))


def _algorithm(text: str) -> Algorithm:
    try:
        return Algorithm(text.lower().rstrip("."))
    except ValueError:
        known = ", ".join(one.value for one in Algorithm)
        raise KeyFileError(f"has another algorithm than {known}") from None


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyFileError("has a secret that is not in base64") from None
    if len(secret) < _LEAST:
        raise KeyFileError(f"has a secret of less than {_LEAST} octets")
    return secret
