"""Passwords as they are kept."""

import hashlib
import hmac
from dataclasses import replace

import pytest

from merpati.directory.password import find_secret, make_secret
from merpati.smtp.sasl.exchange import SaslError


def entropy(size: int) -> bytes:
    return bytes(range(size))


def test_each_password_of_an_account_is_told_apart() -> None:
    own = make_secret("", "own secret", entropy)
    app = make_secret("thunderbird", "app secret", entropy, like=own)
    assert find_secret([own, app], "own secret") == own
    assert find_secret([own, app], "app secret") == app
    assert find_secret([own, app], "Own secret") is None
    assert find_secret([], "own secret") is None


def test_secrets_of_one_account_share_a_salt_and_others_do_not() -> None:
    own = make_secret("", "secret", entropy)
    app = make_secret("app", "secret", lambda size: b"x" * size, like=own)
    other = make_secret("", "secret", lambda size: b"x" * size)
    assert app.scram_salt == own.scram_salt
    assert app.argon2 == own.argon2
    assert other.argon2 != own.argon2


@pytest.mark.slow
def test_what_is_kept_is_argon2id_with_its_cost() -> None:
    assert make_secret("", "secret", entropy).argon2.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_scram_keys_prove_the_password() -> None:
    secret = make_secret("", "pässword", entropy)
    salted = hashlib.pbkdf2_hmac(
        "sha256", "pässword".encode(), secret.scram_salt, secret.scram_iterations
    )
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    assert hashlib.sha256(client_key).digest() == secret.stored_key
    assert hmac.digest(salted, b"Server Key", "sha256") == secret.server_key


@pytest.mark.parametrize("password", ["", "bell\a", "x" * 1025])
def test_what_no_client_could_send_is_no_password(password: str) -> None:
    with pytest.raises(SaslError):
        make_secret("", password, entropy)


def test_a_password_is_kept_in_its_prepared_form() -> None:
    decomposed = make_secret("", "pa\u0308ss", entropy)
    assert decomposed.argon2 == make_secret("", "päss", entropy).argon2


def test_a_kept_hash_that_is_damaged_lets_nobody_in() -> None:
    secret = make_secret("", "secret", entropy)
    assert find_secret([replace(secret, argon2="")], "secret") is None
