"""Every connection takes a file descriptor: what is allowed is taken, and too little is said."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from merpati.supervisor.descriptors import shortage
from merpati.testing.process import MerpatiProcess, free_port

CONFIG = """\
hostname = "mx.a.test"
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
[limits]
connections = {connections}
"""


def test_all_that_is_allowed_is_taken() -> None:
    code = (
        "import resource as r\n"
        "from merpati.supervisor.descriptors import raise_limit\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 200))\n"
        "assert raise_limit() == 200\n"
        "assert r.getrlimit(r.RLIMIT_NOFILE) == (200, 200)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("limit", [7812, 8192, resource.RLIM_INFINITY])
def test_enough_is_not_worth_a_word(limit: int) -> None:
    assert shortage(limit, [1000, 1000]) == ""


def test_too_few_for_the_connections_of_all_ports_is_said() -> None:
    text = shortage(1024, [1000, 1000])
    assert "allows 1024 open files" in text
    assert "2000 connections need about 7812" in text


@pytest.mark.slow
@pytest.mark.parametrize(("connections", "is_said"), [(1_000_000, True), (10, False)])
def test_a_server_with_too_few_says_so_at_its_start(
    tmp_path: Path, connections: int, is_said: bool
) -> None:
    port = free_port()
    server = MerpatiProcess(tmp_path, CONFIG.format(port=port, connections=connections), [port])
    with server:
        assert ('"event":"descriptors"' in server.output()) is is_said
