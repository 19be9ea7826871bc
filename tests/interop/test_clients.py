"""Real clients hand in mail: swaks, msmtp, smtplib, aiosmtplib, nodemailer."""

import email
import email.policy
import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiosmtplib
import pytest

from tests.interop.conftest import PASSWORD, Installation, needs, wait_for
from tests.interop.peers import find

pytestmark = pytest.mark.interop

NODE = Path(__file__).parent / "node"
CONTENT = "From: ann@a.test\r\nTo: budi@a.test\r\nSubject: halo\r\n\r\nselamat pagi\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(tmp_path_factory.mktemp("clients"))
    one.populate()
    one.start()
    yield one
    assert one.stop() == 0, one.output()


@pytest.fixture
def server(running: Installation) -> Installation:
    """One for all clients; budi has read what came before."""
    for mail in running.box("budi").glob("*"):
        mail.unlink()
    return running


def trusting() -> ssl.SSLContext:
    """Takes the self-signed certificate that a first start makes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def arrived(server: Installation, count: int = 1) -> bytes:
    """Budi's newest mail once `count` are there."""
    wait_for(lambda: len(server.mails("budi")) == count)
    return server.mails("budi")[-1]


def run(*command: str | Path, text: str = "") -> str:
    done = subprocess.run(
        [str(part) for part in command], input=text, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_swaks_by_starttls(server: Installation, auth: str) -> None:
    needs("swaks", "swaks")
    printed = run(
        *("swaks", "--server", f"127.0.0.1:{server.submission}", "--tls", "--auth", auth),
        *("--auth-user", "ann@a.test", "--auth-password", PASSWORD),
        *("--from", "ann@a.test", "--to", "budi@a.test", "--pipeline"),
    )
    assert "queued as" in printed
    assert b"This is a test mailing" in arrived(server)


def test_swaks_is_not_offered_auth_in_the_clear(server: Installation) -> None:
    needs("swaks", "swaks")
    done = subprocess.run(
        [
            *("swaks", "--server", f"127.0.0.1:{server.submission}", "--auth", "PLAIN"),
            *("--auth-user", "ann@a.test", "--auth-password", PASSWORD),
            *("--from", "ann@a.test", "--to", "budi@a.test"),
        ],
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "AUTH" not in done.stdout.split("EHLO", 1)[1].split("QUIT")[0].replace("*** ", "")[:400]


@pytest.mark.parametrize("auth", ["plain", "login", "scram-sha-256"])
def test_msmtp(server: Installation, tmp_path: Path, auth: str) -> None:
    needs("msmtp", "msmtp")
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost 127.0.0.1\nport {server.submissions}\ntls on\ntls_starttls off\n"
        f"tls_certcheck off\nauth {auth}\nuser ann@a.test\npassword {PASSWORD}\nfrom ann@a.test\n"
    )
    config.chmod(0o600)
    run("msmtp", "-C", config, "budi@a.test", text=CONTENT)
    assert b"selamat pagi" in arrived(server)


def test_smtplib_by_implicit_tls(server: Installation) -> None:
    with smtplib.SMTP_SSL(
        "127.0.0.1", server.submissions, timeout=60, context=trusting()
    ) as client:
        client.login("ann@a.test", PASSWORD)
        client.sendmail("ann@a.test", ["budi@a.test"], CONTENT)
    mail = arrived(server)
    assert b"with ESMTPSA" in mail
    assert b"Message-ID:" in mail


def test_a_wrong_password_is_refused_and_the_right_one_still_works(server: Installation) -> None:
    with smtplib.SMTP_SSL(
        "127.0.0.1", server.submissions, timeout=60, context=trusting()
    ) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ann@a.test", "salah")
        client.login("ann@a.test", PASSWORD)


async def test_aiosmtplib(server: Installation) -> None:
    for n in (1, 2):
        await aiosmtplib.send(
            CONTENT,
            sender="ann@a.test",
            recipients=["budi@a.test"],
            hostname="127.0.0.1",
            port=server.submission,
            username="ann@a.test",
            password=PASSWORD,
            start_tls=True,
            tls_context=trusting(),
        )
        assert b"selamat pagi" in arrived(server, n)


@pytest.mark.parametrize("secure", ["yes", "no"])
def test_nodemailer(server: Installation, secure: str) -> None:
    needs("node", "nodejs")
    needs(NODE / "node_modules/nodemailer", "none; npm ci in tests/interop/node")
    port = server.submissions if secure == "yes" else server.submission
    printed = run(
        find("node") or "node", NODE / "send.js", str(port), secure, "ann@a.test", PASSWORD,
        "budi@a.test",
    )  # fmt: skip
    assert "queued as" in printed
    mail = email.message_from_bytes(arrived(server), policy=email.policy.default)
    assert mail["Subject"] == "Selamat pagi ✓ ☕"
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == (
        "Halo dari nodemailer.\n.\n..\n"
    )
