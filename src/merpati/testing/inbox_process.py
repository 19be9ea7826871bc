"""A developer's inbox in a process of its own, which ends with the one that started it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from merpati.testing.inbox import Inbox
from merpati.testing.process import free_port

START_SECONDS = 90.0
STOP_SECONDS = 10.0
_PAUSE = 0.01
_PORT = re.compile(r"(submission|http) 127\.0\.0\.1:(\d+)")


class InboxProcess:
    """Keeps everything in `folder`; no configuration file of the machine is looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Inbox:
        """Start on free ports of loopback; return when they answer."""
        # -P: a file of the application's directory must not be taken for one of Python's modules.
        command = [sys.executable, "-P", "-W", "ignore", "-m", __name__, str(self._folder)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        ports = self._wait_ports()
        return Inbox(ports["submission"], ports["http"], self._folder / "data")

    def stop(self) -> None:
        """End it; nothing happens if it does not run."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_ports(self) -> dict[str, int]:
        assert self._process is not None
        end = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            if ports := _ports(self._log.read_text("utf-8")):
                return ports
            time.sleep(_PAUSE)
        self.stop()
        raise RuntimeError(f"the inbox did not start:\n{self._log.read_text('utf-8')}")


def _ports(log: str) -> dict[str, int]:
    """Of the line that says where the server listens."""
    for line in log.splitlines():
        if line.startswith("{") and line.endswith("}"):
            told = json.loads(line)
            if told.get("event") == "started":
                return {role: int(port) for role, port in _PORT.findall(told["text"])}
    return {}


def serve(folder: Path) -> None:
    """Be the server, until standard input ends."""
    # Only the child needs the server; the tests' own process stays light.
    from merpati.config.settings import DATA_VARIABLE, developer_inbox
    from merpati.supervisor.process import run
    from merpati.wire.endpoint import Endpoint

    threading.Thread(target=_end_with_starter, daemon=True).start()
    smtp, http = Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", free_port())
    run(developer_inbox({DATA_VARIABLE: str(folder / "data")}, smtp, http))


def _end_with_starter() -> None:
    """Whoever started us holds the other end; it closes even when they are killed."""
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
