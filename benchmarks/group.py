"""A control group of our own: the CPU of all that ran in it, also of what nobody waited for."""

import contextlib
import itertools
import os
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")
_numbers = itertools.count(1)


class NoGroup(Exception):
    """This system lets us make none."""


class Group:
    """Made empty; whoever writes itself to `procs` belongs to it with all that it starts."""

    def __init__(self) -> None:
        home = V1 if V1.is_dir() else V2
        self._folder = home / f"merpati-bench-{os.getpid()}-{next(_numbers)}"
        try:
            self._folder.mkdir()
        except OSError as error:
            raise NoGroup(str(error)) from error

    @property
    def procs(self) -> Path:
        """Where a process writes its id."""
        return self._folder / "cgroup.procs"

    def cpu(self) -> float:
        """User and system seconds (v1 cpuacct, or v2)."""
        if (usage := self._folder / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        lines = (self._folder / "cpu.stat").read_text().splitlines()
        return next(int(one.split()[1]) for one in lines if one.startswith("usage_usec")) / 1e6

    def remove(self) -> None:
        """When all have ended."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()
