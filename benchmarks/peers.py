"""The other servers of the field, tuned for throughput as their own documentation says.

Postfix comes with the system; benchmarks/peers.sh installs the others into $MERPATI_PEERS. Exim and
Postfix need root, for their system users.
"""

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.group import Group, NoGroup
from benchmarks.load import PATH
from benchmarks.servers import HERE, LOGIN, SIGNED, Background, Certificate, Setup, Unable, tool
from merpati.testing.process import free_port

PEERS = Path(os.environ.get("MERPATI_PEERS", HERE / ".ci/peers"))
HOW = "not installed: run benchmarks/peers.sh"


class Peer:
    """A server in a control group, so that its CPU is counted wherever it forks to."""

    def __init__(self, folder: Path, setup: Setup, certificate: Certificate) -> None:
        self.port = free_port()
        self.folder, self.setup, self.certificate = folder, setup, certificate
        self._process: Background | None = None
        self._group: Group | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self, *command: str | Path) -> None:
        """Run it until stop(); Unable when its port does not open."""
        try:
            self._group = Group()
        except NoGroup as why:
            raise Unable(f"its CPU needs a control group to be counted: {why}") from None
        keeper = [sys.executable, "-m", "benchmarks.keeper", str(self._group.procs)]
        keeper += map(str, command)
        self._process = Background(keeper, self.folder / "out.log")
        self._process.wait_up(self.port)

    def cpu(self) -> float:
        """Of everything that came of the command."""
        assert self._group is not None
        return self._group.cpu()

    def stop(self) -> None:
        """It and everything that came of it; its files too."""
        assert self._process is not None
        self._process.stop()
        assert self._group is not None
        self._group.remove()
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)

    def make(self, *names: str, user: str) -> None:
        """Folders of a system user, which it can reach."""
        owner = pwd.getpwnam(user)
        for name in names:
            (self.folder / name).mkdir(parents=True)
            shutil.chown(self.folder / name, user, grp.getgrgid(owner.pw_gid).gr_name)
        for folder in (self.folder, self.folder.parent):
            folder.chmod(0o755)


def as_root(name: str) -> None:
    """Unable for others."""
    if os.geteuid() != 0:
        raise Unable(f"{name} changes its user, which needs root")


# More processes, no flow delay, connections to the next hop kept (TUNING_README).
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
smtpd_tls_chain_files = {certificate.key}, {certificate.file}
smtpd_tls_security_level = {tls}
smtp_tls_security_level = {tls}
smtp_tls_connection_reuse = yes
message_size_limit = 0
"""
SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsproxy unix - - n - 0 tlsproxy
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


OPENDKIM = """\
Syslog no
Mode s
Domain {domain}
Selector bench
KeyFile {folder}/sign/key
Socket local:{folder}/sign/socket
UMask 000
UserID opendkim
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
InternalHosts 127.0.0.0/8
RequireSafeKeys no
"""


class Postfix(Peer):
    """Debian's; `more` are further lines of its main.cf."""

    def __init__(
        self, folder: Path, setup: Setup, certificate: Certificate, more: str = ""
    ) -> None:
        super().__init__(folder, setup, certificate)
        self._more = more

    def start(self) -> None:
        tool("postfix")
        as_root("Postfix")
        if self.setup.login:
            raise Unable("a login needs a SASL server beside Postfix, which is not set up here")
        self.make("data", user="postfix")
        (self.folder / "etc").mkdir()
        (self.folder / "spool").mkdir()
        main = POSTFIX.format(
            folder=self.folder,
            out=self.setup.out or free_port(),
            certificate=self.certificate,
            tls="may" if self.setup.tls else "none",
        )
        main += self._more
        if self.setup.hold:
            main += "smtpd_client_restrictions = check_client_access static:HOLD\n"
        if self.setup.many:
            ways = self.folder / "etc/transport"
            ways.write_text(f"/@d([0-9]+)-([0-9]+)\\.test$/ smtp:[127.1.$1.$2]:{self.setup.out}\n")
            main += f"transport_maps = regexp:{ways}\n"
        if self.setup.dkim:
            main += self._milter()
        (self.folder / "etc/main.cf").write_text(main)
        service = f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        (self.folder / "etc/master.cf").write_text(service + SERVICES)
        start = f"postfix -c {self.folder}/etc start"
        if self.setup.dkim:
            start = f"opendkim -x {self.folder}/opendkim.conf && exec {start}"
        self.launch("sh", "-c", start)

    def _milter(self) -> str:
        """OpenDKIM beside it, in the same group; what main.cf says of it."""
        tool("opendkim")
        self.make("sign", user="opendkim")
        key = self.folder / "sign/key"
        shutil.copy(self.certificate.dkim, key)
        shutil.chown(key, "opendkim")
        (self.folder / "opendkim.conf").write_text(
            OPENDKIM.format(folder=self.folder, domain=SIGNED)
        )
        return f"smtpd_milters = unix:{self.folder}/sign/socket\nmilter_default_action = tempfail\n"

    def stop(self) -> None:
        """As Postfix wants it, so that the next one finds no half-dead master."""
        command = ["postfix", "-c", str(self.folder / "etc"), "stop"]
        environment = {**os.environ, "PATH": PATH}
        subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        super().stop()


