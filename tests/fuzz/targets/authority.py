"""What a certificate authority answers, step by step (ACME)."""

import io
import json
from collections.abc import Callable, Mapping
from functools import cache
from urllib.parse import urlsplit

import requests
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.adapters import BaseAdapter

from merpati.certificates.authority import Authority, CaSettings, Suggestion, checked
from merpati.certificates.errors import IssueError
from merpati.certificates.keys import read_key
from merpati.certificates.proof import Proof
from merpati.certificates.transport import CaSession
from tests.fuzz.target import Target
from tests.fuzz.targets.certificates import NAMES, NOW, made

CA = "https://ca.test"
TOKEN = "t" * 43
STATUSES = (200, 200, 200, 201, 400, 403, 429, 503, 302)
_JSON = {"Content-Type": "application/json"}
_PROBLEM = {"Content-Type": "application/problem+json"}
HEADS: tuple[Mapping[str, str], ...] = (
    _JSON,
    _PROBLEM,
    {},
    _JSON | {"Retry-After": "7"},
    _JSON | {"Retry-After": "9" * 400},
    _JSON | {"Replay-Nonce": "not base64!"},
    _JSON | {"Location": "https://elsewhere.test/"},
    _JSON | {"Link": '<https://elsewhere.test/>;rel="next", <x'},
)
"""Beside those that the step has."""


def _url(path: str) -> str:
    return f"{CA}/{path}"


_CHALLENGE = {"type": "http-01", "url": _url("challenge"), "token": TOKEN}
_ORDER = {
    "status": "pending",
    "identifiers": [{"type": "dns", "value": name} for name in NAMES],
    "authorizations": [_url("authz")],
    "finalize": _url("finalize"),
}
_STEPS: dict[str, object] = {
    "dir": {
        "newNonce": _url("nonce"), "newAccount": _url("account"), "newOrder": _url("order"),
        "revokeCert": _url("revoke"), "keyChange": _url("keychange"), "renewalInfo": _url("ari"),
    },
    "nonce": {},
    "account": {"status": "valid"},
    "order": _ORDER,
    "authz": {
        "status": "pending",
        "identifier": _ORDER["identifiers"][0],
        "challenges": [_CHALLENGE],
    },
    "challenge": _CHALLENGE,
    "proven": {
        "status": "valid",
        "identifier": _ORDER["identifiers"][0],
        "challenges": [_CHALLENGE],
    },
    "finalize": _ORDER,
    "state": _ORDER | {"status": "valid", "certificate": _url("chain")},
    "chain": None,
    "ari": {
        "suggestedWindow": {"start": "2027-01-15T00:00:00Z", "end": "2027-01-16T00:00:00Z"},
        "explanationURL": "https://ca.test/why",
    },
    "revoke": {},
    "keychange": {"status": "valid"},
    "me": {"status": "deactivated"},
}  # fmt: skip
STEPS = tuple(_STEPS)
_OWN: Mapping[str, Mapping[str, str]] = {
    "account": {"Location": _url("me")},
    "order": {"Location": _url("state")},
    "challenge": {"Link": f'<{_url("authz")}>;rel="up"'},
}
"""What some steps say in fields of the header."""
_CREATED = {"account", "order"}


class _Script(BaseAdapter):
    """A CA that does what is right, but at one step says what it is told to. What it sees that must
    not be it keeps, since who asks takes every exception for a fault of the CA."""

    def __init__(self, spoilt: str, answer: Callable[[], tuple[int, Mapping[str, str], bytes]]):
        super().__init__()
        self._spoilt = spoilt
        self._answer = answer
        self._is_proven = False
        self.elsewhere: list[str] = []

    def send(self, request: requests.PreparedRequest, *_: object, **__: object):  # type: ignore[no-untyped-def,override]  # requests has no types
        """The answer to one request."""
        there = urlsplit(str(request.url))
        if (there.scheme, there.netloc) != ("https", "ca.test"):
            self.elsewhere.append(str(request.url))
        step = there.path.split("/")[1]
        if step == "authz" and self._is_proven:
            step = "proven"
        self._is_proven |= step == "challenge"
        status, head, body = self._said(step)
        head = {"Replay-Nonce": "bm9uY2U", **head}
        raw = urllib3.HTTPResponse(io.BytesIO(body), head, status, preload_content=False)
        response = requests.Response()
        response.status_code, response.raw = status, raw
        response.headers.update(head)
        response.url, response.request = str(request.url), request
        return response

    def _said(self, step: str) -> tuple[int, Mapping[str, str], bytes]:
        own = {**_JSON, **_OWN.get(step, {})}
        if step == self._spoilt:
            status, head, body = self._answer()
            return status, {**own, **head}, body
        if step == "chain":
            return 200, own, made()[0].chain
        if step not in _STEPS:
            return 404, own, b"{}"
        return 201 if step in _CREATED else 200, own, json.dumps(_STEPS[step]).encode()

    def close(self) -> None:
        """There is nothing."""


