"""What the process gets from whoever starts it: sockets, a user, an ear for its state."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from merpati.errors import MerpatiError
from merpati.supervisor.notify import Notifier
from merpati.supervisor.privileges import PrivilegeError, drop
from merpati.supervisor.sockets import listen
from merpati.testing.process import MerpatiProcess
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireTaken
from merpati.wire.sockets import bound_to

ANY = Endpoint("127.0.0.1", 0)


def activated(code: str) -> subprocess.CompletedProcess[str]:
    """Run code as systemd would: a listening socket is descriptor 3."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from merpati.supervisor.sockets import listen\n"
            "from merpati.wire.endpoint import Endpoint\n"
            f"os.dup2({given.fileno()}, 3)\n"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
            "def started(*wanted):\n"
            "    return listen(wanted, Path(), os.environ, os.getpid())\n"
            f"PORT = {given.getsockname()[1]}\n{code}"
        )
        return subprocess.run(
            [sys.executable, "-c", script],
            pass_fds=(given.fileno(),),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.mark.slow
def test_a_socket_of_systemd_is_taken_over() -> None:
    done = activated(
        "where = Endpoint('127.0.0.1', PORT)\n"
        "one, = started(where)\n"
        "sys.exit(0 if one.fileno() == 3 and not os.get_inheritable(3) else 1)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_socket_of_systemd_that_is_not_configured_is_refused() -> None:
    done = activated("started()")
    assert "which merpati.toml does not name" in done.stderr


def test_sockets_meant_for_another_process_are_left_alone(tmp_path: Path) -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert listen([], tmp_path, environment, os.getpid()) == []


def test_what_cannot_be_bound_closes_what_was(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        there = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(WireTaken, match=str(there)):
            listen([ANY, there], tmp_path, {}, os.getpid())


def test_the_path_of_a_socket_starts_at_the_file(tmp_path: Path) -> None:
    where = Endpoint(path="run/lmtp")
    [listening] = listen([where], tmp_path, {}, os.getpid())
    with listening:
        assert (tmp_path / "run" / "lmtp").is_socket()


def test_port_0_is_chosen_by_the_system(tmp_path: Path) -> None:
    one, two = listen([ANY, ANY], tmp_path, {}, os.getpid())
    with one, two:
        assert 0 < bound_to(one).port != bound_to(two).port > 0


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(path)
        notifier = Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"}, os.getpid())
        notifier.ready("mx 127.0.0.1:25")
        notifier.reloading(1.5)
        notifier.stopping()
        notifier.alive()
        heard = [ear.recv(200) for _ in range(4)]
    assert heard == [
        b"READY=1\nSTATUS=mx 127.0.0.1:25",
        b"RELOADING=1\nMONOTONIC_USEC=1500000",
        b"STOPPING=1",
        b"WATCHDOG=1",
    ]
    assert notifier.watchdog_interval == 1.5


def test_without_a_service_manager_nobody_is_told() -> None:
    notifier = Notifier({}, os.getpid())
    notifier.ready("")
    assert notifier.watchdog_interval is None


def test_a_service_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, os.getpid()).ready("")


def test_an_unknown_user_is_refused() -> None:
    with pytest.raises(PrivilegeError, match="no such user"):
        drop("nobody-of-that-name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_a_user_and_cannot_go_back() -> None:
    code = (
        "import os\n"
        "from merpati.supervisor.privileges import drop\n"
        "drop('nobody')\n"
        "assert 0 not in {*os.getresuid(), *os.getresgid(), *os.getgroups()}\n"
        "try: os.seteuid(0)\n"
        "except PermissionError: raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr


def test_privilege_errors_are_told_like_all_others() -> None:
    assert issubclass(PrivilegeError, MerpatiError)


@pytest.mark.slow
def test_two_ports_that_the_system_chooses_are_two_doors(tmp_path: Path) -> None:
    port = '[[port]]\nrole = "{}"\nlisten = "127.0.0.1:0"\n'
    config = 'hostname = "mx.a.test"\n' + port.format("mx") + port.format("lmtp")
    with MerpatiProcess(tmp_path, config, []) as server:
        end = time.monotonic() + 90
        while '"event":"started"' not in server.output():
            assert time.monotonic() < end, server.output()
            time.sleep(0.02)
        ports = [text.split() for text in server.ask_json("status")["ports"]]
        assert [role for role, _ in ports] == ["mx", "lmtp"]
        greetings = []
        for _, where in ports:
            at = Endpoint.parse(where)
            with socket.create_connection((at.ip, at.port), 60) as client:
                greetings.append(client.recv(200).split()[2])
        assert greetings == [b"ESMTP", b"LMTP"]
