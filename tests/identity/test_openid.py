"""Tokens and an OpenID provider: what lets somebody in, and every way in which it does not.

RFC 7519, 7662, 8414, 8725 and 9068."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from merpati.identity.checker import Bearer, Unfit
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.expected import Expected
from merpati.identity.gate import Gate, GateSettings
from merpati.identity.openid.checker import Introspection, OpenId
from merpati.identity.openid.claims import Claims
from merpati.identity.openid.keys import payload, read_header, read_keys
from merpati.identity.openid.provider import AFTER_FAILURE, FRESH, LASTING, LEAST_WAIT, Provider
from merpati.testing.clock import VirtualClock
from merpati.wire.web import Web, WebSettings

NOW = VirtualClock().now()
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
JWKS = {"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]}


@dataclass
class There:
    """A provider on loopback whose documents a test may replace."""

    issuer: str = ""
    configuration: dict[str, object] = field(default_factory=dict)
    jwks: bytes = b""
    asked: list[str] = field(default_factory=list)
    status: int = 200
    seconds: float = 0.0
    known: dict[str, object] = field(default_factory=dict)
    clock: VirtualClock = field(default_factory=VirtualClock)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        await asyncio.sleep(self.seconds)
        if self.status != 200:
            where = {"Location": "http://169.254.169.254/"} if self.status == 302 else {}
            return web.Response(status=self.status, headers=where)
        if request.path == "/keys":
            return web.Response(body=self.jwks)
        if request.path == "/introspect":
            form = await request.post()
            is_known = request.headers["Authorization"] == "Basic bWFpbDpzZWNyZXQ="
            assert is_known
            return web.json_response(self.known if form["token"] == "opaque" else {"active": False})
        return web.json_response(self.configuration)


@cache
def client() -> Web:
    """One for all: to read the system's authorities takes longer than all the rest."""
    return Web(WebSettings(seconds=1.0))


@asynccontextmanager
async def provider() -> AsyncIterator[tuple[OpenId, There]]:
    there = There()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", there.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    there.issuer = f"http://{host}:{port}"
    there.configuration = {
        "issuer": there.issuer,
        "jwks_uri": f"{there.issuer}/keys",
        "introspection_endpoint": f"{there.issuer}/introspect",
    }
    there.jwks = json.dumps(JWKS).encode()
    expected = Expected(there.issuer, ("merpati",), ("mail",))
    asking = Provider(there.issuer, client(), there.clock, 0.5)
    gate = Gate(GateSettings(1.0), "them")
    yield OpenId(expected, asking, there.clock, gate, Introspection("mail", "secret")), there
    await runner.cleanup()


def said(there: There, **changes: object) -> dict[str, object]:
    claims = {
        "iss": there.issuer, "sub": "5f1", "aud": "merpati", "exp": NOW + 300,
        "scope": "mail openid", "email": "ann@a.test", "email_verified": True, **changes,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def signed(claims: object, key: object = RSA, alg: str = "RS256", **header: object) -> str:
    octets = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(
        {"alg": alg, "kid": "rsa", "typ": "at+jwt", **header},
        octets,
        key,
        [alg],  # type: ignore[arg-type]
    )


def encoded(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "alg", "kid"),
    [(RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (EC, "ES256", "ec"), (ED, "Ed25519", "ed")],
)
async def test_a_signed_token_names_its_user(key: object, alg: str, kid: str) -> None:
    async with provider() as (openid, there):
        found = await openid.examine(signed(said(there), key, alg, kid=kid))
    assert isinstance(found, Bearer)
    assert (found.account, found.proof.subject) == ("ann@a.test", "5f1")
    assert found.proof.issuer == there.issuer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "http://127.0.0.1/evil"}, "token of another issuer"),
        ({"aud": "other"}, "token for another service"),
        ({"aud": ["other", "more"]}, "token for another service"),
        ({"aud": None}, "token for another service"),
        ({"typ": "ID"}, "token for another service"),
        ({"cnf": {"jkt": "x"}}, "token bound to a key"),
        ({"cnf": None, "aud": []}, "token for another service"),
        ({"exp": NOW - 61}, "token out of its time"),
        ({"nbf": NOW + 61}, "token out of its time"),
        ({"exp": None}, "token that cannot be read"),
        ({"iss": None}, "token that cannot be read"),
        ({"exp": "soon"}, "token that cannot be read"),
        ({"scope": "openid"}, "token without the scope"),
        ({"scope": "email"}, "token without the scope"),
        ({"email": None}, "token without an address"),
        ({"email": ["ann@a.test"]}, "token without an address"),
        ({"email_verified": False}, "token with an unverified address"),
        ({"email_verified": None}, "token with an unverified address"),
    ],
)
async def test_a_token_has_to_say_all_of_it(changes: dict[str, object], why: str) -> None:
    async with provider() as (openid, there):
        found = await openid.examine(signed(said(there, **changes)))
    assert isinstance(found, Unfit)
    assert found.why == why
    assert found.refusal.scope == "mail"
    assert found.refusal.configuration == f"{there.issuer}/.well-known/openid-configuration"
    is_narrow = why == "token without the scope"
    assert found.refusal.status == ("insufficient_scope" if is_narrow else "invalid_token")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "merpati"]},
        {"exp": NOW - 59},
        {"nbf": NOW + 59},
        {"scope": None, "scp": ["mail"]},
        {"scope": None, "scp": "mail"},
        {"typ": "Bearer"},
        {"email_verified": "true"},
    ],
)
async def test_what_providers_say_otherwise_is_understood(changes: dict[str, object]) -> None:
    async with provider() as (openid, there):
        assert isinstance(await openid.examine(signed(said(there, **changes))), Bearer)