# No limits of load and of connections, no log a message, one process a message and no more.
EXIM = """\
primary_hostname = mx.example.org
exim_path = {exim}
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/spool/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
deliver_drop_privilege = true
acl_smtp_rcpt = acl_rcpt
acl_smtp_auth = acl_auth
tls_advertise_hosts = {tls}
tls_certificate = {certificate.file}
tls_privatekey = {folder}/key.pem
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
host_lookup =
rfc1413_hosts =
dns_dnssec_ok = 0
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
smtp_connect_backlog = 1024
split_spool_directory = true
message_logs = false
remote_max_parallel = 4
queue_run_max = 4
check_spool_space = 0
check_spool_inodes = 0
message_size_limit = 0
queue_only = {hold}
begin acl
acl_rcpt:
  {accept}
acl_auth:
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{ {{eq{{$auth2}}{{{name}}}}} {{eq{{$auth3}}{{{password}}}}} }}}}
  server_set_id = $auth2
begin routers
out:
  driver = manualroute
  transport = remote
  route_data = {way}::{out}
  self = send
  host_find_failed = defer
begin transports
remote:
  driver = smtp
  allow_localhost
  connection_max_messages = 500
  hosts_avoid_tls = {avoid}
{dkim}
begin retry
* * F,1h,1m
"""


EXIM_SIGNING = """\
  dkim_domain = {domain}
  dkim_selector = bench
  dkim_private_key = {folder}/dkim.pem
  dkim_canon = relaxed
"""


class Exim(Peer):
    """Debian's, unpacked beside the system."""

    def start(self) -> None:
        program = PEERS / "exim/usr/sbin/exim4"
        if not program.exists():
            raise Unable(HOW)
        as_root("Exim")
        try:
            self.make("spool", "log", user="Debian-exim")
        except KeyError:
            raise Unable(HOW) from None
        shutil.copy(self.certificate.key, self.folder / "key.pem")
        shutil.chown(self.folder / "key.pem", "Debian-exim")
        name, _, password = LOGIN.partition(":")
        sign = ""
        if self.setup.dkim:
            shutil.copy(self.certificate.dkim, self.folder / "dkim.pem")
            shutil.chown(self.folder / "dkim.pem", "Debian-exim")
            sign = EXIM_SIGNING.format(domain=SIGNED, folder=self.folder)
        by_domain = r"${sg{$domain}{\N^d(\d+)-(\d+)\.test$\N}{127.1.\$1.\$2}}"
        conf = self.folder / "exim.conf"
        conf.write_text(
            EXIM.format(
                exim=program,
                folder=self.folder,
                port=self.port,
                certificate=self.certificate,
                tls="*" if self.setup.tls else "",
                avoid="" if self.setup.tls else "*",
                hold="true" if self.setup.hold else "false",
                accept="accept authenticated = *" if self.setup.login else "accept",
                dkim=sign,
                name=name,
                password=password,
                way=by_domain if self.setup.many else "127.0.0.1",
                out=self.setup.out or free_port(),
            )
        )
        self.launch(program, "-C", conf, "-bdf", "-q1m")


