"""The real servers that Merpati talks to in the tests, started unprivileged-minded on loopback.

Each keeps everything in a folder of its own and is ended by its process id.
"""

import base64
import contextlib
import grp
import json
import os
import pwd
import shutil
import signal
import smtplib
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.rdtypes.dnskeybase

from merpati.testing.process import wait_port

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/dovecot"
EXIM = Path(os.environ.get("MERPATI_PEERS", "/opt/peers")) / "exim/usr/sbin/exim4"


def find(name: str) -> str | None:
    """Where a program is, system administrators' folders included."""
    return shutil.which(name, path=PATH)


def chown(path: Path, user: str) -> None:
    """Give a file or folder to a system user."""
    shutil.chown(path, user, grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name)


def traversable(path: Path) -> None:
    """Let other users pass through our temporary folders to the ones we give them."""
    for folder in (path, *path.parents):
        if folder == folder.parent or folder.stat().st_uid != os.getuid():
            break
        with contextlib.suppress(PermissionError):
            folder.chmod(folder.stat().st_mode | 0o711)


POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
virtual_mailbox_domains = postfix.test insecure.test unusable.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{
  {{ bob@postfix.test = bob/ }} {{ carol@postfix.test = carol/ }} {{ gone@postfix.test = gone/ }}
  {{ bob@insecure.test = bob/ }} {{ bob@unusable.test = bob/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ {{ gone@postfix.test = gone: }} }}
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/postfix.pem
smtp_tls_security_level = {smtp_tls}
relayhost = [127.0.0.1]:{relay_to}
"""

POSTFIX_MASTER = """\
{address}:{port} inet n - n - - smtpd
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
gone unix - n n - - pipe user=nobody argv=/bin/false
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Receives for bob@ and carol@postfix.test, bob@insecure.test and bob@unusable.test. What comes
    for gone@postfix.test it takes and returns.

    Sends everything else to `relayhost`.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        relay_to: int = 9,
        smtp_tls: str = "may",
        more: dict[str, str] | None = None,
        address: str = "127.0.0.1",
        pem: bytes = b"",
    ) -> None:
        """`more` are lines of main.cf that stand in the place of ours. `pem` is what it shows: its
        key, its certificate, and those above; it makes its own where nothing is given."""
        self.folder = folder
        self.port = port
        self._address = address
        self._pem = pem
        owner = pwd.getpwnam("postfix")
        text = POSTFIX_MAIN.format(
            folder=folder, uid=owner.pw_uid, gid=owner.pw_gid, smtp_tls=smtp_tls, relay_to=relay_to
        )
        lines = text.replace("\n  ", " ").splitlines(keepends=True)
        kept = [line for line in lines if line.partition(" = ")[0] not in (more or {})]
        self._main = "".join(kept) + "".join(f"{k} = {v}\n" for k, v in (more or {}).items())

    def start(self) -> None:
        for name in ("etc", "spool", "data", "mail/bob", "mail/carol"):
            (self.folder / name).mkdir(parents=True)
        traversable(self.folder)
        for name in ("data", "mail", "mail/bob", "mail/carol"):
            chown(self.folder / name, "postfix")
        self._show(self.folder / "postfix.pem")
        (self.folder / "etc/main.cf").write_text(self._main)
        master = POSTFIX_MASTER.format(address=self._address, port=self.port)
        (self.folder / "etc/master.cf").write_text(master)
        self._run("postfix", "-c", str(self.folder / "etc"), "start")
        wait_port(self.port, host=self._address)

    def _show(self, path: Path) -> None:
        if self._pem:
            path.touch(0o600)
            path.write_bytes(self._pem)
        else:
            make_certificate(path, "postfix.test")

    def stop(self) -> None:
        self._run("postfix", "-c", str(self.folder / "etc"), "stop")

    def mails(self, user: str) -> list[bytes]:
        """What lies in a user's mailbox."""
        return [path.read_bytes() for path in sorted((self.folder / "mail" / user).glob("new/*"))]

    def log(self) -> str:
        return (self.folder / "maillog").read_text()

    def send(self, sender: str, recipient: str, content: bytes) -> None:
        """Hand a message to Postfix, for it to relay."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.sendmail(sender, [recipient], content.replace(b"\n", b"\r\n"))

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, env={**os.environ, "PATH": PATH}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def make_certificate(path: Path, name: str) -> None:
    """A self-signed key and certificate in one PEM file."""
    key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
    options = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(
        ["openssl", "req", "-x509", *options.split(), *names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
        timeout=60,
    )
    path.write_bytes(key.read_bytes() + certificate.read_bytes())
    path.chmod(0o600)


class Daemon:
    """A server that stays in the foreground as our child."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, *command: str | Path) -> None:
        with (self.folder / "out.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": PATH},
                start_new_session=True,
            )

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def output(self) -> str:
        return (self.folder / "out.log").read_text("utf-8", "replace")