class _Time:
    """Goes on by itself, so that whoever waits for the CA ends."""

    def __init__(self) -> None:
        self.at = 0.0
        self.longest = 0.0

    def monotonic(self) -> float:
        """Each look takes a moment."""
        self.at += 0.001
        return self.at

    def wait(self, seconds: float) -> bool:
        """Nobody stops the server."""
        self.longest = max(seconds, self.longest)
        self.at += seconds
        return False


class _Prover:
    """Shows proofs to nobody, and looks at them."""

    kind = "http-01"
    settle = 0.0

    def __init__(self) -> None:
        self.open: set[Proof] = set()
        self.shown: list[str] = []

    def present(self, proof: Proof) -> None:
        """Where the CA will look."""
        self.shown.append(proof.token)
        self.open.add(proof)

    def withdraw(self, proof: Proof) -> None:
        """It is not needed any more."""
        self.open.discard(proof)


_SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@cache
def _account() -> bytes:
    key = ec.derive_private_key(9773, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def acme_answer(octets: bytes) -> None:
    """First octets: at which step, its status, its header fields. The CA did what we wanted, or an
    IssueError says what it did; nobody else is asked, and nothing of a proof stays behind."""
    if len(octets) < 3:
        return
    step = STEPS[octets[0] % len(STEPS)]
    status, head = STATUSES[octets[1] % len(STATUSES)], HEADS[octets[2] % len(HEADS)]
    script = _Script(step, lambda: (status, head, octets[3:]))
    before = CaSession.get_adapter
    CaSession.get_adapter = lambda *_, **__: script  # type: ignore[method-assign]  # for one input
    try:
        _go_through(step)
    except IssueError as error:
        assert str(error)
    finally:
        CaSession.get_adapter = before  # type: ignore[method-assign]
    assert script.elsewhere == []


def _go_through(step: str) -> None:
    time, prover = _Time(), _Prover()
    pair, _ = made()
    authority = Authority(CaSettings(f"{CA}/dir", _account()), lambda: NOW, time.monotonic)
    try:
        match step:
            case "ari":
                found = authority.suggestion(pair.chain)
                assert found is None or isinstance(found, Suggestion)
            case "revoke":
                authority.revoke(pair.chain, 0)
            case "keychange":
                authority.change_key(_account())
            case "me":
                authority.deactivate()
            case _:
                chain = authority.issue(NAMES, pair.key, prover, time)  # type: ignore[arg-type]  # an Event's wait
                assert checked(chain, read_key(pair.key), NAMES, NOW) == chain
    finally:
        authority.close()
        # A token is a name of a file and nothing else, and nothing is shown for ever.
        assert set().union(*prover.shown) <= _SAFE
        assert not prover.open
        assert time.longest <= 15
        assert time.at < 1200


_ERROR = b'{"type":"urn:ietf:params:acme:error:badNonce","detail":"x"}'
_WORDS = (
    *(json.dumps(one).encode() for one in (_STEPS["dir"], _ORDER, _CHALLENGE, _STEPS["ari"])),
    _ERROR, b"{", b"}", b"[", b"]", b",", b"null", b"1e999", b'"status":', b'"valid"', b'"invalid"',
    b'"authorizations":', json.dumps(_url("authz")).encode(), b'"challenges":', b'"identifier":',
    b'{"type":"dns","value":"mx.a.test"}', b'"token":', b'"../../x"', b'"https://elsewhere.test/"',
    b'"error":', b'"certificate":', b'"finalize":', b'"suggestedWindow":', b'"processing"',
    b'"http://ca.test/"', b'"0001-01-01T00:00:00Z"', b'"x\\n"', b"\xff",
)  # fmt: skip
TARGETS = (Target("acme_answer", acme_answer, _WORDS, longest=16 * 1024, head=bytes([4, 0, 0])),)
