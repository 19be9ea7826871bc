"""Real servers that know who people are: OpenLDAP's slapd and an OpenID provider."""

import json
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from pathlib import Path

from merpati.testing.process import free_port, wait_port
from tests.interop.peers import Daemon, find

NODE = Path(__file__).parent / "node"

SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/ldap.pem
TLSCertificateKeyFile {folder}/ldap.key
security simple_bind=128
disallow bind_anon
database mdb
suffix "dc=a,dc=test"
rootdn "cn=admin,dc=a,dc=test"
rootpw admin-secret
directory {folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=a,dc=test" read by * none
"""
# (bind_v2 and unauthenticated binds are what slapd takes by `allow` alone.)

PEOPLE = """\
dn: dc=a,dc=test
objectClass: domain
dc: a

dn: cn=reader,dc=a,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-secret

dn: ou=people,dc=a,dc=test
objectClass: organizationalUnit
ou: people
"""

PERSON = """
dn: uid={uid},ou=people,dc=a,dc=test
objectClass: inetOrgPerson
uid: {uid}
cn: {uid}
sn: {uid}
mail: {uid}@a.test
userPassword: {password}
"""


class Slapd(Daemon):
    """LDAP for dc=a,dc=test, encrypted or not at all; `reader` may look for people by `mail`."""

    def __init__(self, folder: Path, certificate: tuple[bytes, bytes, bytes]) -> None:
        super().__init__(folder)
        self.port, self.tls_port = free_port(), free_port()
        (folder / "db").mkdir(parents=True)
        for name, octets in zip(("ldap.pem", "ldap.key", "ca.pem"), certificate, strict=True):
            (folder / name).write_bytes(octets)
        self.authorities = folder / "ca.pem"
        self._conf = folder / "slapd.conf"

    def start(self, people: dict[str, str]) -> None:
        """With these names and passwords."""
        self._conf.write_text(SLAPD_CONF.format(folder=self.folder))
        entries = PEOPLE + "".join(
            PERSON.format(uid=uid, password=password) for uid, password in people.items()
        )
        subprocess.run(
            [find("slapadd") or "slapadd", "-f", self._conf],
            input=entries.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        self.run()

    def run(self) -> None:
        """Serve what was stored."""
        doors = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"
        self.launch(find("slapd") or "slapd", "-f", self._conf, "-h", doors, "-d", "256")
        wait_port(self.port)
        wait_port(self.tls_port)


class OpenIdProvider(Daemon):
    """Issues tokens for ann@a.test and eve@a.test, and tells `merpati` of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.launch(find("node") or "node", NODE / "provider.mjs", str(self.port))
        wait_port(self.port)

    def token(self, name: str, kind: str = "jwt", scope: str = "mail") -> str:
        """A token of this user: `jwt`, or `opaque` to all but the provider."""
        form = {"grant_type": "client_credentials", "resource": f"urn:{kind}", "scope": scope}
        request = urllib.request.Request(
            f"{self.issuer}/token",
            urllib.parse.urlencode(form).encode(),
            {"Authorization": "Basic " + b64encode(f"{name}:{name}-secret".encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            token: str = json.load(answer)["access_token"]
        return token
