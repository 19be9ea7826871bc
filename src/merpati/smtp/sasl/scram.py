"""SCRAM-SHA-256 and its PLUS form (RFC 5802, 7677): the password never travels.

client-first  gs2-header n=user,r=nonce          server-first  r=nonce+more,s=salt,i=count
client-final  c=binding,r=nonce+more,p=proof     server-final  v=signature

In SMTP the server-final goes as a challenge that the client answers with nothing (RFC 4954 §4).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from merpati.smtp.sasl.exchange import (
    Challenge,
    Decision,
    FetchKeys,
    Rejected,
    SaslError,
    ScramKeys,
    ServerSide,
    Step,
    Succeeded,
)
from merpati.smtp.sasl.preparation import decode, password_of, username_of
from merpati.smtp.sasl.turns import Turns

SHA_256 = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"

_DIGEST = "sha256"
# RFC 7677 §4 wants 4,096; more than a million is an attack on our time.
_MIN_ITERATIONS, _MAX_ITERATIONS = 4096, 1_000_000
# The strongest first (RFC 9266 §1, RFC 5929 §8).
_BINDING_TYPES = ("tls-exporter", "tls-unique", "tls-server-end-point")

# RFC 5802 §7: gs2-header = gs2-cbind-flag "," [authzid] ","
_CLIENT_FIRST = re.compile(
    r"(p=([A-Za-z0-9.-]{1,64})|[ny]),(?:a=([^,]*))?,(n=([^,]*),r=([!-+\--~]+))"
)
# client-final-message = channel-binding "," nonce "," proof
_CLIENT_FINAL = re.compile(r"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)),p=([A-Za-z0-9+/=]+)")
_SERVER_FIRST = re.compile(r"r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,6})")


def _decode64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("not base64") from None


def _encode64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _unescape(name: str) -> str:
    """saslname: `=2C` is a comma, `=3D` an equals sign, any other `=` is an error."""
    if "=" in name.replace("=2C", "").replace("=3D", ""):
        raise SaslError("a bare = in the username")
    return name.replace("=2C", ",").replace("=3D", "=")


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


@dataclass(frozen=True, slots=True)
class _Opening:
    """A client-first message, understood."""

    header: str
    flag: str
    binding_type: str
    username: str
    nonce: str
    bare: str


def _read_opening(octets: bytes) -> _Opening:
    text = decode(octets)
    found = _CLIENT_FIRST.fullmatch(text)
    if found is None:
        raise SaslError("not a client-first-message")
    flag, binding_type, authzid, bare, name, nonce = found.groups()
    username = username_of(_unescape(name))
    if authzid and _unescape(authzid) != username:
        raise SaslError("nobody may act for another")
    header = text[: found.start(4)]
    return _Opening(header, flag, binding_type or "", username, nonce, bare)


class ScramServer(Turns):
    """One login; `plus` is the mechanism with channel binding."""

    def __init__(self, side: ServerSide, *, plus: bool) -> None:
        super().__init__()
        self.mechanism = PLUS if plus else SHA_256
        self._side = side
        self._plus = plus
        self._bindings = dict(side.channel_bindings)
        self._opening: _Opening | None = None
        self._keys: tuple[ScramKeys, ...] = ()
        self._invented = False
        self._first = ""
        self._success: Succeeded | None = None

    def answer(self, decision: Decision) -> Step:
        """The user's keys; nobody's course is the same as that of a wrong password."""
        keys = tuple(decision) if isinstance(decision, Sequence) else ()
        self._invented = not keys
        self._keys = _sharing_salt(keys or (self._invent(),))
        nonce = (self._opening.nonce if self._opening else "") + self._side.nonce
        salt, iterations = _encode64(self._keys[0].salt), self._keys[0].iterations
        self._first = f"r={nonce},s={salt},i={iterations}"
        return Challenge(self._first.encode("ascii"))

    def _read(self, response: bytes) -> Step:
        if self._success is not None:
            return self._success if not response else Rejected("more after the end", malformed=True)
        if self._opening is not None:
            return self._finish(self._opening, response)
        opening = _read_opening(response)
        self._check_binding(opening)
        self._opening, self._username = opening, opening.username
        return FetchKeys(opening.username)

    def _check_binding(self, opening: _Opening) -> None:
        if self._plus and opening.binding_type not in self._bindings:
            raise SaslError("no such channel binding")
        if not self._plus and opening.binding_type:
            raise SaslError("channel binding without PLUS")
        # RFC 5802 §6: `y` says that we did not offer PLUS. If we did, someone took it away.
        if opening.flag == "y" and self._side.offers_plus:
            raise SaslError("downgrade: PLUS was offered and the client did not see it")

    def _invent(self) -> ScramKeys:
        """Keys for nobody, whose salt is the same at each try."""
        seed = hmac.digest(self._side.secret, self._username.encode(), _DIGEST)
        return ScramKeys(seed[:16], self._side.iterations, seed, seed)

    def _finish(self, opening: _Opening, response: bytes) -> Step:
        found = _CLIENT_FINAL.fullmatch(decode(response))
        if found is None:
            raise SaslError("not a client-final-message")
        without_proof, binding, nonce, proof = found.groups()
        expected = opening.header.encode() + self._bindings.get(opening.binding_type, b"")
        if not hmac.compare_digest(_decode64(binding), expected):
            return Rejected("SCRAM: the channel binding differs", opening.username)
        if nonce != opening.nonce + self._side.nonce:
            raise SaslError("another nonce")
        message = f"{opening.bare},{self._first},{without_proof}".encode()
        return self._verify(message, _decode64(proof))

    def _verify(self, message: bytes, proof: bytes) -> Step:
        keys = _match(self._keys, message, proof)
        if keys is None or self._invented:
            return Rejected("wrong password or unknown user", self._username)
        self._success = Succeeded(self._username, keys)
        signature = hmac.digest(keys.server_key, message, _DIGEST)
        return Challenge(b"v=" + base64.b64encode(signature))


def _sharing_salt(keys: Sequence[ScramKeys]) -> tuple[ScramKeys, ...]:
    first = keys[0]
    return tuple(
        key for key in keys if (key.salt, key.iterations) == (first.salt, first.iterations)
    )


def _match(keys: Sequence[ScramKeys], message: bytes, proof: bytes) -> ScramKeys | None:
    """The keys that the proof was made from. Looks at all of them."""
    found = None
    for key in keys:
        signature = hmac.digest(key.stored_key, message, _DIGEST)
        if len(proof) != len(signature):
            continue
        client_key = _xor(proof, signature)
        if hmac.compare_digest(hashlib.sha256(client_key).digest(), key.stored_key):
            found = key
    return found


class ScramClient:
    """One login as the client sees it; the server must prove that it knows the password too."""

    def __init__(
        self,
        username: str,
        password: str,
        nonce: str,
        bindings: Sequence[tuple[str, bytes]],
        *,
        plus: bool,
    ) -> None:
        """`bindings` without `plus`: we could, and say that the server did not offer it."""
        self.mechanism = PLUS if plus else SHA_256
        known = dict(bindings)
        kind = next((kind for kind in _BINDING_TYPES if kind in known), "")
        flag = (f"p={kind}" if plus else "y") if kind else "n"
        self._header = f"{flag},,"
        self._binding = self._header.encode() + (known[kind] if plus and kind else b"")
        self._password = password_of(password).encode()
        self._nonce = nonce
        self._bare = f"n={_escape(username_of(username))},r={nonce}"
        self._signature: bytes | None = None
        self._proved = False

    def initial(self) -> bytes | None:
        """The client-first message."""
        return (self._header + self._bare).encode()

    def respond(self, challenge: bytes) -> bytes:
        """Answer the server-first message with the proof, the server-final with nothing."""
        text = decode(challenge)
        if self._signature is None:
            return self._prove(text)
        if not hmac.compare_digest(text.encode(), b"v=" + base64.b64encode(self._signature)):
            raise SaslError("the server does not know the password")
        self._proved = True
        return b""

    def succeeded(self) -> None:
        """RFC 5802 §3: a server that did not prove itself is somebody else."""
        if not self._proved:
            raise SaslError("the server did not prove itself")

    def _prove(self, first: str) -> bytes:
        found = _SERVER_FIRST.fullmatch(first)
        if found is None:
            raise SaslError("not a server-first-message")
        nonce, salt, count = found[1], _decode64(found[2]), int(found[3])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslError("not our nonce")
        if not _MIN_ITERATIONS <= count <= _MAX_ITERATIONS:
            raise SaslError("an iteration count out of bounds")
        without_proof = f"c={_encode64(self._binding)},r={nonce}"
        message = f"{self._bare},{first},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac(_DIGEST, self._password, salt, count)
        client_key = hmac.digest(salted, b"Client Key", _DIGEST)
        stored_key = hashlib.sha256(client_key).digest()
        proof = _xor(client_key, hmac.digest(stored_key, message, _DIGEST))
        server_key = hmac.digest(salted, b"Server Key", _DIGEST)
        self._signature = hmac.digest(server_key, message, _DIGEST)
        return f"{without_proof},p={_encode64(proof)}".encode()