EXIM_CONF = """\
primary_hostname = exim.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
exim_user = {user}
exim_group = {group}
exim_path = {exim}
deliver_drop_privilege = true
acl_smtp_rcpt = acl_rcpt
tls_advertise_hosts = *
tls_certificate = {folder}/exim.pem
tls_privatekey = {folder}/exim.pem
chunking_advertise_hosts = *
host_lookup =
rfc1413_hosts =
message_size_limit = 2M
begin acl
acl_rcpt:
  defer local_parts = busy
        message = try again later
  accept domains = exim.test
         local_parts = bob : carol
  deny message = unknown user
begin routers
here:
  driver = accept
  local_parts = bob : carol
  transport = box
begin transports
box:
  driver = appendfile
  directory = {folder}/mail/$local_part_data
  maildir_format
  create_directory
begin retry
* * F,1h,1m
"""


class Exim(Daemon):
    """Receives for bob@ and carol@exim.test; busy@ is always deferred."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        self.port = port

    def start(self) -> None:
        user = "Debian-exim"
        ensure_system_user(user)
        for name in ("spool", "log", "mail"):
            (self.folder / name).mkdir(parents=True)
            chown(self.folder / name, user)
        traversable(self.folder)
        make_certificate(self.folder / "exim.pem", "exim.test")
        chown(self.folder / "exim.pem", user)
        conf = self.folder / "exim.conf"
        conf.write_text(
            EXIM_CONF.format(folder=self.folder, port=self.port, user=user, group=user, exim=EXIM)
        )
        self.launch(EXIM, "-C", conf, "-bdf", "-q1m")
        wait_port(self.port)

    def mails(self, user: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.folder / "mail" / user).glob("new/*"))]


def ensure_system_user(name: str) -> None:
    """Make a system user without a login, once."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam(name)
        return
    options = "--system --user-group --no-create-home --home-dir /nonexistent"
    subprocess.run(
        ["/usr/sbin/useradd", *options.split(), "--shell", "/usr/sbin/nologin", name], check=True
    )


DOVECOT_CONF = """\
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = lmtp imap
ssl = no
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{folder}/mail/%n
postmaster_address = postmaster@dovecot.test
first_valid_uid = 1
auth_username_format = %n
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
"""


class Dovecot(Daemon):
    """LMTP for bob@ and carol@dovecot.test on TCP and a Unix socket; IMAP without passwords."""

    def __init__(self, folder: Path, port: int, imap: int) -> None:
        super().__init__(folder)
        self.port = port
        self.imap = imap
        self.socket = folder / "run/lmtp"

    def start(self) -> None:
        (self.folder / "mail").mkdir(parents=True)
        traversable(self.folder)
        mailer = pwd.getpwnam("dovecot")
        chown(self.folder / "mail", "dovecot")
        lines = [
            f"{name}::{mailer.pw_uid}:{mailer.pw_gid}::{self.folder}/mail/{name}::"
            for name in ("bob", "carol")
        ]
        (self.folder / "users").write_text("\n".join(lines) + "\n")
        conf = self.folder / "dovecot.conf"
        conf.write_text(
            DOVECOT_CONF.format(
                folder=self.folder,
                port=self.port,
                imap=self.imap,
                user="dovecot",
                group="dovecot",
                login="dovenull",
            )
        )
        self.launch(find("dovecot") or "dovecot", "-F", "-c", conf)
        wait_port(self.port)

    def mails(self, user: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.folder / "mail" / user).glob("new/*"))]


