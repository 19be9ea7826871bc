"""What other users of the machine may not read, and what they cannot trick the server into."""

import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.caller import PASSWORD, greeted
from tests.attack.conftest import Fortress, wait_for

pytestmark = pytest.mark.slow
Build = Callable[..., Fortress]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start as root")


def _send(server: Fortress, content: bytes = b"Subject: x\r\n\r\nx", to: str = "ann@a.test") -> str:
    with greeted(server.mx) as caller:
        caller.say("MAIL FROM:<x@b.test>")
        caller.say(f"RCPT TO:<{to}>")
        caller.say("DATA")
        return caller.say(content + b"\r\n.")


def test_nothing_in_the_data_directory_is_anybody_elses(fortress: Fortress) -> None:
    _send(fortress)
    fortress.wait_drained()
    data = fortress.folder / "var"
    places = [data, *data.rglob("*")]
    assert {"control.sock", "smtp.sock", "queue-0.db", "secret"} <= {p.name for p in places}
    public = {"self-signed.pem"}  # a certificate is shown to everybody
    for place in places:
        if place.suffix == ".new":
            continue  # Where the log stands is written now and then, and renamed.
        mode = place.lstat().st_mode
        assert place.name in public or not mode & 0o077, (place, oct(mode))


def _wait_refusal(server: Fortress) -> str:
    """Start; the server must end by itself, with words and without a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "merpati.cli.main", "--config", str(server.config), "serve"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        umask=0o022,
    )
    said = done.stdout + done.stderr
    assert done.returncode not in (0, -11, -6), said
    assert "Traceback" not in said, said
    assert said.strip()
    return said


MX_ONLY = """\
hostname = "mx.a.test"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
{more}
"""


def _damage_newer(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version=999")
    database.close()


def _damage_foreign(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE mine (x)")
        database.execute("INSERT INTO mine VALUES ('precious')")
    database.close()


def _damage_garbage(file: Path) -> None:
    file.write_bytes(b"precious notes, no database\n" * 400)


def _damage_header(file: Path) -> None:
    with file.open("r+b") as octets:
        octets.write(b"\xff" * 100)


def _damage_schema(file: Path) -> None:
    with file.open("r+b") as octets:
        octets.seek(100)
        octets.write(b"\xff" * 3996)


def _damage_cut(file: Path) -> None:
    with file.open("r+b") as octets:
        octets.truncate(4096 + 700)


def _damage_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _damage_swapped(file: Path) -> None:
    other = {"queue-0.db": "directory.db", "directory.db": "queue-0.db"}[file.name]
    file.write_bytes((file.parent / other).read_bytes())


DAMAGES = [
    _damage_newer,
    _damage_foreign,
    _damage_garbage,
    _damage_header,
    _damage_schema,
    _damage_cut,
    _damage_directory,
    _damage_swapped,
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an installation that ran."""
    server = Fortress(tmp_path_factory.mktemp("template"), config=MX_ONLY)
    server.populate()
    with server:
        _send(server)
        server.wait_drained()
    return server.folder


