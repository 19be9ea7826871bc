"""OpenDKIM and Merpati believe one another's signatures, and nothing that was altered."""

import re
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest

from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.keypair import KeyKind
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import SigningSettings, sign
from merpati.authenticity.dkim.verifier import verify
from merpati.testing.answers import Answers
from tests.authenticity.dkim.signed import MESSAGE, a_key, zone
from tests.interop import peers
from tests.interop.conftest import needs

pytestmark = pytest.mark.interop

KINDS = [KeyKind.RSA_2048, KeyKind.ED25519]
CASES = [
    pytest.param(kind, header, body, id=f"{kind.value} {header.value}/{body.value}")
    for kind, header, body in product(KINDS, Canonicalization, Canonicalization)
]
cases = pytest.mark.parametrize(("kind", "header", "body"), CASES)
# Ed25519 with a simple header OpenDKIM 2.11 signs so that not even it itself believes it.
sound = pytest.mark.parametrize(
    ("kind", "header", "body"),
    [case for case in CASES if case.values[:2] != (KeyKind.ED25519, Canonicalization.SIMPLE)],
)
COMMON = "Syslog no\nSocket inet:0@127.0.0.1\nRequireSafeKeys no\n"
SIGNING = """\
Mode s
Domain a.test
Selector {key.selector}
KeyFile {folder}/key
Canonicalization {header.value}/{body.value}
SignatureAlgorithm {key.pair.algorithm}
OversignHeaders From,To
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs("opendkim", "opendkim")


def opendkim(folder: Path, configuration: str, message: bytes) -> str:
    """What OpenDKIM says of one message."""
    (folder / "conf").write_text(COMMON + configuration)
    (folder / "message").write_bytes(message)
    command = [peers.find("opendkim") or "", "-x", folder / "conf", "-t", folder / "message", "-vv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def their_result(folder: Path, message: bytes, kind: KeyKind) -> str:
    key = a_key(kind)
    record = key.pair.record.decode()
    (folder / "keys").write_text(f"{key.selector}._domainkey.{key.domain} {record}\n")
    said = opendkim(folder, f"Mode v\nTestPublicKeys {folder}/keys\n", message)
    found = re.search(r"\bdkim=(\w+)", said)
    assert found, said
    return found[1]


def our_result(message: bytes, kind: KeyKind) -> Result:
    (verdict,) = Answers(zone(a_key(kind))).answer(verify([message], time.time()))
    return verdict.result


@cases
def test_opendkim_believes_us(
    tmp_path: Path, kind: KeyKind, header: Canonicalization, body: Canonicalization
) -> None:
    settings = SigningSettings(header, body)
    message = sign([MESSAGE], [a_key(kind)], int(time.time()), settings) + MESSAGE
    assert their_result(tmp_path, message, kind) == "pass"
    assert their_result(tmp_path, message.replace(b"apa", b"aqa"), kind) == "fail"
    assert their_result(tmp_path, message.replace(b"Budi", b"Bodi"), kind) == "fail"
    assert their_result(tmp_path, b"From: eve@a.test\r\n" + message, kind) == "fail"


@sound
def test_we_believe_opendkim(
    tmp_path: Path, kind: KeyKind, header: Canonicalization, body: Canonicalization
) -> None:
    key = a_key(kind)
    (tmp_path / "key").write_bytes(key.pair.pem)
    (tmp_path / "key").chmod(0o600)
    configuration = SIGNING.format(key=key, folder=tmp_path, header=header, body=body)
    said = opendkim(tmp_path, configuration, MESSAGE)
    found = re.search(r"hname='DKIM-Signature' hvalue='([^']*)'", said)
    assert found, said
    value = found[1].replace("\n", "\r\n").encode()
    message = b"DKIM-Signature: " + value + b"\r\n" + MESSAGE
    assert our_result(message, kind) is Result.PASS
    assert our_result(message.replace(b"apa", b"aqa"), kind) is Result.FAIL
    assert our_result(b"To: eve@a.test\r\n" + message, kind) is Result.FAIL