NAMED_CONF = """\
options {{
  directory "{folder}";
  pid-file none;
  session-keyfile none;
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  minimal-responses yes;
}};
controls {{ }};
"""


class Named(Daemon):
    """BIND, the authority for zones that are signed as they are asked to be."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.port = port
        self.zones: list[str] = []
        self._keys: list[Path] = []
        self._more: dict[str, str] = {}
        self.anchors: list[str] = []
        """DS records of the zones that were signed."""

    def key(self, name: str, algorithm: str = "hmac-sha256") -> Path:
        """A key that may ask for changes (TSIG), in a file that only we can read."""
        file = self.folder / f"{name}.key"
        secret = base64.b64encode(name.encode().ljust(32)).decode()
        file.touch(0o600)
        file.write_text(f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n')
        self._keys.append(file)
        return file

    def add_dynamic(self, zone: str, records: str, policy: str) -> None:
        """A zone that is signed by the server itself and changes as `policy` grants."""
        self.add(zone, records, signed=False)
        self._more[zone] = (
            f"update-policy {{ {policy} }}; dnssec-policy default; inline-signing no; "
            f'key-directory "{self.folder}";'
        )

    def add(self, zone: str, records: str, *, signed: bool = True, options: str = "") -> Path:
        """A zone, its records relative to it; its file, which may be spoiled before `start`."""
        file = self.folder / f"{zone}.zone"
        head = f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns postmaster 1 7200 900 86400 60\n"
        file.write_text(f"{head}@ NS ns\nns A 127.0.0.1\n{records}\n")
        self.zones.append(zone)
        if not signed:
            return file
        for role in ("", "-f KSK"):
            self._run(f"dnssec-keygen -q -a ECDSAP256SHA256 {role} {zone}")
        file = self.sign(zone, options)
        self.anchors += (self.folder / f"dsset-{zone}.").read_text().splitlines()
        return file

    def sign(self, zone: str, options: str = "") -> Path:
        """Sign a zone anew with the keys it has; the file of that, which `start` reads."""
        self._run(f"dnssec-signzone -q -S -o {zone} {options} {zone}.zone")
        return self.folder / f"{zone}.zone.signed"

    def start(self) -> None:
        text = NAMED_CONF.format(folder=self.folder, port=self.port)
        text += "".join(f'include "{file}";\n' for file in self._keys)
        for zone in self.zones:
            file = self.folder / f"{zone}.zone.signed"
            file = file if file.exists() else file.with_suffix("")
            text += (
                f'zone "{zone}" {{ type primary; file "{file}"; {self._more.get(zone, "")} }};\n'
            )
        (self.folder / "named.conf").write_text(text)
        self.launch(find("named") or "named", "-g", "-c", self.folder / "named.conf")
        wait_port(self.port)
        for zone in self.zones:
            self._wait_served(zone)

    def anchor(self, zone: str) -> None:
        """Have a zone believed that the server signs by itself: its keys are made at the start."""
        question = dns.message.make_query(zone, "DNSKEY")
        answer = dns.query.tcp(question, "127.0.0.1", port=self.port, timeout=60)
        self.anchors += [
            f"{zone}. DNSKEY {key.to_text()}"
            for rrset in answer.answer
            for key in rrset
            if key.flags & dns.rdtypes.dnskeybase.Flag.SEP
        ]

    def _wait_served(self, zone: str, seconds: float = 90) -> None:
        """Its port is open before it has read its zones. One that it signs itself takes no changes
        before it has made keys, and is signed name by name, what is not there last."""
        end = time.monotonic() + seconds
        while not (self._is_signed(zone) if zone in self._more else self._has(zone)):
            if time.monotonic() > end:
                raise TimeoutError(f"{zone} is not served after {seconds} s")
            time.sleep(0.02)

    def _has(self, zone: str) -> bool:
        return bool(self._asked(zone, "SOA").answer)

    def _is_signed(self, zone: str) -> bool:
        there, nothing = self._asked(f"ns.{zone}", "A"), self._asked(f"ns.{zone}", "TXT")
        proofs = [rrset.covers for rrset in nothing.authority]
        return dns.rdatatype.NSEC in proofs and any(rrset.covers for rrset in there.answer)

    def _asked(self, name: str, kind: str) -> dns.message.Message:
        """What it answers; nothing where it has no time."""
        question = dns.message.make_query(name, kind, want_dnssec=True)
        with contextlib.suppress(dns.exception.Timeout):
            return dns.query.udp(question, "127.0.0.1", port=self.port, timeout=5)
        return dns.message.Message()

    def _run(self, command: str) -> None:
        program, *arguments = command.split()
        subprocess.run(
            [find(program) or program, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=60,
        )


UNBOUND_CONF = """\
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  interface: 127.0.0.1
  port: {port}
  do-ip6: no
  do-not-query-localhost: no
  local-zone: "test." nodefault
  trust-anchor-file: "{folder}/anchors"
{more}
remote-control:
  control-enable: no