@pytest.mark.parametrize("name", ["queue-0.db", "directory.db"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_database_that_is_not_ours_is_refused_and_left_alone(
    template: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    server = Fortress(tmp_path / "s", config=MX_ONLY)
    subprocess.run(["cp", "-a", template / "var", server.folder / "var"], check=True)
    file = server.folder / "var" / name
    for beside in file.parent.glob(f"{name}-*"):
        beside.unlink()
    damage(file)
    before = file.read_bytes() if file.is_file() else None
    said = _wait_refusal(server)
    assert name in said, said
    assert (file.read_bytes() if file.is_file() else None) == before


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o604])
@pytest.mark.parametrize("what", ["password", "key"])
def test_a_secret_that_others_can_read_stops_the_start(
    tmp_path: Path, mode: int, what: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    secret.chmod(mode)
    route = '[[route]]\nmatch = ["*"]\nto = "smtps://127.0.0.1:465"\nusername = "x"\n'
    more = {
        "password": f'{route}password_file = "{secret}"',
        "key": f'[tls]\ncertificate = "{secret}"\nkey = "{secret}"',
    }[what]
    server = Fortress(tmp_path / "s", config=MX_ONLY, more=more)
    assert "chmod o=" in _wait_refusal(server)


def test_a_data_directory_that_everybody_can_change_stops_the_start(tmp_path: Path) -> None:
    server = Fortress(tmp_path / "s", config=MX_ONLY)
    data = server.folder / "var"
    data.mkdir()
    data.chmod(0o777)
    assert "chmod o-w" in _wait_refusal(server)
    assert list(data.iterdir()) == []


def test_a_second_server_on_the_same_data_is_refused(fortress: Fortress) -> None:
    said = _wait_refusal(fortress)
    assert "another Merpati" in said or "listen" in said


@pytest.mark.parametrize("place", ["mail", "mail/a.test", "mail/a.test/ann", "mail/a.test/ann/new"])
def test_a_link_among_the_mailboxes_is_not_followed(
    build: Build, tmp_path: Path, place: str
) -> None:
    """The mail waits until somebody has put it right; nothing is written behind the link."""
    server = build(config=MX_ONLY)
    outside = tmp_path / "outside"
    outside.mkdir()
    link = server.folder / "var" / place
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    link.symlink_to(outside)
    server.start()
    assert _send(server).startswith("250")
    wait_for(lambda: '"deferred"' in server.output() or list(outside.rglob("*")))
    assert not [path for path in outside.rglob("*") if path.is_file()]
    link.unlink()


@needs_root
@pytest.mark.parametrize("name", ["lock", "tls/self-signed.pem", "tls/self-signed.key"])
@pytest.mark.parametrize("victim", ["there", "missing"])
def test_what_the_servers_user_plants_does_not_make_root_give_files_away(
    name: str, victim: str
) -> None:
    """The user owns the data directory. What lies there must not lead root to another's file."""
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        folder.chmod(0o755)
        (folder / "there").write_text("root only")
        server = Fortress(folder / "s", config='user = "nobody"\n' + MX_ONLY)
        data = server.folder / "var"
        (data / "tls").mkdir(parents=True)
        for place in (data, data / "tls"):
            shutil.chown(place, "nobody")
        (data / name).symlink_to(folder / victim)
        _start_and_stop(server)
        assert (folder / "there").stat().st_uid == 0
        assert (folder / "there").read_text() == "root only"
        assert not (folder / "missing").exists()


def _start_and_stop(server: Fortress) -> None:
    """Whether it starts is not the question."""
    command = [sys.executable, "-m", "merpati.cli.main", "--config", server.config, "serve"]
    with server.log.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        wait_for(lambda: process.poll() is not None or _answers(server.mx))
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def test_sockets_of_the_operator_open_to_their_owner_only(fortress: Fortress) -> None:
    for name in ("control.sock", "smtp.sock"):
        mode = (fortress.folder / "var" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
        assert stat.S_ISSOCK(mode)


def test_a_configuration_with_a_mistake_is_refused_at_reload_and_changes_nothing(
    build: Build,
) -> None:
    server = build(config=MX_ONLY)
    server.start()
    good = server.config.read_text()
    for bad in ("[[[", good + "\nnonsense = 1\n", good.replace("mx.a.test", "\\u0007x")):
        server.config.write_text(bad)
        assert server.run("reload").returncode != 0
    server.config.write_text(good)
    assert _send(server).startswith("250")


def test_the_http_door_changes_nothing_and_knows_two_pages(fortress: Fortress) -> None:
    def ask(request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", fortress.http), 60) as door:
            door.sendall(request)
            octets = b""
            while more := door.recv(65536):
                octets += more
            return octets

    def line(text: str) -> bytes:
        return f"{text} HTTP/1.0\r\nHost: x\r\n\r\n".encode()

    assert b" 200 " in ask(line("GET /healthz"))[:20]
    for path in ("/", "/v1/stop", "/v1/users", "/../etc/passwd", "/metrics/..%2f..%2fetc/passwd"):
        assert b" 404 " in ask(line("GET " + path))[:20], path
        assert ask(line("POST " + path))[9:12] in (b"404", b"405"), path
    assert b" 405 " in ask(line("POST /metrics"))[:20]
    assert b" 400 " in ask(b"GET /healthz HTTP/1.0\r\nX: " + b"a" * 70000 + b"\r\n\r\n")[:20]
    assert b" 200 " in ask(line("GET /metrics"))[:20]
    assert PASSWORD.encode() not in ask(line("GET /metrics"))


def test_the_control_socket_refuses_what_it_does_not_understand(fortress: Fortress) -> None:
    def ask(name: str, body: bytes) -> tuple[int, bytes]:
        place = fortress.folder / "var/control.sock"
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(place))
            head = f"POST /v1/{name} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            door.sendall(head + body)
            octets = b""
            while more := door.recv(65536):
                octets += more
        return int(octets[9:12]), octets.partition(b"\r\n\r\n")[2]

    deep = b"[" * 100_000
    assert ask("submit", deep)[0] in (400, 422)
    assert ask("submit", b'{"sender":' + deep + b"}")[0] in (400, 422)
    assert ask("queue", b"\xff")[0] in (400, 404)
    message = {"sender": "ann@a.test", "recipients": ["x@b.test\r\nRCPT TO:<y@b.test>"]}
    assert ask("submit", json.dumps({**message, "content": ""}).encode())[0] == 422
    message = {"sender": "ann@a.test", "recipients": ["x@b.test"], "surprise": 1, "content": ""}
    assert ask("submit", json.dumps(message).encode())[0] == 422
    assert fortress.ask_json("status")["running"]
