"""Logins that others vouch for, by real servers and with real clients."""

import json
import smtplib
import ssl
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from merpati.cli.main import merpati
from merpati.testing.process import MerpatiProcess, free_port
from tests.interop.conftest import needs, wait_for
from tests.interop.keepers import NODE, OpenIdProvider, Slapd
from tests.interop.peers import find

pytestmark = pytest.mark.interop

CONFIG = """\
hostname = "mx.a.test"
workers = 1
[[port]]
role = "submissions"
listen = "127.0.0.1:{port}"
{more}
"""
LDAP = """\
client_certificates = "optional"
[login.certificates]
authorities = "clients.pem"
[login.ldap]
servers = ["ldap://127.0.0.1:9", "ldap://127.0.0.1:{port}"]
authorities = "{authorities}"
base = "dc=a,dc=test"
filter = "(&(objectClass=person)(mail={{user}}))"
bind_dn = "cn=reader,dc=a,dc=test"
bind_password_file = "reader"
[login.oauth]
issuer = "{issuer}"
audience = ["merpati"]
scope = ["mail"]
client_id = "merpati"
client_secret_file = "client"
"""
USERS = ("ann@a.test", "budi@a.test")
SECRET = "rahasia di luar"


class Server(MerpatiProcess):
    """A Merpati for a.test where ann and budi live, without passwords."""

    def __init__(self, folder: Path, more: str) -> None:
        self.port = free_port()
        super().__init__(folder, CONFIG.format(port=self.port, more=more), [self.port])

    def populate(self) -> None:
        for words in (
            ("domain", "add", "a.test"),
            *(("user", "add", one, "--no-password") for one in USERS),
        ):
            # In this process: four new ones would take most of this module's time.
            done = CliRunner().invoke(merpati, ["--config", str(self.config), *words])
            assert done.exit_code == 0, done.output

    def logins(self, kind: str = "logged-in") -> list[dict[str, str]]:
        """What the log has of them."""
        return [json.loads(line) for line in self.lines() if f'"{kind}"' in line]

    def connect(self) -> smtplib.SMTP_SSL:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return smtplib.SMTP_SSL("127.0.0.1", self.port, timeout=60, context=context)


@dataclass
class Town:
    """A Merpati, the LDAP server that knows its people, and the authority of their certificates."""

    server: Server
    slapd: Slapd
    provider: OpenIdProvider
    tokens: list[str]
    """All that were shown."""
    clients: trustme.CA
    folder: Path

    def token(self, name: str, kind: str = "jwt", scope: str = "mail") -> str:
        """A new one of the provider's."""
        self.tokens.append(self.provider.token(name, kind, scope))
        return self.tokens[-1]

    def certificate(self, *names: str) -> Path:
        """A client's certificate and key in one file."""
        file = self.folder / f"{'-'.join(names)}.pem"
        self.clients.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(file)
        return file


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    needs("slapd", "slapd")
    needs("node", "nodejs")
    needs(NODE / "node_modules/oidc-provider", "none; npm ci in tests/interop/node")
    folder = tmp_path_factory.mktemp("town")
    authority, clients = trustme.CA(), trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    pair = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    slapd = Slapd(folder / "ldap", (*pair, authority.cert_pem.bytes()))
    slapd.start({"ann": SECRET, "eve": SECRET})
    provider = OpenIdProvider(folder / "provider")
    provider.start()
    more = LDAP.format(port=slapd.port, authorities=slapd.authorities, issuer=provider.issuer)
    server = Server(folder / "merpati", more)
    clients.cert_pem.write_to_path(folder / "merpati/clients.pem")
    for name, secret in (("reader", "reader-secret"), ("client", "merpati-secret")):
        (folder / "merpati" / name).write_text(f"{secret}\n")
        (folder / "merpati" / name).chmod(0o600)
    server.populate()
    server.start()
    town = Town(server, slapd, provider, [], clients, folder)
    yield town
    assert server.stop() == 0, server.output()
    slapd.stop()
    provider.stop()
    # Whatever was tried: no password or token of anybody is in what was written down.
    told = server.output() + (server.folder / "var/queue-0.db").read_bytes().decode("latin1")
    secrets = [SECRET, "reader-secret", "merpati-secret", "salah sekali", *town.tokens]
    assert not any(secret in told for secret in secrets)


