"""What is shipped for administrators is accepted by those who will read it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from merpati.config.files import look
from merpati.config.settings import load
from merpati.testing.process import MerpatiProcess, free_port
from merpati.wire.endpoint import Endpoint

PACKAGING = Path(__file__).parents[2] / "packaging"
SERVICE = PACKAGING / "systemd" / "merpati.service"
SOCKET = PACKAGING / "systemd" / "merpati.socket"
SYSUSERS = PACKAGING / "systemd" / "merpati.sysusers"
SAMPLE = PACKAGING / "merpati.toml"
CONTAINERFILE = PACKAGING / "Containerfile"
MAX_EXPOSURE = 2.0
"""Of systemd-analyze security: 0 is nothing, 10 is everything."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text("utf-8"), re.M)


def systemd(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Both units, with a program that exists here."""
    for unit in (SERVICE, SOCKET):
        text = unit.read_text("utf-8").replace("/opt/merpati/bin/merpati", sys.executable)
        (tmp_path / unit.name).write_text(text, "utf-8")
    return [str(tmp_path / unit.name) for unit in (SERVICE, SOCKET)]


@pytest.mark.slow
@needs_systemd
def test_systemd_accepts_the_units(units: list[str]) -> None:
    done = systemd("verify", "--man=no", *units)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_the_service_is_shut_in(units: list[str]) -> None:
    done = systemd("security", "--offline=yes", f"--threshold={int(MAX_EXPOSURE * 10)}", units[0])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_mistaken_configuration_is_not_started_again_and_again() -> None:
    assert values(SERVICE, "RestartPreventExitStatus") == ["78"]


def test_the_sample_is_a_good_configuration() -> None:
    assert load(SAMPLE).hostname == "mail.a.test"


def test_what_the_sample_leaves_commented_out_is_good_too(tmp_path: Path) -> None:
    """Files and the user that it names are looked for, and that is all that is missing."""
    text = re.sub(r"^# (?=\[|\w+ = )", "", SAMPLE.read_text("utf-8"), flags=re.M)
    (tmp_path / "merpati.toml").write_text(text, "utf-8")
    settings = load(tmp_path / "merpati.toml")
    assert len(settings.document.port) == 7
    assert settings.document.route[0].username == "mail.a.test"
    assert {flaw.what.rpartition(" ")[2] for flaw in look(settings)} <= {"exist", "to", "machine"}


def test_the_socket_opens_what_the_sample_names() -> None:
    """A socket that merpati.toml does not name keeps Merpati from starting."""
    opened = {Endpoint.parse(text) for text in values(SOCKET, "ListenStream")}
    assert opened == {port.listen for port in load(SAMPLE).document.port}


def test_service_user_and_data_directory_belong_together() -> None:
    (user,) = values(SERVICE, "User")
    (state,) = values(SERVICE, "StateDirectory")
    assert load(SAMPLE).data == Path("/var/lib") / state
    assert f'u {user} - "Merpati mail server" /var/lib/{state}' in SYSUSERS.read_text("utf-8")


def test_the_container_copies_what_exists_and_runs_as_an_ordinary_user() -> None:
    text = CONTAINERFILE.read_text("utf-8")
    root = PACKAGING.parent
    copied = [
        word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M) for word in line.split()
    ]
    assert copied
    assert not [name for name in copied if not (root / name).exists()]
    let_in = (PACKAGING / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(let_in)
    final = text.rpartition("FROM ")[2]
    assert re.search(r"^USER merpati$", final, re.M)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """The port of a server's HTTP door."""
    port = free_port()
    config = (
        'data = "var"\n[[port]]\nrole = "lmtp"\nlisten = "unix:lmtp"\n'
        f'[http]\nlisten = "127.0.0.1:{port}"\n'
    )
    with MerpatiProcess(tmp_path / "server", config, [port]):
        yield port


@pytest.mark.slow
def test_the_containers_health_check_tells_a_server_that_answers(server: int) -> None:
    (check,) = re.findall(
        r"^HEALTHCHECK .*\\\n    CMD (\[.*\])$", CONTAINERFILE.read_text("utf-8"), re.M
    )
    command = [sys.executable, *json.loads(check)[1:]]
    here = [part.replace("8026", str(server)) for part in command]
    nowhere = [part.replace("8026", str(free_port())) for part in command]
    assert subprocess.run(here, timeout=120, check=False).returncode == 0
    done = subprocess.run(nowhere, timeout=120, capture_output=True, check=False)
    assert done.returncode != 0


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(500)
@needs_systemd
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a systemd in namespaces")
def test_under_systemd_mail_is_taken_kept_signed_and_sent() -> None:
    """Notify, sandbox, journal, commands of root and of others, stop; more with no argument."""
    system = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2])"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    # Modules in C are made for one Python; for another than Debian's, pip gets them.
    same = system.stdout.split() == [*map(str, sys.version_info[:2])]
    site = {"SITE": sysconfig.get_path("platlib")} if same else {"PIP": f"{sys.executable} -m pip"}
    done = subprocess.run(
        [PACKAGING / "try-systemd", "--short"],
        env=os.environ | site,
        capture_output=True, text=True, timeout=480, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: stop ends" in done.stdout
