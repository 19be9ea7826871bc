"""`merpati certificate show`: what the DNS has of a key, as lines of a zone file."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from merpati.certificates.tlsa import identity_of
from merpati.cli.main import merpati
from merpati.testing.zone import zone_in_a_thread

pytestmark = pytest.mark.slow

Show = Callable[[str], Result]
HOST = "mx.a.test"
ISSUED = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(HOST, key_type=trustme.KeyType.ECDSA)
KEY = identity_of(ISSUED.cert_chain_pems[0].bytes()).key
SHA256, SHA512 = hashlib.sha256(KEY).hexdigest(), hashlib.sha512(KEY).hexdigest()


@pytest.fixture
def show(tmp_path: Path) -> Show:
    ISSUED.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    (tmp_path / "own.pem").chmod(0o600)
    file = tmp_path / "merpati.toml"

    def show(zone: str) -> Result:
        with zone_in_a_thread(zone) as dns:
            dns.authentic = True
            file.write_text(
                'hostname = "mx.a.test"\n[tls]\ncertificate = "own.pem"\nkey = "own.pem"\n'
                '[dns]\ntrusted = true\nservers = ["{}:{}"]\n'.format(*dns.address)
            )
            return CliRunner().invoke(merpati, ["-c", str(file), "certificate", "show", HOST])

    return show


def test_what_stands_there_and_what_is_lacking_have_the_forms_of_the_zone(show: Show) -> None:
    told = show(f"_25._tcp.{HOST} TLSA 3 1 2 {'ab' * 64}\n_25._tcp.{HOST} TLSA 3 1 1 {SHA256}")
    assert told.exit_code == 0, told.output
    records = told.stdout[told.stdout.index("_25._tcp") :].splitlines()
    assert set(records[:2]) == {
        f"_25._tcp.{HOST}. IN TLSA 3 1 2 {'ab' * 64} ; in the DNS, of another key",
        f"_25._tcp.{HOST}. IN TLSA 3 1 1 {SHA256} ; in the DNS, of this key",
    }
    assert records[2:] == [
        f"_25._tcp.{HOST}. IN TLSA 3 1 2 {SHA512} ; not in the DNS: publish it beside these"
    ]


def test_where_nothing_stands_the_usual_record_is_printed(show: Show) -> None:
    told = show("x.test A 192.0.2.9")
    why = "not in the DNS: publish it if the zone is signed (DNSSEC)"
    assert f"_25._tcp.{HOST}. IN TLSA 3 1 1 {SHA256} ; {why}\n" in told.stdout
