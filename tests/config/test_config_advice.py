"""What does not stop a server and is told all the same."""

import pwd
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from merpati.certificates.cabinet import State
from merpati.config.advice import SOON, advise
from merpati.config.certificates import cabinet, orders
from merpati.config.settings import load
from merpati.testing.clock import VirtualClock
from merpati.wire.certificates import VALID_DAYS, make_self_signed, read_shown
from merpati.wire.errors import TlsError

NOW = 1_800_000_000.0
DAY = 86_400.0
END = NOW + VALID_DAYS * DAY

Told = Callable[..., list[str]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """The warnings for a file at a time; its certificate is for mx.a.test."""
    make_self_signed(
        tmp_path / "cert.pem", tmp_path / "key.pem", VirtualClock(NOW), ["mx.a.test", "*.b.test"]
    )

    def tell(
        now: float = NOW, hostname: str = "mx.a.test", listen: str = "127.0.0.1:0"
    ) -> list[str]:
        file = tmp_path / "merpati.toml"
        file.write_text(
            f'hostname = "{hostname}"\n[[port]]\nrole = "mx"\nlisten = "{listen}"\n'
            '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
        )
        return [flaw.tell("f") for flaw in advise(load(file), now, is_running=False)]

    return tell


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (NOW, None),
        (END - SOON - 1, None),
        (END - SOON + 1, "f:6: tls, certificate: expires in 14 days"),
        (END + 2 * DAY, "f:6: tls, certificate: expired 2 days ago"),
        (NOW - 2 * DAY, "f:6: tls, certificate: is not valid yet"),
    ],
)
def test_the_end_of_a_certificate_is_told_in_time(told: Told, now: float, says: str | None) -> None:
    assert [line.partition(".")[0] for line in told(now)] == ([says] if says else [])


def test_a_policy_that_is_enforced_wants_a_certificate_that_others_can_verify(
    tmp_path: Path,
) -> None:
    make_self_signed(tmp_path / "c.pem", tmp_path / "k.pem", VirtualClock(NOW), ["mx.a.test"])
    issued = trustme.CA().issue_cert("mx.a.test")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "ca.pem")
    issued.private_key_pem.write_to_path(tmp_path / "ca.key")
    file = tmp_path / "merpati.toml"
    own = '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n'
    good = '[tls]\ncertificate = "ca.pem"\nkey = "ca.key"\n'
    for mode, hostname, tls, why in (
        ("enforce", "mx.a.test", "", "there is no certificate but one of this server's own making"),
        ("enforce", "mx.a.test", own, "the certificate for mx.a.test is signed by itself"),
        ("enforce", "mx.b.test", good, "no certificate is for mx.b.test"),
        (
            "enforce",
            "mx.a.test",
            "[acme]\nterms_agreed = true\n",
            "there is no certificate of the CA yet",
        ),
        ("enforce", "mx.a.test", good, ""),
        ("testing", "mx.a.test", own, ""),
    ):
        text = f'hostname = "{hostname}"\n{tls}[http]\nlisten = "127.0.0.1:0"\n'
        file.write_text(f'{text}[mta_sts]\nmode = "{mode}"\n')
        said = [one.tell("f") for one in advise(load(file), NOW, is_running=True)]
        found = [line for line in said if "senders that obey MTA-STS would deliver nothing" in line]
        assert len(found) == bool(why), (mode, tls, said)
        assert all(why in line for line in found), found


@pytest.mark.parametrize(
    ("hostname", "covered"),
    [
        ("mx.a.test", True),
        ("MX.A.test", True),
        ("mail.b.test", True),
        ("b.test", False),
        ("a.b.b.test", False),
        ("other.test", False),
    ],
)
def test_a_certificate_for_another_name_is_told(told: Told, hostname: str, covered: bool) -> None:
    lines = told(hostname=hostname)
    assert lines == [] if covered else "It is for: mx.a.test, *.b.test" in lines[0]


def test_a_port_that_is_taken_is_told_unless_we_have_it(told: Told, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (line,) = told(listen=f"127.0.0.1:{port}")
        assert f"f:4: port 1, listen: cannot listen on 127.0.0.1:{port}" in line
        assert advise(load(tmp_path / "merpati.toml"), NOW, is_running=True) == []


def test_a_file_that_the_user_cannot_read_is_told(told: Told, tmp_path: Path) -> None:
    told()
    file = tmp_path / "merpati.toml"
    route = '[[route]]\nmatch = ["*"]\nto = "smtp://a.test"\npassword_file = "secret"\n'
    file.write_text('user = "nobody"\n' + file.read_text() + route + 'username = "ann"\n')
    (tmp_path / "secret").write_text("words")
    for name in ("secret", "key.pem"):
        (tmp_path / name).chmod(0o600)
    lines = [flaw.tell("f") for flaw in advise(load(file), NOW, is_running=False)]
    assert any("nobody cannot read" in line and "secret" in line for line in lines)
    # A process that stays root reads keys.
    assert not any("key.pem" in line for line in lines)


def test_certificates_for_other_hosts_and_of_a_directory_are_looked_at(
    told: Told, tmp_path: Path
) -> None:
    folder = tmp_path / "hosts"
    folder.mkdir()
    for name in ("b.test", "c.test"):
        pair = folder / f"{name}.pem", folder / f"{name}.key"
        make_self_signed(*pair, VirtualClock(NOW - 3640 * DAY), [name])
    (folder / "c.test.key").write_text("no key")
    told()
    file = tmp_path / "merpati.toml"
    host = '[[tls.host]]\ncertificate = "hosts/b.test.pem"\nkey = "hosts/b.test.key"\n'
    file.write_text(file.read_text() + 'directory = "hosts"\n' + host)
    first, second = [flaw.tell("f") for flaw in advise(load(file), NOW, is_running=True)]
    assert "tls, host 1, certificate: expires in 10 days" in first
    assert "tls, directory: certificate" in second
    assert "c.test.pem" in second


def test_root_reads_everything(told: Told, tmp_path: Path) -> None:
    told()
    file = tmp_path / "merpati.toml"
    file.write_text(f'user = "{pwd.getpwuid(0).pw_name}"\n' + file.read_text())
    assert advise(load(file), NOW, is_running=False) == []


def test_what_is_no_certificate_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("x")
    with pytest.raises(TlsError):
        read_shown(tmp_path / "x.pem")


def test_what_keeps_a_ca_from_giving_a_certificate_is_told(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(
        'hostname = "mx.a.test"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:0"\n[acme]\n'
        'terms_agreed = true\nchallenge = "hook"\nhook = ["/nowhere/hook"]\n'
        'names = ["*.bücher.test", "b.test"]\nauthorities = "none.pem"\n'
    )
    settings = load(file)
    assert orders(settings) == (("*.xn--bcher-kva.test", "b.test"),)
    kept = cabinet(settings)
    kept.open()
    kept.put_state("*.xn--bcher-kva.test", State(failures=1, error="the CA says: no"))
    pair = Path(kept.folder / "c"), Path(kept.folder / "k")
    make_self_signed(*pair, VirtualClock(NOW), ["b.test"])
    kept.put("*.xn--bcher-kva.test", pair[1].read_bytes(), pair[0].read_bytes())
    found = [flaw.tell("f") for flaw in advise(settings, END - DAY, is_running=True)]
    for what in (
        "expires in 1 days",
        "is not for mx.a.test",
        "none.pem cannot be read",
        "/nowhere/hook cannot be run",
        "was not got: the CA says: no",
    ):
        assert any("acme" in line and what in line for line in found), what
