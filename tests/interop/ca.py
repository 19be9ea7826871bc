"""A certificate authority that speaks ACME: Pebble, that of Let's Encrypt's own tests."""

import json
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import trustme

from merpati.testing.process import free_port, wait_port
from tests.interop.peers import Daemon, find


class Pebble(Daemon):
    """Signs for who proves a name, by HTTP on `http` of 127.0.0.1 or by the DNS.

    Names are asked of the name server on `dns`, and a share of all nonces is refused.
    """

    def __init__(self, folder: Path, dns: int, *, nonces_refused: int = 30) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.port, self.http, self._manager = free_port(), free_port(), free_port()
        self._dns = dns
        self._refused = nonces_refused
        self.authorities = folder / "authorities.pem"
        self.binding: dict[str, str] = {}
        """Accounts that there are (EAB): key identifier and MAC key. With one they are demanded."""

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    def status(self, serial: str) -> dict[str, Any]:
        """What it says of a certificate to whoever runs it."""
        trust = ssl.create_default_context(cafile=self.authorities)
        url = f"https://127.0.0.1:{self._manager}/cert-status-by-serial/{serial}"
        with urllib.request.urlopen(url, context=trust, timeout=60) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def start(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authorities)
        own = authority.issue_cert("127.0.0.1")
        own.private_key_and_cert_chain_pem.write_to_path(self.folder / "own.pem")
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._manager}",
            "certificate": str(self.folder / "own.pem"),
            "privateKey": str(self.folder / "own.pem"),
            "httpPort": self.http,
            "tlsPort": free_port(),
            "externalAccountBindingRequired": bool(self.binding),
            "externalAccountMACKeys": self.binding,
        }
        config = self.folder / "pebble.json"
        config.write_text(json.dumps({"pebble": settings}))
        program = find("pebble") or "pebble"
        environment = [
            "PEBBLE_VA_NOSLEEP=1",
            f"PEBBLE_WFE_NONCEREJECT={self._refused}",
            "PEBBLE_AUTHZREUSE=0",
        ]
        server = f"127.0.0.1:{self._dns}"
        self.launch("env", *environment, program, "-config", config, "-dnsserver", server)
        wait_port(self.port)


def shown(port: int, name: str | None, *, starttls: bool = True) -> str:
    """What openssl says of the certificate that a client is shown who asks for a name."""
    options = ["-servername", name] if name else ["-noservername"]
    options += ["-starttls", "smtp"] if starttls else []
    said = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-issuer", "-ext", "subjectAltName"],
        input=said.stdout,
        capture_output=True,
        timeout=60,
        check=False,
    ).stdout.decode()