def plain(client: smtplib.SMTP, username: str, password: str) -> int:
    """The answer to AUTH PLAIN, once: smtplib's own login would try another mechanism."""
    client.ehlo()
    response = b64encode(f"\0{username}\0{password}".encode()).decode()
    return client.docmd("AUTH", f"PLAIN {response}")[0]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], text=True, capture_output=True, timeout=60
    )


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_swaks_with_a_password_that_openldap_knows(town: Town, auth: str) -> None:
    needs("swaks", "swaks")
    done = run(
        *("swaks", "--server", f"127.0.0.1:{town.server.port}", "--tls-on-connect", "--auth", auth),
        *("--auth-user", "ann@a.test", "--auth-password", SECRET),
        *("--from", "ann@a.test", "--to", "budi@a.test"),
    )
    assert "queued as" in done.stdout, done.stdout + done.stderr
    wait_for(lambda: any(one.get("by") == "ldap" for one in town.server.logins()))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ann@a.test", "salah sekali"),
        ("eve@a.test", SECRET),  # OpenLDAP knows her; she is no user here.
        ('"a*)(uid=ann"@a.test', SECRET),
    ],
)
def test_openldap_lets_in_nobody_else(town: Town, username: str, password: str) -> None:
    with town.server.connect() as client:
        assert plain(client, username, password) == 535


def test_an_ldap_server_that_is_gone_is_neither_yes_nor_no(town: Town) -> None:
    town.slapd.stop()
    try:
        with town.server.connect() as client:
            assert plain(client, "ann@a.test", SECRET) == 454
    finally:
        town.slapd.run()
    wait_for(
        lambda: any(
            one["why"] == "cannot be checked now" and "refused" in one["detail"]
            for one in town.server.logins("login-failed")
        )
    )
    with town.server.connect() as client:
        assert plain(client, "ann@a.test", SECRET) == 235


def test_curl_with_a_certificate(town: Town, tmp_path: Path) -> None:
    needs("curl", "curl")
    (tmp_path / "mail").write_text("From: ann@a.test\r\nSubject: halo\r\n\r\nhalo\r\n")
    done = run(
        *("curl", "-sS", "-v", "-k", f"smtps://127.0.0.1:{town.server.port}"),
        *("--cert", town.certificate("ann@a.test"), "--login-options", "AUTH=EXTERNAL"),
        *("--user", "ann@a.test:", "--mail-from", "ann@a.test", "--mail-rcpt", "budi@a.test"),
        *("--upload-file", tmp_path / "mail"),
    )
    assert "queued as" in done.stderr, done.stderr
    assert "AUTH EXTERNAL" in done.stderr
    vouched = ("ann@a.test", "certificate")
    wait_for(lambda: vouched in [(one["login"], one.get("by")) for one in town.server.logins()])


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_curl_with_a_token_of_a_real_provider(town: Town, tmp_path: Path, kind: str) -> None:
    needs("curl", "curl")
    (tmp_path / "mail").write_text("From: ann@a.test\r\nSubject: halo\r\n\r\nhalo\r\n")
    done = run(
        *("curl", "-sS", "-v", "-k", f"smtps://127.0.0.1:{town.server.port}"),
        *("--oauth2-bearer", town.token("ann", kind), "--login-options", "AUTH=OAUTHBEARER"),
        *("--user", "ann@a.test", "--mail-from", "ann@a.test", "--mail-rcpt", "budi@a.test"),
        *("--upload-file", tmp_path / "mail"),
    )
    assert "queued as" in done.stderr, done.stderr
    assert "AUTH OAUTHBEARER" in done.stderr
    vouched = ("OAUTHBEARER", "token", town.provider.issuer)
    wait_for(
        lambda: (
            vouched
            in [
                (one["mechanism"], one.get("by"), one.get("issuer")) for one in town.server.logins()
            ]
        )
    )


