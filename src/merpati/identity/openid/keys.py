"""The keys of a provider (RFC 7517), and whether one of them has signed a token (RFC 7515).

RFC 8725: the algorithm is one of a list of ours, all with public keys, and belongs to the kind of
key that is used with it; what the token says of itself chooses nothing else. Keys in its header
(jwk, jku, x5c) are not looked at.
"""

import base64
import binascii
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from merpati.identity.errors import IdentityUnavailable

_Kind = type[RSAKey | ECKey | OKPKey]
_KINDS: dict[str, _Kind] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_CURVES = {"", "P-256", "P-384", "P-521", "Ed25519"}
_ALGORITHMS: dict[str, _Kind] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSAKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), ECKey),
    # RFC 9864 gives EdDSA with this curve the second name.
    **dict.fromkeys(("EdDSA", "Ed25519"), OKPKey),
}
_LEAST_RSA_BITS = 2048
MAX_KEYS = 100
_MAX_TRIED = 10
"""Keys that are tried for a token that names none."""


class _Registry(jws.JWSRegistry):
    max_header_length = 4096  # Some have a chain of certificates in it.


_REGISTRY = _Registry(algorithms=_ALGORITHMS.keys(), strict_check_header=False)


class Header(msgspec.Struct, frozen=True):
    """What we look at of a token's header (RFC 7515 §4)."""

    alg: str
    kid: str = ""
    typ: str = ""
    crit: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One public key for signatures."""

    kid: str
    alg: str
    """The only algorithm it is for; empty: any of its kind."""
    key: RSAKey | ECKey | OKPKey

    def is_for(self, header: Header) -> bool:
        """Whether it may have signed a token with this header."""
        kind = _ALGORITHMS.get(header.alg)
        return (
            kind is not None
            and isinstance(self.key, kind)
            and self.alg in {"", header.alg}
            and (not header.kid or self.kid == header.kid)
        )


class _Jwk(msgspec.Struct):
    kty: str
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""

    @property
    def public(self) -> dict[str, str | list[str]]:
        """The members of a public key (RFC 7518 §6), and no private ones."""
        members = {"kty": self.kty, "n": self.n, "e": self.e, "crv": self.crv, "x": self.x}
        return {name: text for name, text in {**members, "y": self.y}.items() if text}


class _Jwks(msgspec.Struct):
    keys: list[msgspec.Raw]


def read_keys(document: bytes) -> list[Key]:
    """The keys of a set that are for signatures; others, and those that cannot be read, are passed
    over (RFC 7517 §5). Raises IdentityUnavailable for what is no set."""
    try:
        found = msgspec.json.decode(document, type=_Jwks).keys
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise IdentityUnavailable("the provider's keys are no JWKS") from None
    keys = (_read_key(raw) for raw in found[:MAX_KEYS])
    return [key for key in keys if key is not None]


def _read_key(raw: msgspec.Raw) -> Key | None:
    try:
        said = msgspec.json.decode(raw, type=_Jwk)
        if said.use != "sig" or said.kty not in _KINDS or said.crv not in _CURVES:
            return None
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            key = _KINDS[said.kty].import_key(said.public)
        if isinstance(key, RSAKey) and key.raw_value.key_size < _LEAST_RSA_BITS:
            return None
    except (msgspec.MsgspecError, JoseError, RecursionError, ValueError, TypeError, KeyError):
        return None
    return Key(said.kid, said.alg, key)


def read_header(token: str) -> Header | None:
    """The header of a signed JWT; None for whatever else."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        padding = "=" * (-len(parts[0]) % 4)
        octets = base64.b64decode(parts[0] + padding, altchars=b"-_", validate=True)
        return msgspec.json.decode(octets, type=Header)
    except (binascii.Error, msgspec.MsgspecError, RecursionError, ValueError):
        return None


def is_allowed(header: Header) -> bool:
    """Whether its algorithm is one of ours, and it asks for nothing that we do not know."""
    return header.alg in _ALGORITHMS and header.crit is None


def payload(token: str, header: Header, keys: Sequence[Key]) -> bytes | None:
    """What one of these keys has signed; None if none has. The header must be allowed."""
    for key in [key for key in keys if key.is_for(header)][:_MAX_TRIED]:
        try:
            with warnings.catch_warnings(action="ignore", category=SecurityWarning):
                signed = jws.deserialize_compact(token, key.key, registry=_REGISTRY)
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
        return signed.payload or b""
    return None
