"""A real Merpati in a process of its own: started, asked, stopped and killed by its operator."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 90.0
STOP_SECONDS = 60.0


# The system may name the same port again as soon as it is free; two doors of one server may not.
_given: set[int] = set()
# Below those that the system gives to clients: one of them may not take it meanwhile.
_FIRST, _LAST = 10_000, 32_768


def _share() -> tuple[int, int]:
    """The ports of this process. Those that pytest-xdist makes have parts of their own: what one of
    them gave out, and nobody listens on yet, another would find free."""
    worker, count = map(os.environ.get, ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"))
    if not (worker and count):
        return _FIRST, _LAST
    size = (_LAST - _FIRST) // int(count)
    first = _FIRST + size * (int(worker.removeprefix("gw")) % int(count))
    return first, first + size


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """A TCP port on loopback that nobody listens on now, and that was not given out before."""
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    while True:
        port = random.randrange(*_share())  # noqa: S311 - nobody is to be kept from guessing
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            if port not in _given:
                _given.add(port)
                return port


def wait_port(port: int, seconds: float = START_SECONDS, host: str = "127.0.0.1") -> None:
    """Return when something answers on the host's port; TimeoutError otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port} after {seconds} s")


class MerpatiProcess:
    """One installation in `folder`: its configuration, its data, and the server while it runs."""

    def __init__(self, folder: Path, config: str, ports: Sequence[int]) -> None:
        self.folder = folder
        self.config = folder / "merpati.toml"
        self.log = folder / "server.log"
        self._ports = tuple(ports)
        self._process: subprocess.Popen[bytes] | None = None
        self.wrapper: tuple[str, ...] = ()
        """What the server's command is handed to: a tracer, a limit."""
        self.options: tuple[str, ...] = ()
        """What stands behind `serve`."""
        self.environment: dict[str, str] = {}
        """What stands in the server's environment beside ours."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config, "utf-8")

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether there is no such process, or no longer."""
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        """Start the server; return when every port answers. One that fails is not left behind."""
        self.spawn()
        try:
            self.wait_up()
        except BaseException:
            self.kill()
            raise

    def spawn(self) -> None:
        """Start the server and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*self.wrapper, *self._command("serve", *self.options)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | self.environment,
            )

    def wait_up(self) -> None:
        """Return when every port answers; AssertionError with the server's words otherwise."""
        try:
            for port in self._ports:
                self._wait_up(port)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.output()}") from error

    def _wait_up(self, port: int) -> None:
        end = time.monotonic() + START_SECONDS
        while self._process is not None and self._process.poll() is None:
            with contextlib.suppress(TimeoutError):
                return wait_port(port, 0.2)
            if time.monotonic() > end:
                raise TimeoutError(f"port {port} did not open")
        raise AssertionError(f"the server ended at its start\n{self.output()}")

    def stop(self) -> int:
        """SIGTERM and wait for the orderly end; its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: nothing of it gets to tidy up."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def output(self) -> str:
        """What the server wrote to standard output and error, the last 200,000 characters."""
        return self.log.read_text("utf-8", "replace")[-200_000:] if self.log.exists() else ""

    def lines(self) -> list[str]:
        """All of that, line by line, but for one that is being written just now."""
        written = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return written.rpartition("\n")[0].splitlines()

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run `merpati --config F …` and return its output; never raises for an exit status."""
        return subprocess.run(  # noqa: S603 - our own command
            self._command(*arguments),
            input=text,
            text=True,
            capture_output=True,
            timeout=180,
            check=False,
        )

    def ask(self, *arguments: str, text: str = "") -> str:
        """The same, insisting on exit status 0; standard output."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask_json(self, *arguments: str) -> Any:
        """Standard output of a command with --json, decoded."""
        return json.loads(self.ask(*arguments, "--json"))

    def wait_empty(self, seconds: float = 90.0) -> None:
        """Return when the queue is empty; AssertionError with its content otherwise."""
        end = time.monotonic() + seconds
        while listed := self.ask_json("queue", "list"):
            assert time.monotonic() < end, f"still queued: {listed[:5]}\n{self.output()}"
            time.sleep(0.1)

    def _command(self, *arguments: str) -> list[str]:
        head = [sys.executable, "-m", "merpati.cli.main", "--config", os.fspath(self.config)]
        return [*head, *arguments]

    def __enter__(self) -> "MerpatiProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)
