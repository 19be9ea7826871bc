"""What a name and an address must be, beyond their types."""

from pathlib import Path

import pytest

from merpati.config.errors import ConfigError
from merpati.config.settings import load
from merpati.system.blueprint import Blueprint

PORT = '[[port]]\nrole = "mx"\nlisten = "127.0.0.1:2525"\n'


def refused(folder: Path, text: str) -> str:
    file = folder / "merpati.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file)
    return str(error.value)


@pytest.mark.parametrize("name", ["mail a test", "192.0.2.1", "[192.0.2.1]", "-a.test", "a..test"])
def test_a_hostname_is_a_domain_name(tmp_path: Path, name: str) -> None:
    told = refused(tmp_path, f'hostname = "{name}"\n{PORT}')
    assert f'merpati.toml:1: hostname: "{name}" is no domain name' in told


@pytest.mark.parametrize(
    ("servers", "why"),
    [
        ("", "needs servers beside it"),
        ('servers = ["192.0.2.53:53"]', "a resolver that is not on this machine"),
        ('servers = ["127.0.0.1:53", "[2001:db8::53]:53"]', "a resolver that is not on this"),
    ],
)
def test_only_resolvers_of_this_machine_are_trusted(tmp_path: Path, servers: str, why: str) -> None:
    told = refused(tmp_path, f"{PORT}[dns]\ntrusted = true\n{servers}\n")
    assert f"dns, trusted: {why}" in told


def test_a_validating_resolver_here_switches_dane_on(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    trusted = f'{PORT}[dns]\nservers = ["127.0.0.1:53", "[::1]:53"]\ntrusted = true\n'
    for text, uses in (
        (PORT, False),
        (trusted, True),
        (f"{trusted}[delivery]\ndane = false\n", False),
    ):
        file.write_text(text)
        assert Blueprint(load(file)).uses_dane is uses


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("", "http: opens no door"),
        ('https = "127.0.0.1:2525"', "http, https: port 1 listens there already"),
        ('listen = "127.0.0.1:1"\nhttps = "127.0.0.1:1"', "https: is the same as listen"),
        ('https = "unix:run/https"', "https: is no address with a port"),
    ],
)
def test_http_doors_that_cannot_be_opened_are_refused(
    table: str, told: str, tmp_path: Path
) -> None:
    assert told in refused(tmp_path, f"{PORT}[http]\n{table}\n")


def test_the_http_door_and_a_port_cannot_share_an_address(tmp_path: Path) -> None:
    told = refused(tmp_path, f'{PORT}[http]\nlisten = "127.0.0.1:2525"\n')
    assert "merpati.toml:5: http, listen: port 1 listens there already" in told


def test_a_text_without_quotes_is_shown_with_them(tmp_path: Path) -> None:
    told = refused(tmp_path, f"hostname = mail.a.test  # ours\n{PORT}")
    assert "merpati.toml:1: this is not TOML: Invalid value. " in told
    assert told.endswith('A text stands in quotes: hostname = "mail.a.test"')


def test_one_domain_where_a_list_belongs_is_shown_in_brackets(tmp_path: Path) -> None:
    told = refused(tmp_path, f'{PORT}[[route]]\nmatch = "b.test"\nto = "mx:"\n')
    assert 'merpati.toml:5: route 1, match: "b.test" is not a list. Write ["b.test"]' in told


@pytest.mark.parametrize("to", ["h.test:25", "ftp://h.test", "smtp://"])
def test_a_bad_route_is_offered_nothing_that_is_refused_then(tmp_path: Path, to: str) -> None:
    told = refused(tmp_path, f'{PORT}[[route]]\nmatch = ["*"]\nto = "{to}"\n')
    assert "smtp://host:port" in told
    assert "password@" not in told


def test_nobody_can_vouch_for_what_he_does_not_look_at(tmp_path: Path) -> None:
    told = refused(tmp_path, f'{PORT}[authenticity]\ncheck = false\n[forwarding]\nseal = ["arc"]\n')
    assert "forwarding, seal: vouches for what was found of a message" in told