def forged(there: There) -> dict[str, tuple[str, str]]:
    """Tokens that nobody has issued, by the attack, with what they are found to be."""
    claims, unread = said(there), "token that cannot be read"
    public = RSA.as_pem(private=False)
    head = encoded({"alg": "HS256", "kid": "rsa"}) + "." + encoded(claims)
    confused = f"{head}.{encoded(hmac.digest(public, head.encode(), hashlib.sha256))}"
    whole = signed(claims)
    own = OTHER.as_dict(private=False)
    wrong, unknown = "token with a wrong signature", "token signed by an unknown key"
    return {
        "alg none": (f"{encoded({'alg': 'none'})}.{encoded(claims)}.", unread),
        "alg None": (f"{encoded({'alg': 'None'})}.{encoded(claims)}.AA", unread),
        "public key as a secret": (confused, unread),
        "another key": (signed(claims, OTHER), wrong),
        "its own key in the header": (signed(claims, OTHER, jwk=own), wrong),
        "another payload": (".".join([whole.split(".")[0], encoded(claims), "AAAA"]), wrong),
        "no signature": (whole.rsplit(".", 1)[0] + ".", unread),
        "an unknown key": (signed(claims, OTHER, kid="mine"), unknown),
        "a kind that is not the key's": (signed(claims, EC, "ES256", kid="rsa"), unknown),
        "a key for another algorithm": (signed(claims, ED, "Ed25519", kid="ec"), unknown),
        "critical and unknown": (f"{encoded({'alg': 'RS256', 'crit': ['x']})}.e30.AA", unread),
        "encrypted": ("a.b.c.d.e", unread),
        "nested": (f"{encoded(b'[' * 5000)}.e30.AA", unread),
        "nested payload": (signed(b'{"x":' + b"[" * 5000), unread),
        "no object": (signed(b"[]"), unread),
        "an ID token": (signed(claims, typ="id+jwt"), "token for another service"),
    }  # fmt: skip


ATTACKS = list(forged(There()))


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_token_that_nobody_issued_lets_nobody_in(attack: str) -> None:
    async with provider() as (openid, there):
        openid._introspection = None
        token, why = forged(there)[attack]
        found = await openid.examine(token)
    assert isinstance(found, Unfit)
    assert found.why == why


async def test_a_token_without_the_name_of_its_key_is_tried_with_those_of_its_kind() -> None:
    async with provider() as (openid, there):
        head = {"alg": "RS256", "typ": "JWT"}
        token = jws.serialize_compact(head, json.dumps(said(there)).encode(), RSA, ["RS256"])
        assert isinstance(await openid.examine(token), Bearer)


async def test_another_claim_may_name_the_mailbox() -> None:
    claims = Claims(json.dumps({"iss": "i", "aud": "a", "exp": NOW, "upn": "ann@a.test"}).encode())
    found = claims.judge(Expected("i", ("a",), (), "upn"), NOW)
    assert isinstance(found, Bearer)
    assert found.account == "ann@a.test"


async def test_keys_are_fetched_once_and_again_after_an_hour() -> None:
    async with provider() as (openid, there):
        token = signed(said(there, exp=NOW + 10 * FRESH))
        for _ in range(3):
            await openid.examine(token)
        assert there.asked == ["/.well-known/openid-configuration", "/keys"]
        await there.clock.advance(FRESH)
        await openid.examine(token)
        assert len(there.asked) == 4


@pytest.mark.slow
async def test_a_new_key_is_found_at_once_and_unknown_ones_are_looked_for_once_a_minute() -> None:
    async with provider() as (openid, there):
        assert isinstance(await openid.examine(signed(said(there))), Bearer)
        new = RSAKey.generate_key(2048, {"kid": "new"})
        there.jwks = json.dumps({"keys": [new.as_dict(private=False)]}).encode()
        token = signed(said(there), new, kid="new")
        assert isinstance(await openid.examine(token), Unfit)  # Looked for a moment ago.
        await there.clock.advance(LEAST_WAIT)
        assert isinstance(await openid.examine(token), Bearer)
        assert isinstance(await openid.examine(signed(said(there))), Unfit)  # Withdrawn.
        before = len(there.asked)
        for n in range(50):
            await openid.examine(signed(said(there), OTHER, kid=f"guess {n}"))
        assert len(there.asked) == before


