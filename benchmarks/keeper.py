"""`python -m benchmarks.keeper COMMAND…`: runs a server, and stays the parent of all it forks.

Daemons that detach (Postfix) and deliveries whose parent has gone (Exim) come back to this process
(Linux: PR_SET_CHILD_SUBREAPER), which waits for them: so the CPU of its tree is the whole server's,
also of what has ended. SIGTERM ends them all. Without a control group, and without root.
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

    def keep(self, command: list[str]) -> None:
        """Run the command; return when nothing of it lives any more."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGALRM, self._end)
        subprocess.Popen(command, start_new_session=True)
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


def children() -> list[int]:
    """Our own."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in text.split()]


if __name__ == "__main__":
    Keeper().keep(sys.argv[1:])
