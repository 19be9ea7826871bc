"""What servers of those who know people answer: where they are to be asked, of tokens, and of
passwords."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

from joserfc.jwk import ECKey

from merpati.identity.checker import Asked, Bearer
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.expected import Expected
from merpati.identity.gate import Gate, GateSettings
from merpati.identity.hook import Hook, HookSettings
from merpati.identity.openid.checker import Introspection, OpenId
from merpati.identity.openid.keys import Header
from merpati.identity.openid.provider import Provider
from merpati.mail.address import Address
from merpati.testing.clock import VirtualClock
from merpati.wire.web import Ask, Told, Web
from tests.fuzz.target import Target

ISSUER = "https://id.a.test/realm"
HOOK = "http://127.0.0.1:8080/check"
PASSWORD = "correct horse"
STATUSES = (200, 200, 200, 404, 301, 500)
KEY = json.dumps({"keys": [ECKey.generate_key("P-256", {"kid": "e"}).as_dict(private=False)]})
GOOD = {
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/keys",
    "introspection_endpoint": f"{ISSUER}/introspect",
}


class _Script(Web):
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Ask], Told]) -> None:
        self.asked: list[Ask] = []
        self._answer = answer

    async def ask(self, question: Ask) -> Told:
        """The next answer."""
        self.asked.append(question)
        return self._answer(question)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _provider(answer: Callable[[Ask], Told]) -> tuple[Provider, _Script, VirtualClock]:
    clock, web = VirtualClock(), _Script(answer)
    return Provider(ISSUER, web, clock, 5.0), web, clock


def _read(octets: bytes) -> dict[str, object]:
    """The answer, as another reader has it. Ours passes over what is unknown, whatever octets."""
    said: dict[str, object] = json.loads(octets[1:].decode("utf-8", "replace"))
    return said


def openid_configuration(octets: bytes) -> None:
    """First octet: its status. Nobody is asked in the clear, and who is named elsewhere only on the
    Internet; what is used says that it is this issuer's."""
    if not octets:
        return

    def answer(question: Ask) -> Told:
        if "/.well-known/" in question.url:
            return Told(STATUSES[octets[0] % len(STATUSES)], octets[1:])
        return Told(200, KEY.encode())

    provider, web, _ = _provider(answer)
    with suppress(IdentityUnavailable):
        keys = _loop().run_until_complete(provider.keys(Header("ES256", "e")))
        assert keys
        assert _read(octets)["issuer"] == ISSUER
    with suppress(IdentityUnavailable):
        _loop().run_until_complete(provider.introspect(b"token=x", "Basic eA=="))
    own = urlsplit(ISSUER)
    for one in web.asked:
        there = urlsplit(one.url)
        assert there.scheme == "https"
        assert one.public or there.hostname == own.hostname
        assert not one.authorization or _read(octets)["introspection_endpoint"] == one.url


def introspection(octets: bytes) -> None:
    """First octet: its status. Whoever is let in has a token that is active, for us, and theirs."""
    if not octets:
        return
    status = STATUSES[octets[0] % len(STATUSES)]

    def answer(question: Ask) -> Told:
        if question.url == GOOD["introspection_endpoint"]:
            return Told(status, octets[1:])
        is_first = "/.well-known/" in question.url
        return Told(200, json.dumps(GOOD).encode() if is_first else KEY.encode())

    provider, _, clock = _provider(answer)
    expected = Expected(ISSUER, ("merpati",), ("mail",))
    asker = Introspection("mail", "secret")
    checker = OpenId(expected, provider, clock, Gate(GateSettings(), "them"), asker)
    try:
        found = _loop().run_until_complete(checker.examine("opaque"))
    except IdentityUnavailable as error:
        assert str(error)
        return
    assert status == 200
    if isinstance(found, Bearer):
        said = _read(octets)
        assert said["active"] is True
        assert said["email"] == found.account
        assert said["email_verified"] in (True, "true")
        assert "merpati" in str(said["aud"])
        assert "mail" in f"{said.get('scope')} {said.get('scp')}"
        assert said.get("iss") in (None, "", ISSUER)


def hook_answer(octets: bytes) -> None:
    """First octet: its status. True and False are what was said, and nothing else is either."""
    if not octets:
        return
    status = STATUSES[octets[0] % len(STATUSES)]
    web = _Script(lambda _: Told(status, octets[1:]))
    hook = Hook(HookSettings(HOOK, "shown"), web, Gate(GateSettings(), "them"))
    asked = Asked(Address("ann", "a.test"), PASSWORD, "192.0.2.7")
    try:
        is_right = _loop().run_until_complete(hook.is_right(asked))
    except IdentityUnavailable as error:
        # The journal shows it; an answer may repeat the question.
        assert PASSWORD not in str(error)
        return
    assert status == 200
    assert _read(octets)["allow"] is is_right


_CONFIGURATION = (
    json.dumps(GOOD).encode(), b"{", b"}", b"[", b",", b"null", b'"issuer":', b'"jwks_uri":',
    json.dumps(ISSUER).encode(), b'"introspection_endpoint":', b'"http://127.0.0.1/"',
    b'"https://[::1]/"', b'"https://x:99999/"', b'"//x"', b'"https://id.a.test:8443/"', b"\\u0000",
    b'"https://id.a.test@b.test/"', b"\xff",
)  # fmt: skip
_SAID = json.dumps(
    {
        "active": True,
        "aud": ["merpati"],
        "scope": "mail",
        "email": "ann@a.test",
        "email_verified": True,
    }
).encode()
_CLAIMS = (
    _SAID, b"{", b"}", b"[", b",", b"null", b'"active":', b"true", b"false", b'"true"', b"1",
    b'"aud":', b'"merpati"', b'"email":', b'"scp":', b'"mail"', b'"exp":', b"1e999", b'"iss":',
    b'"cnf":{}', b'"\\u0061ctive":', b"\xff",
)  # fmt: skip
_ALLOW = (
    b'{"allow": true}', b'{"allow": false}', b"{", b"}", b'"allow":', b"true", b"false", b"null",
    b"1", b'"true"', b",", b'"\\u0061llow":', PASSWORD.encode(), b"[", b"\xff",
)  # fmt: skip
TARGETS = (
    Target("openid_configuration", openid_configuration, _CONFIGURATION, head=b"\0"),
    Target("introspection", introspection, _CLAIMS, head=b"\0"),
    Target("hook_answer", hook_answer, _ALLOW, head=b"\0"),
)
