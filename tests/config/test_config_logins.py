"""What stands below [login]: what is refused before a server depends on it, and how it is said."""

from pathlib import Path

import pytest
import trustme

from merpati.config.errors import ConfigError
from merpati.config.files import look
from merpati.config.logins import ldap_settings, read_secret
from merpati.config.routes import read_routes
from merpati.config.settings import load
from merpati.delivery.transaction import TlsDemand
from merpati.extras import how_to_get

PORT = '[[port]]\nrole = "submission"\nlisten = "127.0.0.1:2525"\n'
ASKING = PORT + 'client_certificates = "optional"\n'
LDAP = '[login.ldap]\nservers = ["ldaps://a.test"]\n'
OAUTH = '[login.oauth]\nissuer = "https://id.a.test"\naudience = ["mail"]\n'
ROUTE = '[[route]]\nmatch = ["*"]\nto = "smtp://b.test"\n'
SHOWN = 'client_certificate = "x"\nclient_key = "x"\n'
HTTP = '[login.http]\nurl = "https://a.test/"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ASKING, "port 1, client_certificates: needs [login.certificates]"),
        (PORT + '[login.certificates]\nauthorities = "x"\n', "no port asks for certificates"),
        (
            ASKING.replace("submission", "mx") + '[login.certificates]\nauthorities = "x"\n',
            "is for those who log in",
        ),
        (PORT + HTTP + LDAP + 'dn = "uid={local}"\n', "stands beside [login.http]"),
        (PORT + '[login.http]\nurl = "http://a.test/"\n', "could be read on the way"),
        (PORT + '[login.http]\nurl = "file:///etc/passwd"\n', "Allowed: a URL like"),
        (PORT + '[login.http]\nurl = "https://user:pw@a.test/"\n', "without a login"),
        (PORT + HTTP + 'timeout = "5m"\n', "Allowed: 0.1s to 1m"),
        (PORT + OAUTH.replace("https", "http"), "could be read on the way"),
        (PORT + OAUTH.replace('"mail"', ""), "names nobody"),
        (PORT + OAUTH + 'claim = ""\n', "names no claim"),
        (PORT + OAUTH + 'client_id = "x"\n', "needs client_secret_file beside it"),
        (PORT + OAUTH + "timeout = 0\n", "Allowed: 0.1s to 1m"),
        (PORT + ROUTE + 'client_key = "x"\n', "need one another"),
        (PORT + ROUTE + SHOWN + 'tls = "off"\n', "within TLS, which is off"),
        (PORT + ROUTE.replace("smtp://b.test", "mx:") + SHOWN, "to a host that is named"),
        (PORT + ROUTE.replace("smtp://b.test", "lmtp:unix:/x") + SHOWN, "a host that is named"),
        (PORT + LDAP, "needs either dn, or base and filter"),
        (PORT + LDAP + 'dn = "uid={local}"\nfilter = "(uid=x)"\n', "needs either dn, or base"),
        (PORT + LDAP + 'dn = "cn=all"\n', "it is the same for everybody"),
        (PORT + LDAP + 'filter = "(uid={local}"\n', "a filter without its end"),
        (PORT + LDAP + 'dn = "uid={name}"\n', "stands for nothing"),
        (PORT + LDAP + 'filter = "(uid={local})"\nbind_dn = "cn=r"\n', "needs bind_password_file"),
        (PORT + LDAP + 'dn = "uid={local}"\nbase = "dc=a"\n', "makes a search needless"),
        (PORT + '[login.ldap]\nservers = []\ndn = "uid={local}"\n', "names no server"),
        (
            PORT + '[login.ldap]\nservers = ["ldaps://a.test/dc=a"]\ndn = "uid={local}"\n',
            "a server alone",
        ),
        (
            PORT
            + '[login.ldap]\nservers = ["ldap://a.test"]\nstart_tls = false\ndn = "uid={local}"\n',
            "passwords could be read on the way",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("text", "content", "why"),
    [
        (ASKING + '[login.certificates]\nauthorities = "x"\n', None, "does not exist"),
        (ASKING + '[login.certificates]\nauthorities = "x"\n', "no PEM", "has no certificate"),
        (PORT + HTTP + 'secret_file = "x"\n', None, "does not exist"),
        (PORT + OAUTH + 'client_id = "x"\nclient_secret_file = "x"\n', None, "does not exist"),
        (PORT + HTTP + 'secret_file = "x"\n', "", "is empty"),
        (PORT + ROUTE + SHOWN, None, "does not exist"),
        (PORT + ROUTE + SHOWN, "no PEM", "cannot be used"),
        (PORT + HTTP + 'secret_file = "x"\n', "a\x01b", "has a character that cannot be shown"),
        (PORT + HTTP + 'authorities = "x"\n', "no PEM", "has no certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_found(
    tmp_path: Path, text: str, content: str | None, why: str
) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(text)
    if content is not None:
        (tmp_path / "x").write_text(content)
        (tmp_path / "x").chmod(0o600)
    assert any(why in flaw.what for flaw in look(load(file)))


def test_a_secret_that_everybody_can_read_is_found(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(PORT + HTTP + 'secret_file = "x"\n')
    (tmp_path / "x").write_text("secret\n")
    (tmp_path / "x").chmod(0o644)
    assert any("every user of this machine" in flaw.what for flaw in look(load(file)))
    assert read_secret(tmp_path / "x") == "secret"


def test_servers_have_their_usual_ports_and_start_tls_where_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    servers = 'servers = ["ldaps://a.test", "ldap://b.test", "ldap://[::1]:3890"]'
    file.write_text(f'{PORT}[login.ldap]\n{servers}\ndn = "uid={{local}}"\n')
    table = load(file).document.login.ldap
    assert table is not None
    found = ldap_settings(table, tmp_path).servers
    assert [(one.host, one.port, one.implicit_tls, one.start_tls) for one in found] == [
        ("a.test", 636, True, False),
        ("b.test", 389, False, True),
        ("::1", 3890, False, True),
    ]


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(PORT + OAUTH)
    assert look(load(file)) == []
    monkeypatch.setattr("merpati.config.files.find_spec", lambda name: None)
    [flaw] = look(load(file))
    assert flaw.allowed == how_to_get("oauth")


def test_a_route_with_a_certificate_demands_tls_and_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(PORT + ROUTE + SHOWN)
    trustme.CA().issue_cert("ann@a.test").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "x"
    )
    (tmp_path / "x").chmod(0o600)
    assert look(load(file)) == []
    [route] = read_routes(load(file).document, tmp_path)
    assert route.tls is TlsDemand.REQUIRED
    assert route.certificate is not None
    assert "PRIVATE" not in repr(route)
