"""What servers outside say of people, and the tokens that clients show."""

import json

from joserfc.jwk import ECKey, RSAKey

from merpati.identity.checker import Bearer
from merpati.identity.errors import IdentityUnavailable
from merpati.identity.expected import Expected
from merpati.identity.ldap.ber import SEQUENCE, BerError, encode, read
from merpati.identity.ldap.names import fill_filter, fill_name
from merpati.identity.openid.claims import Claims
from merpati.identity.openid.keys import is_allowed, payload, read_header, read_keys
from merpati.mail.address import Address
from tests.fuzz.target import Target

_JWKS = {
    "keys": [
        RSAKey.generate_key(2048, {"kid": "r"}).as_dict(private=False),
        ECKey.generate_key("P-256", {"kid": "e"}).as_dict(private=False),
    ]
}
_KEYS = read_keys(json.dumps(_JWKS).encode())
_EXPECTED = Expected("https://id.a.test", ("merpati",), ("mail",))
_MOST = 64 * 1024


def ldap_answer(octets: bytes) -> None:
    """BER, whole and cut: found when it is whole and never before, and the same when written."""
    try:
        found = read(octets, _MOST)
        if found is None:
            return
        element, end = found
        assert read(octets[: end - 1], _MOST) is None
        assert read(octets[:end], _MOST) == found
        parts = element.elements()
        written = [encode(part.tag, part.octets) for part in parts]
        [again] = [read(encode(SEQUENCE, *written), len(octets) * 4 + 16)]
        assert again is not None
        assert again[0].elements() == parts
        for part in parts:
            abs(part.number)
    except BerError:
        return


def ldap_name(octets: bytes) -> None:
    """A name in a filter is one octet string, and in a DN nothing that ends a value."""
    account = Address(octets.decode("utf-8", "replace"), "a.test")
    said = account.local.encode()
    plain = fill_filter("(uid=x)", account)
    filled = fill_filter("(uid={local})", account)
    assert filled == encode(plain[0], encode(4, b"uid"), encode(4, said))
    value = fill_name("{local}", account)
    unescaped = value.replace("\\5C", "")
    assert not set(unescaped) & set('"+,;<>=\0')


def token(octets: bytes) -> None:
    """A bearer token: nobody is let in who has no signature of the provider's keys."""
    text = octets.decode("utf-8", "replace")
    header = read_header(text)
    if header is not None and is_allowed(header):
        assert payload(text, header, _KEYS) is None


def claims(octets: bytes) -> None:
    """What a signed token says: whoever is let in is named, for us, and in time."""
    try:
        said = Claims(octets)
    except ValueError:
        return
    found = said.judge(_EXPECTED, 1_800_000_000.0)
    if isinstance(found, Bearer):
        assert found.account
        assert b"merpati" in octets
        assert b"mail" in octets


def jwks(octets: bytes) -> None:
    """A set of keys, or that it is none."""
    try:
        assert len(read_keys(octets)) <= 100
    except IdentityUnavailable:
        return


_GOOD = json.dumps(
    {
        "iss": "https://id.a.test",
        "aud": "merpati",
        "exp": 1_800_000_300,
        "scope": "mail",
        "email": "ann@a.test",
        "email_verified": True,
    }
).encode()
_ANSWERS = (
    b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", b"\x30\x84", b"\x30\x80",
    b"\x02\x01\x00", b"\x04\x00", b"\x81", b"\xff",
)  # fmt: skip
_NAMES = (b"*", b"(", b")", b"\\", b",", b"=", b"\0", b"#", b" ", b"{user}")
_TOKENS = (
    b"eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ", b"eyJhbGciOiJub25lIn0", b".", b"e30", b"=", b"AA",
    b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ", b"-_",
)  # fmt: skip
_CLAIMS = (
    _GOOD, b"{", b"}", b"[", b'"aud":', b'"merpati"', b",", b"null", b"true", b"1e999", b"-1",
)  # fmt: skip
TARGETS = (
    Target("ldap_answer", ldap_answer, _ANSWERS),
    Target("ldap_name", ldap_name, _NAMES),
    Target("token", token, _TOKENS, longest=9216),
    Target("claims", claims, _CLAIMS, longest=9216),
    Target("jwks", jwks, (json.dumps(_JWKS).encode(), b'{"keys":[', b"]}", b"{}", *_CLAIMS)),
)
