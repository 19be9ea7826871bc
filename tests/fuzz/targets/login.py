"""SASL exchanges from both sides: any response, any challenge, nobody in who has not proved it."""

import hashlib
import hmac
from functools import cache

from merpati.smtp.sasl.exchange import (
    Challenge,
    Decision,
    FetchKeys,
    Identified,
    Question,
    Rejected,
    SaslError,
    ScramKeys,
    ServerSide,
    Step,
    Succeeded,
    VerifyCertificate,
    VerifyPassword,
    VerifyToken,
)
from merpati.smtp.sasl.mechanisms import ClientSide, Credentials, begin, choose
from merpati.smtp.sasl.preparation import MAX_NAME
from tests.fuzz.target import Target

_MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "OAUTHBEARER",
    "XOAUTH2",
    "EXTERNAL",
)
_NONCE = "servernonceservernonce24"
_BINDINGS = (("tls-server-end-point", b"end"),)
_TURN = b"\n"


@cache
def _keys() -> ScramKeys:
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 4096)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    return ScramKeys(b"salt", 4096, hashlib.sha256(client).digest(), server)


def login_server(octets: bytes) -> None:
    """First octet: mechanism, TLS, what is known. Then responses, a line each; `*` gives up."""
    if not octets:
        return
    choices = octets[0]
    side = ServerSide(_NONCE, b"lasting", _BINDINGS if choices & 8 else (), bool(choices & 16))
    exchange = begin(_MECHANISMS[choices % 8 % len(_MECHANISMS)], side)
    assert exchange is not None
    right = bool(choices & 32)
    asked: set[str] = set()
    responses: list[bytes | None] = [None] if choices & 64 else []
    responses += [None if one == b"*" else one for one in octets[1:].split(_TURN)]
    for response in responses:
        step = exchange.step(response)
        while isinstance(step, VerifyPassword | VerifyToken | VerifyCertificate | FetchKeys):
            may_be_empty = isinstance(step, VerifyToken | VerifyCertificate)
            _check_name(step.username, may_be_empty=may_be_empty)
            asked.add(step.username)
            step = exchange.answer(_decision(step, right=right))
        if _is_over(step, asked, right=right):
            return


def _decision(question: Question, *, right: bool) -> Decision:
    match question:
        case FetchKeys():
            return [_keys()] if right else []
        case VerifyCertificate(username) | VerifyToken(username) if right:
            return Identified(username)
        case _:
            return right


def _is_over(step: Step, asked: set[str], *, right: bool) -> bool:
    match step:
        case Challenge(sent):
            assert len(sent) <= 9216 * 2
            return False
        case Succeeded(username):
            assert right
            assert username in asked
        case Rejected(why):
            assert why
    return True


def _check_name(name: str, *, may_be_empty: bool) -> None:
    assert may_be_empty or name
    assert len(name) <= MAX_NAME
    assert name.isprintable()


def login_client(octets: bytes) -> None:
    """First octet: what is offered. Then challenges, a line each, and a 235 at the end."""
    if not octets:
        return
    choices = octets[0]
    offered = [name for n, name in enumerate(_MECHANISMS) if choices >> n & 1]
    credentials = Credentials("ann", "pencil", "token" if choices & 64 else "")
    bindings = _BINDINGS if choices & 128 else ()
    exchange = choose(offered, ClientSide(credentials, "clientnonce", True, False, bindings))
    if exchange is None:
        return
    exchange.initial()
    try:
        for challenge in octets[1:].split(_TURN):
            assert len(exchange.respond(challenge)) < 10_000 + len(challenge)
        exchange.succeeded()
    except SaslError:
        return


_RESPONSES = (
    b"\0ann@a.test\0pencil", b"ann@a.test\0ann@a.test\0pencil", b"ann", b"pencil", b"\n", b"*",
    b"\0", b"n,,n=ann,r=clientnonce", b"y,,n=ann,r=x", b"p=tls-server-end-point,,n=ann,r=x",
    b"n,a=ann,", b"c=biws,r=clientnonceservernonceservernonce24,p=", b"AAAA", b"=2C", b"=3D",
    b"=", b",", b"n,a=ann,\x01auth=Bearer abc\x01\x01", b"user=ann\x01auth=Bearer abc\x01\x01",
    b"\x01", b"host=", "\u00ad".encode(), "\u05d0".encode(), "ª".encode(), b"\xff",
    b"r=clientnoncex,s=c2FsdA==,i=4096", b"r=clientnoncex,s=,i=1000000", b"v=", b"e=other-error",
    "\ufdfa".encode(),
)  # fmt: skip

TARGETS = (
    Target("login_server", login_server, _RESPONSES, longest=9216, head=b"\x00"),
    Target("login_client", login_client, _RESPONSES, longest=9216, head=b"\x0c"),
)