"""


class Unbound(Daemon):
    """A validating resolver that asks one authority and believes its anchors."""

    def __init__(self, folder: Path, port: int, more: str = "") -> None:
        super().__init__(folder)
        folder.mkdir()
        self.port = port
        self._more = more

    def start(self, authority: Named, above: str = "127.0.0.1") -> None:
        """`above` is who has the zone `test` itself."""
        (self.folder / "anchors").write_text("\n".join(authority.anchors) + "\n")
        text = UNBOUND_CONF.format(folder=self.folder, port=self.port, more=self._more)
        # A name server that another names is asked at port 53, so each zone is named here.
        addresses = {"test": above} | dict.fromkeys(authority.zones, "127.0.0.1")
        for zone, address in addresses.items():
            text += f'stub-zone:\n  name: "{zone}"\n  stub-addr: {address}@{authority.port}\n'
        (self.folder / "unbound.conf").write_text(text)
        self.launch(find("unbound") or "unbound", "-d", "-p", "-c", self.folder / "unbound.conf")
        wait_port(self.port)


SECONDARY_CONF = """\
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: {address}
  port: {port}
  do-ip6: no
  local-zone: "test." nodefault
remote-control:
  control-enable: no
"""


class Secondary(Daemon):
    """An unbound that answers for copies of zones: BIND listens on addresses of interfaces alone,
    and of loopback's there is one."""

    def __init__(self, folder: Path, port: int, address: str) -> None:
        super().__init__(folder)
        folder.mkdir()
        self._port, self._address = port, address
        self._conf = SECONDARY_CONF.format(folder=folder, port=port, address=address)

    def add(self, zone: str, text: str) -> None:
        """A copy with its SOA record and all."""
        file = self.folder / f"{zone}.zone"
        file.write_text(f"$ORIGIN {zone}.\n$TTL 300\n{text}\n")
        self._conf += f'auth-zone:\n  name: "{zone}"\n  zonefile: "{file}"\n  for-upstream: no\n'

    def start(self) -> None:
        (self.folder / "unbound.conf").write_text(self._conf)
        self.launch(find("unbound") or "unbound", "-d", "-p", "-c", self.folder / "unbound.conf")
        wait_port(self._port, host=self._address)


def wait_mails(
    peer: Postfix | Exim | Dovecot, user: str, count: int, seconds: float = 90
) -> list[bytes]:
    """The mails of a user as soon as there are `count`; AssertionError otherwise."""
    end = time.monotonic() + seconds
    while len(mails := peer.mails(user)) < count:
        assert time.monotonic() < end, f"{len(mails)} of {count} mails arrived for {user}"
        time.sleep(0.05)
    return mails


