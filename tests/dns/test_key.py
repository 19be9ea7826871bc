"""Files with a key in BIND's form (RFC 8945)."""

import subprocess
from pathlib import Path

import pytest

from merpati.dns.key import Algorithm, KeyFileError, key_of, read_key
from tests.cases import each

SECRET = "MTIzNDU2Nzg5MDEyMzQ1Ng=="


def a_key(name: str = '"k"', algorithm: str = "hmac-sha256", secret: str = f'"{SECRET}"') -> str:
    return f"key {name} {{\n\talgorithm {algorithm};\n\tsecret {secret};\n}};\n"


@pytest.mark.parametrize(
    "text",
    [
        a_key(),
        a_key(name="K", algorithm="HMAC-SHA256.", secret=SECRET),
        f'/* of "a.test" */ key k{{secret "{SECRET}";algorithm "hmac-sha256";}}; # }} "the end"',
        f"// don't\n{a_key()}",
    ],
)
def test_a_key_is_read_however_it_is_written(text: str) -> None:
    key = read_key(text)
    assert (key.name, key.algorithm, key.secret) == (
        "k",
        Algorithm.HMAC_SHA256,
        b"1234567890123456",
    )


def test_a_comment_does_not_begin_within_a_secret() -> None:
    assert read_key(a_key(secret="A" * 20 + "//8=")).secret[-2:] == b"\xff\xff"


@each(
    ("text", "told"),
    [
        ("", "not one key"),
        (a_key() * 2, "not one key"),
        (a_key() + " " * 10_000, "not one key"),
        (a_key(algorithm="hmac-md5"), "another algorithm"),
        (a_key(secret='"?"'), "base64"),
        (a_key(secret='"AAAA"'), "less than 16"),
        (a_key().replace("secret", "algorithm"), "each once"),
    ],
)
def test_what_is_no_key_is_told_without_its_secret(text: str, told: str) -> None:
    with pytest.raises(KeyFileError, match=told) as error:
        read_key(text)
    assert "MTIz" not in str(error.value)
    assert "AAAA" not in str(error.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "update.key"
    file.write_text(a_key())
    file.chmod(0o604)
    with pytest.raises(KeyFileError, match=f"chmod 600 {file}"):
        key_of(file)
    file.chmod(0o600)
    assert key_of(file).name == "k"
    with pytest.raises(KeyFileError, match=r"none\.key cannot be read"):
        key_of(tmp_path / "none.key")


def test_a_key_shows_its_secret_in_no_text() -> None:
    key = read_key(a_key())
    assert "1234" not in f"{key} {key!r}"


@pytest.mark.interop
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_binds_program_writes_is_read(algorithm: Algorithm) -> None:
    from tests.interop.conftest import needs
    from tests.interop.peers import find

    needs("tsig-keygen", "bind9")
    program = find("tsig-keygen")
    assert program
    text = subprocess.run(
        [program, "-a", algorithm.value, "merpati"],
        check=True,
        capture_output=True,
        timeout=60,
        text=True,
    ).stdout
    assert read_key(text).algorithm is algorithm
