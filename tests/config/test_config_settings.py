"""Which file is in force, what is in force, and where it came from."""

from pathlib import Path

import pytest

from merpati.config.errors import ConfigError
from merpati.config.explain import effective, find, keys, markdown
from merpati.config.files import look
from merpati.config.routes import read_routes
from merpati.config.settings import developer_inbox, load, settle
from merpati.config.settings import find as find_file
from merpati.delivery.transaction import Switches
from merpati.system.updating import update_table

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "merpati.toml"
    path.write_text('hostname = "mx.a.test"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:25"\n')
    return path


def test_the_file_that_was_given_wins(file: Path) -> None:
    assert find_file(file, {"MERPATI_CONFIG": "/elsewhere"}) == file


def test_the_variable_comes_before_the_current_directory(file: Path) -> None:
    assert find_file(None, {"MERPATI_CONFIG": "/elsewhere"}, file) == Path("/elsewhere")


def test_the_current_directory_is_looked_into(file: Path) -> None:
    assert find_file(None, {}, file) == file


@pytest.mark.parametrize(
    ("text", "sends"),
    [
        ("", True),
        ("[reports]\nsend = false\n", False),
        ("HOST = localhost", False),
        ("HOST = mail.localdomain", False),
        ("HOST = printer.local", False),
        ("ROLE = lmtp", False),
        ("ROLE = lmtp\n[reports]\nsend = true\n", True),
    ],
)
def test_a_server_that_takes_mail_under_a_whole_name_sends_reports(
    file: Path, text: str, sends: bool
) -> None:
    known = file.read_text()
    first, _, rest = text.partition("\n")
    if first.startswith("HOST"):
        file.write_text(known.replace("mx.a.test", first.split(" = ")[1]))
    elif first.startswith("ROLE"):
        file.write_text(known.replace('"mx"', '"lmtp"').replace(":25", ":24") + rest)
    else:
        file.write_text(known + text)
    assert load(file).sends_reports is sends


def test_the_developers_inbox_sends_no_reports() -> None:
    assert not developer_inbox({}).sends_reports


def test_without_any_file_it_is_the_developers_inbox(tmp_path: Path) -> None:
    settings = settle(None, {"XDG_DATA_HOME": str(tmp_path)}, None)
    assert settings.is_inbox
    assert settings.data == tmp_path / "merpati" / "inbox"


def test_the_developers_inbox_is_on_loopback_only() -> None:
    (port,) = developer_inbox({}).document.port
    assert str(port.listen) == "127.0.0.1:1025"
    assert port.auth_without_tls


def test_relative_paths_start_at_the_file(file: Path) -> None:
    settings = load(file)
    assert settings.data == file.parent / "var"
    assert settings.path("/etc/cert.pem") == Path("/etc/cert.pem")


def test_every_value_in_force_says_where_it_came_from(file: Path) -> None:
    shown = {one.key: (one.value, one.source) for one in effective(load(file))}
    assert shown["hostname"] == ('"mx.a.test"', f"{file}:1")
    assert shown["port.1.listen"] == ('"127.0.0.1:25"', f"{file}:4")
    assert shown["data"] == ('"var"', "default")


def test_every_key_is_explained() -> None:
    assert [key.name for key in keys() if not key.text.endswith(".")] == []


def test_a_key_is_found_by_its_last_name_and_by_its_table() -> None:
    assert [key.name for key in find("trusted")] == ["port.trusted", "dns.trusted"]
    assert [key.name for key in find("[tls]")] == [
        "tls.certificate",
        "tls.directory",
        "tls.key",
    ]
    assert find("nonsense") == []


def test_the_documentation_is_up_to_date() -> None:
    assert DOCUMENTATION.read_text("utf-8") == markdown(), "run: merpati config explain --markdown"


def test_the_switches_of_a_route_reach_it(file: Path) -> None:
    file.write_text(
        file.read_text() + '[[route]]\nmatch = ["b.test"]\nto = "mx:"\nlookahead = false\n'
        'ehlo_ignore = ["chunking"]\nconnections = 2\nmax_messages = 20\nmax_recipients = 5\n'
    )
    (route,) = read_routes(load(file).document, file.parent)
    assert route.switches == Switches(
        lookahead=False,
        ehlo_ignore=frozenset({"CHUNKING"}),
        connections=2,
        max_messages=20,
        max_recipients=5,
    )


def test_a_limit_of_nothing_is_refused(file: Path) -> None:
    file.write_text(file.read_text() + '[[route]]\nmatch = ["*"]\nto = "mx:"\nconnections = 0\n')
    with pytest.raises(ConfigError, match="connections: 0 does not fit"):
        load(file)


def test_the_key_for_the_longest_zone_is_taken_and_who_can_read_it_is_checked(
    tmp_path: Path,
) -> None:
    text = 'hostname = "mx.a.test"\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:25"\n'
    for zone in ("", 'zone = "a.test"\n', 'zone = "b.a.test"\n'):
        text += f'[[dns.update]]\nkey = "k"\n{zone}'
    path = tmp_path / "merpati.toml"
    path.write_text(text)
    settings = load(path)

    def zone(name: str) -> object:
        table = update_table(settings, name)
        return table and table.zone

    assert zone("x.b.a.test") == "b.a.test"
    assert zone("_dmarc.a.test") == "a.test"
    assert zone("aa.test") is None
    (tmp_path / "k").write_text(
        'key k { algorithm hmac-sha256; secret "AAAAAAAAAAAAAAAAAAAAAA=="; };'
    )
    (tmp_path / "k").chmod(0o644)
    assert [one.key for one in look(settings)][:2] == ["dns, update 1, key", "dns, update 2, key"]
    (tmp_path / "k").chmod(0o600)
    assert look(settings) == []
