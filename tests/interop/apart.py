"""A thread in namespaces of its own: a loopback where ports 25, 53 and 443 are free, and a resolver
of its own for programs that ask the system's, as Postfix does. Nothing in it is on any network.

What the thread starts is in there with it; the threads beside it are not.
"""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
# <sched.h>; os.unshare is there from Python 3.12 on.
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000

RESOLV = "nameserver 127.0.0.1\noptions trust-ad edns0\n"


class Apart:
    """Runs functions in there, one after the other."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    def run(self, function: Callable[[], T]) -> T:
        return self._thread.submit(function).result(timeout=280)


@contextmanager
def apart(folder: Path, addresses: tuple[str, ...] = ()) -> Iterator[Apart]:
    """With these addresses of its own beside 127.0.0.1. Skips where that cannot be made."""
    resolv = folder / "resolv.conf"
    resolv.write_text(RESOLV)
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(_enter, resolv, addresses).result(timeout=60)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"namespaces of one's own need root (unshare): {error}")
        yield Apart(thread)


def _enter(resolv: Path, addresses: tuple[str, ...]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    system = os.fspath(Path("/etc/resolv.conf").resolve())
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "--bind", os.fspath(resolv), system],
        ["ip", "link", "set", "lo", "up"],
        *(["ip", "address", "add", f"{one}/32", "dev", "lo"] for one in addresses),
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
