"""merpati.toml: the letter of the example, and a placed, helpful refusal for everything else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.config.errors import ConfigError, Flaw
from merpati.config.read import read
from merpati.config.settings import load
from merpati.delivery.transaction import TlsDemand
from merpati.reception.port import Role
from tests.cases import each

EXAMPLE = """\
# merpati.toml
hostname = "mx.a.test"
data = "var"                       # everything we keep, relative to this file
workers = 1
[[port]]
role = "mx"                        # mx | submission | submissions | lmtp
listen = "127.0.0.1:2525"          # or "[::1]:2525" or "unix:run/lmtp"
trusted = ["127.0.0.1/32"]         # networks that may relay without a login; default none
[[port]]
role = "submission"
listen = "127.0.0.1:2587"
[tls]                              # absent: a self-signed certificate is made at first start
certificate = "cert.pem"
key = "key.pem"
[dns]
servers = ["127.0.0.1:5353"]       # absent: the system's
[http]
listen = "127.0.0.1:8025"          # /healthz, /metrics (API and console later)
[[route]]
match = ["*"]                      # recipient domains; first match wins
to = "smtp://127.0.0.1:2526"
tls = "off"                        # off | opportunistic | required
"""


def flaws(text: str) -> tuple[Flaw, ...]:
    with pytest.raises(ConfigError) as refused:
        read(text, "merpati.toml")
    return refused.value.flaws


def flaw(text: str) -> Flaw:
    (only,) = flaws(text)
    return only


def test_the_example_is_read_to_the_letter() -> None:
    document, _ = read(EXAMPLE, "merpati.toml")
    assert document.hostname == "mx.a.test"
    mx, submission = document.port
    assert (mx.role, str(mx.listen), mx.trusted) == (Role.MX, "127.0.0.1:2525", ("127.0.0.1/32",))
    assert (submission.role, submission.trusted) == (Role.SUBMISSION, ())
    assert document.tls is not None
    assert document.tls.certificate == "cert.pem"
    assert [str(server) for server in document.dns.servers] == ["127.0.0.1:5353"]
    (route,) = document.route
    assert (str(route.to), route.tls) == ("smtp://127.0.0.1:2526", TlsDemand.OFF)
    assert route.match == ("*",)


def test_an_empty_file_is_complete() -> None:
    document, _ = read("", "merpati.toml")
    assert document.data == "var"


@each(
    "to",
    [
        "smtp://host.test:2526",
        "smtps://host.test:465",
        "smtp://[::1]:25",
        "lmtp://127.0.0.1:24",
        "lmtp:unix:/run/lmtp",
        "mx:",
    ],
)
def test_every_kind_of_target_is_read_and_written_back(to: str) -> None:
    document, _ = read(f'[[route]]\nmatch = ["*"]\nto = "{to}"', "f")
    assert str(document.route[0].to) == to


@pytest.mark.parametrize("listen", ["127.0.0.1:2525", "[::1]:2525", "unix:run/lmtp"])
def test_every_kind_of_listening_address_is_read(listen: str) -> None:
    document, _ = read(f'[[port]]\nrole = "lmtp"\nlisten = "{listen}"', "f")
    assert str(document.port[0].listen) == listen


def test_a_ports_own_limits_are_read_and_bounded() -> None:
    port = '[[port]]\nrole = "mx"\nlisten = "127.0.0.1:25"\n'
    (table,) = read(port + 'connections = 10\nmessage_size = "10MiB"\n', "f")[0].port
    assert (table.connections, table.message_size) == (10, 10 * 1024 * 1024)
    assert "connections" in str(flaw(port + "connections = 0\n"))


def test_a_misspelt_key_is_placed_and_its_right_name_suggested() -> None:
    found = flaw('hostname = "a"\n\n[[port]]\nrole = "mx"\nlisten = "127.0.0.1:1"\ntrustet = []\n')
    assert (found.line, found.key) == (6, "port 1, trustet")
    assert found.allowed == "Did you mean trusted?"


def test_a_misspelt_table_is_placed() -> None:
    found = flaw("workers = 1\n[htpp]\n")
    assert (found.line, found.allowed) == (2, "Did you mean http?")


def test_a_value_that_is_not_allowed_names_those_that_are() -> None:
    found = flaw('[[port]]\nlisten = "127.0.0.1:1"\nrole = "smtp"\n')
    assert (found.line, found.what) == (3, '"smtp" does not fit')
    assert found.allowed == 'Allowed: "mx", "submission", "submissions", "lmtp"'


def test_the_second_table_of_a_list_is_blamed_on_its_own_line() -> None:
    port = '[[port]]\nrole = "mx"\nlisten = "{}"\n'
    found = flaw(port.format("127.0.0.1:1") + port.format("nowhere"))
    assert (found.line, found.key) == (6, "port 2, listen")
    assert "127.0.0.1:2525" in found.allowed


def test_a_missing_key_is_blamed_on_its_table() -> None:
    found = flaw('hostname = "a"\n[[port]]\nrole = "mx"\n')
    assert (found.line, found.key, found.what) == (2, "port 1, listen", "is missing")


def test_every_flaw_is_told_in_the_order_of_the_file() -> None:
    found = flaws('workers = "two"\nlanguage = "fr"\nuser = 7\n')
    assert [one.line for one in found] == [1, 2, 3]
    assert found[0].allowed == "Allowed: a whole number"


def test_what_is_not_toml_is_placed() -> None:
    found = flaw('hostname = "a"\nworkers = = 2\n')
    assert (found.line, found.allowed) == (2, "")


def test_a_flaw_reads_as_file_line_key_and_what_is_allowed() -> None:
    with pytest.raises(ConfigError) as refused:
        read("workers = 0\n", "/etc/merpati/merpati.toml")
    assert str(refused.value).startswith("/etc/merpati/merpati.toml:1: workers: 0 does not fit. ")


@each(
    ("text", "what"),
    [
        ('[[port]]\nrole="mx"\nlisten="127.0.0.1:1"\ntrusted=["10.0.0.1/8"]', "host bits"),
        ('[[port]]\nrole="mx"\nlisten="unix:"', "path of a socket"),
        ('[[route]]\nmatch=["*"]\nto="http://a.test"', "is no route"),
        ('[[route]]\nmatch=["*"]\nto="smtp://u:p@a.test"', "password_file"),
        ('[[route]]\nmatch=["*"]\nto="smtp://a b:25"', "names no host"),
        ('[[route]]\nmatch=["*"]\nto="smtp://a.test:70000"', "up to 65535"),
        ('[[route]]\nmatch=["a b"]\nto="mx:"', "a domain like"),
        ('[queue]\nexpire="soon"', '"5d"'),
        ('[limits]\nmessage_size="big"', '"50MiB"'),
        ("port = 3", "[[port]]"),
        ("[port]", "[[port]]"),
        ("tls = 3", "[tls]"),
        ('[dns]\nservers="127.0.0.1:53"', 'Write ["127.0.0.1:53"]'),
        ("[dns]\nservers=[53]", "127.0.0.1:2525"),
    ],
)
def test_values_that_make_no_sense_are_refused_with_what_does(text: str, what: str) -> None:
    assert what in flaws(text)[0].tell("f")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            '[[port]]\nrole="mx"\nlisten="127.0.0.1:25"\n' * 2,
            "port 1 listens there already",
        ),
        (
            '[[port]]\nrole="submission"\nlisten="192.0.2.1:587"\nauth_without_tls=true',
            "in the clear",
        ),
        ('[[port]]\nrole="lmtp"\nlisten="127.0.0.1:25"', "RFC 2033"),
        ('[[route]]\nmatch=["*"]\nto="mx:"\nusername="u"', "password_file"),
        ('[[route]]\nmatch=["*"]\nto="mx:"\npassword_file="p"', "username"),
        (
            '[[route]]\nmatch=["*"]\nto="smtp://a.test:25"\nusername="u"\npassword_file="p"\n'
            'tls="off"',
            "tls = required",
        ),
        ('[dns]\nservers=["unix:x"]', "no resolver"),
        ('[[dns.update]]\nkey="k"\nserver="unix:x"', "no name server"),
        ("[autoconfig]", "served on [http]"),
        ('[http]\nlisten="127.0.0.1:1"\n[autoconfig]', "ports to send by"),
        ('[[route]]\nmatch=[]\nto="mx:"', "matches nothing"),
    ],
)
def test_keys_that_contradict_one_another_are_refused(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "merpati.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r":\d+: ") as refused:
        load(file)
    assert what in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read: No such file"):
        load(tmp_path / "missing.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "merpati.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file)


_WORDS = st.sampled_from(
    ["[[port]]", "[tls]", "[", "]", "=", '"', "'''", '"""', "role", "port", "tls", ".", "\n", "1"]
)


def _flaws(text: str) -> tuple[Flaw, ...] | None:
    """None for what is read."""
    try:
        read(text, "f")
    except ConfigError as refusal:
        return refusal.flaws
    return None


@given(st.one_of(st.text(), st.lists(_WORDS).map("".join)))
def test_any_text_is_read_or_refused_with_flaws(text: str) -> None:
    flaws = _flaws(text)
    assert flaws is None or (flaws and all(flaw.what for flaw in flaws))