def test_nodemailer_by_xoauth2(town: Town) -> None:
    printed = run(
        *(find("node") or "node", NODE / "send.js", str(town.server.port), "yes", "ann@a.test"),
        *(town.token("ann"), "budi@a.test", "oauth"),
    )
    assert "queued as" in printed.stdout, printed.stderr


@pytest.mark.parametrize(
    ("name", "scope", "username", "why"),
    [
        ("eve", "mail", "", "no user here"),
        ("ann", "other", "ann@a.test", "token without the scope"),
    ],
)
def test_a_token_for_something_else_is_told_so(
    town: Town, name: str, scope: str, username: str, why: str
) -> None:
    token = town.token(name, scope=scope)
    text = f"n,{f'a={username}' if username else ''},\x01auth=Bearer {token}\x01\x01"
    with town.server.connect() as client:
        client.ehlo()
        code, told = client.docmd("AUTH", "OAUTHBEARER " + b64encode(text.encode()).decode())
        failure = json.loads(b64decode(told))
        assert code == 334
        assert client.docmd("AQ==")[0] == 535
    if why == "token without the scope":
        assert failure == {
            "status": "insufficient_scope",
            "schemes": "bearer",
            "scope": "mail",
            "openid-configuration": f"{town.provider.issuer}/.well-known/openid-configuration",
        }
    wait_for(lambda: why in [one["why"] for one in town.server.logins("login-failed")])


RELAY = """\
hostname = "relay.test"
workers = 1
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["*"]
to = "smtps://127.0.0.1:{to}"
tls = "opportunistic"
client_certificate = "ann.pem"
client_key = "ann.pem"
"""


def test_a_relay_of_ours_logs_in_with_its_certificate(town: Town, tmp_path: Path) -> None:
    port = free_port()
    relay = MerpatiProcess(tmp_path, RELAY.format(port=port, to=town.server.port), [port])
    (tmp_path / "ann.pem").write_bytes(town.certificate("ann@a.test").read_bytes())
    (tmp_path / "ann.pem").chmod(0o600)
    before = len(town.server.logins())
    relay.start()
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("ann@a.test", ["budi@a.test"], "From: ann@a.test\r\n\r\nhalo\r\n")
    # Another test's login may be written down only now.
    wait_for(lambda: any(one["mechanism"] == "EXTERNAL" for one in town.server.logins()[before:]))
    wait_for(lambda: '"delivered"' in relay.output())
    assert relay.stop() == 0, relay.output()
    assert "PRIVATE KEY" not in relay.output()


class Program(BaseHTTPRequestHandler):
    """What an operator writes against the contract in docs/logins.md."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_known = self.headers["Authorization"] == "Bearer kunci"
        is_right = (asked["account"], asked["password"]) == ("ann@a.test", SECRET)
        self.send_response(200 if is_known else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"allow": is_right}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_program_asked_by_http_decides(tmp_path: Path) -> None:
    program = ThreadingHTTPServer(("127.0.0.1", 0), Program)
    threading.Thread(target=program.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{program.server_port}/check"
    more = f'[login.http]\nurl = "{url}"\nsecret_file = "secret"\ncache = "1m"\n'
    server = Server(tmp_path, more)
    (tmp_path / "secret").write_text("kunci\n")
    (tmp_path / "secret").chmod(0o600)
    server.populate()
    server.start()
    with server.connect() as client:
        assert plain(client, "ann@a.test", "salah sekali") == 535
        assert plain(client, "ann@a.test", SECRET) == 235
    program.shutdown()
    program.server_close()
    with server.connect() as client:
        assert plain(client, "budi@a.test", SECRET) == 454
        assert plain(client, "ann@a.test", SECRET) == 235  # As remembered.
    assert server.stop() == 0, server.output()
    assert SECRET not in server.output()
