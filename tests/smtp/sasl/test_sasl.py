"""Both sides of every SASL mechanism, with the examples of the RFCs.

RFC 4422, 4616, 5802, 5929, 7628 and 7677."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.smtp.sasl.exchange import (
    Challenge,
    ClientExchange,
    FetchKeys,
    Identified,
    Rejected,
    SaslError,
    ScramKeys,
    ServerExchange,
    ServerSide,
    Step,
    Succeeded,
    TokenRefused,
    VerifyCertificate,
    VerifyPassword,
    VerifyToken,
)
from merpati.smtp.sasl.mechanisms import ClientSide, Credentials, begin, choose, offered
from merpati.smtp.sasl.preparation import prepare
from tests.cases import each

ALL = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
SERVERS = (*ALL, "EXTERNAL")
BINDING = (("tls-exporter", b"exported octets"), ("tls-server-end-point", b"hash"))


def some_keys(password: str = "pencil", salt: bytes = b"0123456789abcdef") -> ScramKeys:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    return ScramKeys(salt, 4096, stored, hmac.digest(salted, b"Server Key", "sha256"))


def a_server(mechanism: str, **changes: object) -> ServerExchange:
    given_ = {"nonce": "server-nonce-of-24-octets", "secret": b"secret", **changes}
    exchange = begin(mechanism, ServerSide(**given_))  # type: ignore[arg-type]
    assert exchange is not None
    return exchange


def a_client(names: tuple[str, ...], **changes: object) -> ClientExchange:
    given_ = {
        "credentials": Credentials("ann@a.test", "pencil"),
        "nonce": "client-nonce-of-24-octets",
        "encrypted": True,
        **changes,
    }
    exchange = choose(names, ClientSide(**given_))  # type: ignore[arg-type]
    assert exchange is not None
    return exchange


def talk(client: ClientExchange, server: ServerExchange, keys: tuple[ScramKeys, ...] = ()) -> Step:
    """Run an exchange to its end; the password is `pencil`, the token `good`."""
    step = server.step(client.initial())
    for _ in range(10):
        match step:
            case Challenge(octets):
                step = server.step(client.respond(octets))
            case VerifyPassword(_, password):
                step = server.answer(password == "pencil")
            case VerifyToken(_, token):
                step = server.answer(token == "good")
            case FetchKeys():
                step = server.answer(keys)
            case _:
                return step
    raise AssertionError("the exchange does not end")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_the_right_password_logs_in(mechanism: str) -> None:
    client = a_client((mechanism,), channel_bindings=BINDING)
    server = a_server(mechanism, channel_bindings=BINDING)
    step = talk(client, server, (some_keys(),))
    assert isinstance(step, Succeeded)
    assert step.username == "ann@a.test"
    client.succeeded()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_a_wrong_password_does_not(mechanism: str) -> None:
    wrong = Credentials("ann@a.test", "pen")
    client = a_client((mechanism,), credentials=wrong, channel_bindings=BINDING)
    server = a_server(mechanism, channel_bindings=BINDING)
    step = talk(client, server, (some_keys(),))
    assert step == Rejected("wrong password or unknown user", "ann@a.test")


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("token", ["good", "bad"])
def test_a_token_is_handed_over_to_be_verified(mechanism: str, token: str) -> None:
    client = a_client((mechanism,), credentials=Credentials("ann@a.test", token=token), host="h")
    step = talk(client, a_server(mechanism))
    if token == "good":
        assert step == Succeeded("ann@a.test")
    else:
        assert step == Rejected("the token was not accepted", "ann@a.test")


def test_the_example_of_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    server = a_server("SCRAM-SHA-256", nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert server.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == FetchKeys("user")
    assert server.answer((some_keys("pencil", salt),)) == Challenge(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert server.step(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    ) == Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert isinstance(server.step(b""), Succeeded)


def test_the_client_of_the_example_of_rfc_7677() -> None:
    client = a_client(
        ("SCRAM-SHA-256",), credentials=Credentials("user", "pencil"), nonce="rOprNGfwEbeRWgbNEkqO"
    )
    assert client.initial() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = client.respond(
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert final.endswith(b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert client.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    client.succeeded()


def test_a_name_that_is_not_ascii_may_be_said_twice() -> None:
    """As the name to act for and as the own one (RFC 5802 §5.1); both belong to the binding."""
    header, server = "n,a=änn,".encode(), a_server("SCRAM-SHA-256")
    assert isinstance(server.step(header + "n=änn,r=abc".encode()), FetchKeys)
    server.answer((some_keys(),))
    binding = base64.b64encode(header)
    wrong = base64.b64encode(bytes(32))
    final = b"c=" + binding + b",r=abcserver-nonce-of-24-octets,p=" + wrong
    assert server.step(final) == Rejected("wrong password or unknown user", "änn")


def test_any_of_several_passwords_with_one_salt_logs_in() -> None:
    keys = (some_keys("own"), some_keys("pencil"))
    step = talk(a_client(("SCRAM-SHA-256",)), a_server("SCRAM-SHA-256"), keys)
    assert step == Succeeded("ann@a.test", keys[1])


def test_nobody_gets_the_same_course_as_a_wrong_password() -> None:
    server = a_server("SCRAM-SHA-256")
    first = server.step(b"n,,n=nobody,r=abc")
    challenge = server.answer(())
    again = a_server("SCRAM-SHA-256")
    again.step(b"n,,n=nobody,r=abc")
    assert isinstance(first, FetchKeys)
    assert challenge == again.answer(()), "the invented salt must not change"
    step = talk(a_client(("SCRAM-SHA-256",)), a_server("SCRAM-SHA-256"))
    assert step == Rejected("wrong password or unknown user", "ann@a.test")


def test_a_client_that_was_not_shown_plus_is_a_downgrade() -> None:
    client = a_client(("SCRAM-SHA-256",), channel_bindings=BINDING)
    server = a_server("SCRAM-SHA-256", channel_bindings=BINDING, offers_plus=True)
    step = server.step(client.initial())
    assert isinstance(step, Rejected)
    assert "downgrade" in step.why


def test_a_binding_to_another_connection_is_refused() -> None:
    client = a_client(("SCRAM-SHA-256-PLUS",), channel_bindings=(("tls-exporter", b"other"),))
    server = a_server("SCRAM-SHA-256-PLUS", channel_bindings=BINDING)
    step = talk(client, server, (some_keys(),))
    assert step == Rejected("SCRAM: the channel binding differs", "ann@a.test")


def test_a_server_that_proves_nothing_is_not_trusted() -> None:
    client = a_client(("SCRAM-SHA-256",))
    client.initial()
    with pytest.raises(SaslError):
        client.succeeded()


@each(
    "first",
    [
        b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=client-nonce-of-24-octets,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"r=client-nonce-of-24-octetsX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10",
        b"r=client-nonce-of-24-octetsX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=9999999",
        b"m=unknown,r=client-nonce-of-24-octetsX,s=W22Z,i=4096",
        b"r=client-nonce-of-24-octetsX,s=W,i=4096",
        b"\xff",
    ],
)
def test_a_client_refuses_a_bad_server_first(first: bytes) -> None:
    client = a_client(("SCRAM-SHA-256",))
    client.initial()
    with pytest.raises(SaslError):
        client.respond(first)


@each(
    ("mechanism", "response"),
    [
        ("PLAIN", b"ann\0pencil"),
        ("PLAIN", b"\0ann\0pen\0cil"),
        ("PLAIN", b"root\0ann\0pencil"),
        ("PLAIN", b"\0a\x07nn\0pencil"),
        ("PLAIN", b"\0\0pencil"),
        ("PLAIN", b"\0ann\0"),
        ("PLAIN", b"\0ann\0\xff"),
        ("PLAIN", b"\0ann\0" + b"x" * 20_000),
        ("LOGIN", b"ann\0"),
        ("LOGIN", b""),
        ("SCRAM-SHA-256", b"n,,n=ann"),
        ("SCRAM-SHA-256", b"n,a=root,n=ann,r=abc"),
        ("SCRAM-SHA-256", b"n,,n=a=nn,r=abc"),
        ("SCRAM-SHA-256", b"p=tls-exporter,,n=ann,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"n,,n=ann,r=abc"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=ann,r=abc"),
        ("OAUTHBEARER", b"n,a=ann,\x01auth=Basic eDp5\x01\x01"),
        ("OAUTHBEARER", b"n,a=ann,\x01\x01"),
        ("XOAUTH2", b"user=ann\x01auth=Bearer \xff\x01\x01"),
    ],
)
def test_a_malformed_response_ends_the_exchange(mechanism: str, response: bytes) -> None:
    step = a_server(mechanism, channel_bindings=BINDING[:1]).step(response)
    assert isinstance(step, Rejected)
    assert step.malformed


@each("mechanism", SERVERS)
def test_a_client_may_cancel(mechanism: str) -> None:
    server = a_server(mechanism)
    assert isinstance(server.step(None), Challenge)
    step = server.step(None)
    assert isinstance(step, Rejected)
    assert step.cancelled


def test_nothing_that_gives_a_password_away_is_offered_or_chosen_in_the_clear() -> None:
    assert offered(encrypted=False, channel_bindings=True) == ("SCRAM-SHA-256",)
    credentials = Credentials("ann", "pencil")
    clear = ClientSide(credentials, "n" * 24)
    assert choose(("PLAIN", "LOGIN"), clear) is None
    assert choose(("OAUTHBEARER",), ClientSide(Credentials("a", token="t"), "n" * 24)) is None


def test_the_strongest_common_mechanism_is_chosen() -> None:
    assert offered(encrypted=True, channel_bindings=True, tokens=True) == ALL
    assert a_client(ALL, channel_bindings=BINDING).mechanism == "SCRAM-SHA-256-PLUS"
    assert a_client(ALL).mechanism == "SCRAM-SHA-256"
    assert a_client(("LOGIN", "PLAIN")).mechanism == "PLAIN"
    assert a_client(ALL, credentials=Credentials("a", token="t")).mechanism == "OAUTHBEARER"


def test_without_stored_keys_no_mechanism_that_needs_them_is_offered() -> None:
    names = offered(encrypted=True, channel_bindings=True, tokens=True, keys=False)
    assert names == ("OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")
    assert offered(encrypted=False, channel_bindings=False, keys=False) == ()


@pytest.mark.parametrize("username", ["", "ann@a.test"])
def test_a_certificate_says_who_it_is_and_may_be_asked_for_one(username: str) -> None:
    client = a_client(SERVERS, credentials=Credentials(username, certificate=True))
    assert client.mechanism == "EXTERNAL"
    server = a_server("EXTERNAL")
    assert server.step(client.initial()) == VerifyCertificate(username)
    assert server.answer(Identified("ann@a.test")) == Succeeded("ann@a.test")


def test_a_certificate_without_an_initial_response_is_asked_for_its_name() -> None:
    server = a_server("EXTERNAL")
    assert server.step(None) == Challenge(b"")
    assert server.step(b"ann@a.test") == VerifyCertificate("ann@a.test")
    refused = server.answer(False)
    assert isinstance(refused, Rejected)
    assert not refused.malformed


@pytest.mark.parametrize("authzid", [b"ann\0@a.test", b"ann\n", b"\xff", b"a" * 400])
def test_a_name_that_cannot_be_one_is_malformed(authzid: bytes) -> None:
    step = a_server("EXTERNAL").step(authzid)
    assert isinstance(step, Rejected)
    assert step.malformed


def test_a_certificate_is_no_password() -> None:
    credentials = Credentials("ann@a.test", certificate=True)
    assert choose(ALL, ClientSide(credentials, "n" * 24, encrypted=True)) is None
    both = Credentials("ann@a.test", "pencil", certificate=True)
    assert a_client(("PLAIN",), credentials=both).mechanism == "PLAIN"


@pytest.mark.parametrize(
    ("mechanism", "response", "told"),
    [
        (
            "OAUTHBEARER",
            b"n,,\x01auth=Bearer x\x01\x01",
            b'{"status": "insufficient_scope", "schemes": "bearer", "scope": "mail", '
            b'"openid-configuration": "https://id.a.test/.well-known/openid-configuration"}',
        ),
        (
            "XOAUTH2",
            b"user=ann@a.test\x01auth=Bearer x\x01\x01",
            b'{"status": "403", "schemes": "bearer", "scope": "mail"}',
        ),
    ],
)
def test_a_token_that_is_refused_is_told_why(mechanism: str, response: bytes, told: bytes) -> None:
    server = a_server(mechanism)
    assert isinstance(server.step(response), VerifyToken)
    where = "https://id.a.test/.well-known/openid-configuration"
    assert server.answer(TokenRefused("insufficient_scope", "mail", where)) == Challenge(told)
    assert isinstance(server.step(b"\x01"), Rejected)


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_token_may_say_itself_whose_it_is(mechanism: str) -> None:
    server = a_server(mechanism)
    client = a_client((mechanism,), credentials=Credentials("ann@a.test", token="good"))
    assert server.step(client.initial()) == VerifyToken("ann@a.test", "good")
    assert server.answer(Identified("ann@a.test")) == Succeeded("ann@a.test")


def test_an_unknown_mechanism_has_no_exchange() -> None:
    assert begin("CRAM-MD5", ServerSide("n", b"s")) is None


@each(
    ("text", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_the_examples_of_rfc_4013(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031"])
def test_what_rfc_4013_prohibits(text: str) -> None:
    with pytest.raises(SaslError):
        prepare(text)


@given(st.sampled_from(SERVERS), st.lists(st.one_of(st.none(), st.binary(max_size=60)), max_size=5))
def test_no_response_raises(mechanism: str, responses: list[bytes | None]) -> None:
    server = a_server(mechanism, channel_bindings=BINDING)
    for response in responses:
        step = server.step(response)
        if isinstance(step, FetchKeys):
            step = server.answer((some_keys(),))
        elif isinstance(step, VerifyPassword | VerifyToken | VerifyCertificate):
            step = server.answer(False)
        if isinstance(step, Rejected | Succeeded):
            break
    assert isinstance(step, Challenge | Rejected) if responses else True