RSPAMD_CONF = """\
options {{
  pidfile = "{folder}/rspamd.pid";
  tempdir = "{folder}";
  cache_file = "";
  filters = "dkim";
  local_addrs = [];
  allow_raw_input = true;
  dns {{ nameserver = ["{dns}"]; timeout = 3s; retransmits = 2; }}
}}
logging {{ type = "file"; filename = "{folder}/rspamd.log"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
lua = "/usr/share/rspamd/rules/rspamd.lua"
modules {{
  path = "/usr/share/rspamd/plugins/spf.lua";
  path = "/usr/share/rspamd/plugins/arc.lua";
  path = "/usr/share/rspamd/plugins/dmarc.lua";
  path = "/usr/share/rspamd/plugins/dkim_signing.lua";
}}
dkim {{ }}
spf {{ }}
dmarc {{ }}
# Who logged in has a signature of the author's domain by each key, and what comes from outside
# for somebody is sealed by the recipient's.
dkim_signing {{ use_esld = false; sign_local = false; domain {{ {signing} }} }}
arc {{
  use_esld = false; sign_local = false; sign_authenticated = false; sign_inbound = true;
  use_domain = "recipient"; allow_hdrfrom_mismatch = true; domain {{ {sealing} }}
}}
metric {{ name = "default"; actions {{ reject = 1000; }} }}
"""


class Rspamd(Daemon):
    """Judges messages over HTTP by DKIM, SPF, DMARC and ARC alone, and signs and seals some."""

    def __init__(self, folder: Path, port: int, dns: str) -> None:
        super().__init__(folder)
        self._port = port
        self._dns = dns
        self._keys: dict[str, str] = {}
        traversable(folder)
        chown(folder, "nobody")

    def key(self, domain: str, selector: str, text: bytes) -> None:
        """A key of a domain, in its own form: PEM, or base64 of an Ed25519 one."""
        file = self.folder / f"{domain}.{selector}.key"
        file.write_bytes(text)
        chown(file, "nobody")
        one = f'{{ selector = "{selector}"; path = "{file}"; }}'
        self._keys[domain] = ", ".join(filter(None, (self._keys.get(domain), one)))

    def start(self) -> None:
        domains = " ".join(f"{one} {{ selectors [ {keys} ] }}" for one, keys in self._keys.items())
        conf = RSPAMD_CONF.format(
            folder=self.folder, port=self._port, dns=self._dns, signing=domains, sealing=domains
        )
        (self.folder / "rspamd.conf").write_text(conf)
        drop = ("-u", "nobody", "-g", "nogroup") if os.geteuid() == 0 else ()
        self.launch("rspamd", "-f", "-c", self.folder / "rspamd.conf", *drop)

    def answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/ping", timeout=5) as answer:
                return bool(answer.read().strip() == b"pong")
        except OSError:
            return False

    def symbols(self, message: bytes, **envelope: str) -> set[str]:
        """What it found; `envelope` has From, IP and Helo."""
        return set(self._answer(message, envelope)["symbols"])

    def signed(self, message: bytes, **envelope: str) -> bytes:
        """The message with the signatures of its author's domain; `envelope` has a User as well."""
        added = self._answer(message, envelope)["dkim-signature"]
        values = added if isinstance(added, list) else [added]
        return b"".join(_field("DKIM-Signature", value) for value in values) + message

    def sealed(self, message: bytes, **envelope: str) -> bytes:
        """The message with a seal of its recipient's domain; `envelope` has a Rcpt as well."""
        added = self._answer(message, envelope)["milter"]["add_headers"]
        names = ("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results")
        return b"".join(_field(name, added[name]["value"]) for name in names) + message

    def _answer(self, message: bytes, envelope: dict[str, str]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/checkv2"
        with urlopen(Request(url, message, envelope), timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def _field(name: str, value: str) -> bytes:
    lines = value.replace("\r\n", "\n").split("\n")
    return f"{name}: {lines[0]}\r\n".encode() + b"".join(f"{x}\r\n".encode() for x in lines[1:])