async def test_a_provider_that_is_away_has_its_keys_used_for_a_day() -> None:
    async with provider() as (openid, there):
        token = signed(said(there, exp=NOW + 10 * LASTING))
        await openid.examine(token)
        there.status = 503
        await there.clock.advance(LASTING - 1)
        assert isinstance(await openid.examine(token), Bearer)
        await there.clock.advance(2)
        with pytest.raises(IdentityUnavailable):
            await openid.examine(token)
        there.status = 200
        with pytest.raises(IdentityUnavailable, match="503"):
            await openid.examine(token)  # It is left in peace for a moment.
        await there.clock.advance(AFTER_FAILURE)
        assert isinstance(await openid.examine(token), Bearer)


@pytest.mark.slow
async def test_a_slow_provider_is_asked_by_one_and_delays_nobody_who_has_keys() -> None:
    async with provider() as (openid, there):
        token = signed(said(there, exp=NOW + 10 * FRESH))
        await openid.examine(token)
        there.seconds = 30
        await there.clock.advance(FRESH)
        async with asyncio.timeout(0.9):
            found = await asyncio.gather(*(openid.examine(token) for _ in range(30)))
        assert all(isinstance(one, Bearer) for one in found)
        assert len(there.asked) == 3


@pytest.mark.parametrize(
    ("configuration", "jwks"),
    [
        ({"issuer": "https://id.a.test"}, None),
        ({"jwks_uri": "http://169.254.169.254/latest"}, None),
        ({"jwks_uri": "https://169.254.169.254/latest"}, None),
        ({"jwks_uri": "https://[::ffff:10.0.0.1]/"}, None),
        ({"jwks_uri": "https://localhost/keys"}, None),
        ({"jwks_uri": "file:///etc/passwd"}, None),
        ({"jwks_uri": "http://[bad/"}, None),
        ({"jwks_uri": 7}, None),
        ({}, b"[" * 100_000),
        ({}, b'{"keys": 1}'),
        ({}, b'{"keys": [' + b'{"kty":"RSA"},' * 800_000 + b"{}]}"),
    ],
)
async def test_documents_that_cannot_be_believed_let_nobody_in(
    configuration: dict[str, object], jwks: bytes | None
) -> None:
    async with provider() as (openid, there):
        there.configuration.update(configuration)
        there.jwks = jwks or there.jwks
        with pytest.raises(IdentityUnavailable):
            await openid.examine(signed(said(there)))


async def test_a_provider_does_not_have_us_knock_at_another_port_beside_him() -> None:
    async with provider() as (openid, there), provider() as (_, beside):
        there.configuration["jwks_uri"] = f"{beside.issuer}/keys"
        with pytest.raises(IdentityUnavailable, match="elsewhere"):
            await openid.examine(signed(said(there)))
        assert beside.asked == []


async def test_a_redirect_is_not_followed() -> None:
    async with provider() as (openid, there):
        there.status = 302
        with pytest.raises(IdentityUnavailable, match="302"):
            await openid.examine(signed(said(there)))
        assert len(there.asked) == 1


async def test_a_token_that_only_the_provider_can_read_is_asked_about() -> None:
    async with provider() as (openid, there):
        there.known = said(there, active=True, iss=None, exp=None)
        found = await openid.examine("opaque")
        assert isinstance(found, Bearer)
        assert (found.account, found.proof.issuer) == ("ann@a.test", there.issuer)
        there.known = said(there, active=True, aud="other")
        assert isinstance(await openid.examine("opaque"), Unfit)
        there.known = said(there)  # Nor a word of whether it is active.
        assert isinstance(await openid.examine("opaque"), Unfit)
        refused = await openid.examine("revoked")
        assert isinstance(refused, Unfit)
        assert refused.why == "token that is not active"
        there.status = 500
        with pytest.raises(IdentityUnavailable):
            await openid.examine("opaque")


def test_keys_that_are_for_something_else_or_weak_are_passed_over() -> None:
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
    secret = OctKey.generate_key(256, {"kid": "oct"})
    documents = [
        secret.as_dict(),
        weak.as_dict(private=False),
        {**RSA.as_dict(private=False), "use": "enc"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": 7},
        "text",
        *JWKS["keys"],
    ]
    assert [key.kid for key in read_keys(json.dumps({"keys": documents}).encode())] == [
        "rsa", "ec", "ed",
    ]  # fmt: skip


def test_private_keys_in_a_set_are_read_as_public_ones() -> None:
    [key] = read_keys(json.dumps({"keys": [RSA.as_dict(private=True)]}).encode())
    assert not key.key.is_private


KEYS = read_keys(json.dumps(JWKS).encode())


@given(
    st.text(max_size=100) | st.from_regex(r"[A-Za-z0-9_-]{2,40}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
)
def test_no_text_raises(token: str) -> None:
    header = read_header(token)
    if header is not None:
        assert payload(token, header, KEYS) is None


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.text(), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_no_claims_raise_anything_but_what_is_said(document: bytes) -> None:
    try:
        Claims(document).judge(Expected("i", ("a",)), NOW)
    except ValueError:
        return
