"""The servers that are measured side by side, each started fresh in a folder of its own."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from benchmarks.load import PATH
from merpati.testing.process import MerpatiProcess, free_port, wait_port


class Server(Protocol):
    """Listens on `port`; `pid` is the root of its processes."""

    port: int

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Sink:
    """smtp-sink with its running counter."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir(parents=True)
        self._counter = folder / "count"
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = ["smtp-sink", "-c", "-m", "2000", *user, f"inet:127.0.0.1:{self.port}", "1024"]
        with self._counter.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "PATH": PATH}
            )
        wait_port(self.port)

    def count(self) -> int:
        """Messages received so far."""
        tail = self._counter.read_bytes()[-200:].split(b"\r")[:-1]
        counts = [part.split(b"mesg=")[1].split()[0] for part in tail if b"mesg=" in part]
        return int(counts[-1]) if counts else 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


MERPATI = """\
hostname = "mx.example.org"
data = "var"
[[port]]
role = "mx"
listen = "127.0.0.1:{port}"
trusted = ["127.0.0.1/32"]
[[route]]
match = ["*"]
to = "smtp://127.0.0.1:{out}"
tls = "off"
{more}
"""


class Merpati:
    """One worker with the defaults, relaying to `out`; a dead `out` is a durable receiver."""

    def __init__(self, folder: Path, out: int, more: str = "") -> None:
        self.port = free_port()
        text = MERPATI.format(port=self.port, out=out, more=more)
        self._server = MerpatiProcess(folder, text, [self.port])

    @property
    def pid(self) -> int:
        return self._server.pid

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


class Discard:
    """Merpati's own receiving half with nothing behind it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.discard", str(self.port)]
        self._process = subprocess.Popen(command)
        wait_port(self.port)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


# Postfix as its own documentation tunes it for throughput on one machine: more processes, no
# flow delay, connections to the next hop kept.
POSTFIX = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.org
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{out}
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
default_process_limit = 120
in_flow_delay = 0
smtp_destination_concurrency_limit = 10
initial_destination_concurrency = 10
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = [127.0.0.1]
smtp_connection_reuse_time_limit = 300s
qmgr_message_active_limit = 20000
max_use = 10000
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = none
smtp_tls_security_level = none
message_size_limit = 0
{more}
"""
SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Debian's Postfix, relaying to `out`, or keeping everything on hold."""

    def __init__(self, folder: Path, out: int, hold: bool = False) -> None:
        self.port = free_port()
        self._folder = folder
        more = "smtpd_client_restrictions = check_client_access static:HOLD" if hold else ""
        self._main = POSTFIX.format(folder=folder, out=out, more=more)

    @property
    def pid(self) -> int:
        return int((self._folder / "spool/pid/master.pid").read_text())

    def start(self) -> None:
        for name in ("etc", "spool", "data"):
            (self._folder / name).mkdir(parents=True)
        owner = pwd.getpwnam("postfix")
        os.chown(self._folder / "data", owner.pw_uid, owner.pw_gid)
        for folder in (self._folder, self._folder.parent):
            folder.chmod(0o755)
        (self._folder / "etc/main.cf").write_text(self._main)
        service = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        (self._folder / "etc/master.cf").write_text(service + SERVICES)
        self._control("start")
        wait_port(self.port)

    def stop(self) -> None:
        self._control("stop")
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)

    def _control(self, word: str) -> None:
        subprocess.run(
            ["postfix", "-c", self._folder / "etc", word],
            env={**os.environ, "PATH": PATH},
            check=True,
            capture_output=True,
            timeout=60,
        )
