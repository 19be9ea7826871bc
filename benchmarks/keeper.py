"""`python -m benchmarks.keeper PROCS COMMAND…`: runs a server, the parent of all that it forks.

Daemons that detach (Postfix) and deliveries whose parent has gone (Exim) come back to this process
(Linux: PR_SET_CHILD_SUBREAPER), so that SIGTERM ends them all. PROCS is the file of a control group
that the command joins before it begins, since only a group has the CPU of processes that nobody
waits for (Exim ignores its deliveries' ends).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10


class Keeper:
    """Waits for children until there are none."""

    def keep(self, procs: Path, command: list[str]) -> None:
        """Run the command; return when nothing of it lives any more."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGALRM, self._end)
        subprocess.Popen(command, start_new_session=True, preexec_fn=lambda: _join(procs))
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _end(self, number: int, _: object) -> None:
        """In order first, by force when that takes too long."""
        how = signal.SIGKILL if number == signal.SIGALRM else signal.SIGTERM
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        signal.alarm(1 if number == signal.SIGALRM else PATIENCE)


def _join(procs: Path) -> None:
    procs.write_text("0")


def children() -> list[int]:
    """Our own."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in text.split()]


if __name__ == "__main__":
    Keeper().keep(Path(sys.argv[1]), sys.argv[2:])