HARAKA_PLUGIN = """\
exports.register = function () {}
exports.hook_connect = (next, connection) => {
  connection.relaying = true
  next()
}
exports.hook_rcpt = (next) => next(OK)
exports.hook_get_mx = (next, hmail, domain) => {
  const many = /^d(\\d+)-(\\d+)\\.test$/.exec(domain)
  const exchange = many ? `127.1.${many[1]}.${many[2]}` : '127.0.0.1'
  next(OK, { priority: 0, exchange, port: PORT })
}
exports.hook_queue = (next) => next(DISCARD ? OK : CONT)
exports.hook_queue_outbound = exports.hook_queue
"""


HARAKA_SIGNING = """\
[sign]
enabled=true
selector=bench
headers=From, Sender, Reply-To, Subject, Date, Message-ID, To, Cc, MIME-Version
[verify]
enabled=false
"""


class Haraka(Peer):
    """From npm, one worker a core; it writes its queue to files and syncs none of them."""

    def start(self) -> None:
        program = PEERS / "node/node_modules/Haraka/bin/haraka"
        if not program.exists():
            raise Unable(HOW)
        if self.setup.chunking:
            raise Unable("it offers no CHUNKING")
        for name in ("config", "plugins", "queue"):
            (self.folder / name).mkdir(parents=True)
        tls, hold = (str(on).lower() for on in (self.setup.tls, self.setup.hold))
        name, _, password = LOGIN.partition(":")
        plugins = ["tls"] if self.setup.tls else []
        plugins += ["auth/flat_file"] if self.setup.login else []
        plugins += ["dkim"] if self.setup.dkim else []
        files = {
            "config/smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=cpus\n",
            "config/log.ini": "[main]\nlevel=warn\n",
            "config/me": "mx.example.org\n",
            "config/outbound.ini": f"local_mx_ok=true\nenable_tls={tls}\ndisabled={hold}\n",
            "config/tls.ini": "[main]\n",
            "config/auth_flat_file.ini": f"[core]\nmethods=PLAIN\n[users]\n{name}={password}\n",
            "config/plugins": "\n".join([*plugins, "bench", ""]),
            "config/tls_key.pem": self.certificate.key.read_text(),
            "config/tls_cert.pem": self.certificate.file.read_text(),
            "plugins/bench.js": HARAKA_PLUGIN.replace(
                "PORT", str(self.setup.out or free_port())
            ).replace("DISCARD", str(self.setup.discard).lower()),
        }
        if self.setup.dkim:
            keys = self.folder / f"config/dkim/{SIGNED}"
            keys.mkdir(parents=True)
            shutil.copy(self.certificate.dkim, keys / "private")
            (keys / "selector").write_text("bench\n")
            (self.folder / "config/dkim.ini").write_text(HARAKA_SIGNING)
        # Its own code counts on what its sample file says.
        shutil.copy(program.parent.parent / "config/connection.ini", self.folder / "config")
        for file, text in files.items():
            (self.folder / file).write_text(text)
        self.launch("node", program, "-c", self.folder)


class Aiosmtpd(Peer):
    """From PyPI, on uvloop, with a handler that forgets."""

    def start(self) -> None:
        python = PEERS / "aiosmtpd/bin/python"
        if not python.exists():
            raise Unable(HOW)
        self.folder.mkdir(parents=True)
        script = Path(__file__).with_name("aiosmtpd_null.py")
        self.launch(python, script, str(self.port))


class SmtpSink(Peer):
    """Postfix's smtp-sink itself: what a C program that forgets takes here."""

    def start(self) -> None:
        program = tool("smtp-sink")
        self.folder.mkdir(parents=True)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.launch(program, *user, "-m", "2000", f"inet:127.0.0.1:{self.port}", "1024")
