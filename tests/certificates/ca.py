"""A CA that believes everybody, and answers any question as badly as a test wants it to."""

import base64
import datetime
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

DAY = 86_400.0


@dataclass(slots=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


def told(value: object, status: int = 200, **headers: str) -> Answer:
    head = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | head)


def problem(kind: str, status: int = 400, **headers: str) -> Answer:
    answer = told({"type": f"urn:ietf:params:acme:error:{kind}", "detail": kind}, status, **headers)
    answer.headers["Content-Type"] = "application/problem+json"
    return answer


class FakeCa:
    """`spoil` by path: what is answered instead; `asked` is every path and payload so far."""

    def __init__(self, folder: Path, now: float, life: float = 90 * DAY) -> None:
        self.now, self.life = now, life
        self.spoil: dict[str, Callable[[], Answer]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.window: tuple[float, float] | None = None
        self._issuer = ec.generate_private_key(ec.SECP256R1())
        self._order: dict[str, Any] = {}
        self._chain = b""
        web = trustme.CA()
        self.authorities = folder / "authorities.pem"
        web.cert_pem.write_to_path(self.authorities)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        web.issue_cert("127.0.0.1").configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def directory(self) -> str:
        return f"{self.base}/dir"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def sign(self, csr: x509.CertificateSigningRequest, *names: str) -> bytes:
        """A certificate for these names, and one above it."""
        begins = datetime.datetime.fromtimestamp(self.now, datetime.UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake")])
        key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._issuer.public_key())
        made = (
            x509.CertificateBuilder(issuer, x509.Name([]), csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(seconds=self.life))
            .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), False)
            .add_extension(key, False)
            .sign(self._issuer, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)

    def _answer(self, path: str, payload: Any) -> Answer:
        self.asked.append((path, payload))
        known = path.rpartition("/")[0] if path.startswith("/ari/") else path
        if known in self.spoil:
            return self.spoil[known]()
        return getattr(self, f"_on_{known.strip('/')}")(payload)

    def _on_dir(self, _: Any) -> Answer:
        names = {"newNonce": "nonce", "newAccount": "account", "newOrder": "order"}
        names |= {"revokeCert": "revoke", "keyChange": "keychange"}
        found = {name: f"{self.base}/{path}" for name, path in names.items()}
        return told(found | ({"renewalInfo": f"{self.base}/ari"} if self.window else {}))

    def _on_nonce(self, _: Any) -> Answer:
        return Answer(body=b"")

    def _on_account(self, _: Any) -> Answer:
        return told({"status": "valid"}, 201, Location=f"{self.base}/me")

    def _on_me(self, payload: Any) -> Answer:
        return told(payload)

    def _on_revoke(self, _: Any) -> Answer:
        return Answer(body=b"")

    def _on_keychange(self, _: Any) -> Answer:
        return told({"status": "valid"})

    def _on_ari(self, _: Any) -> Answer:
        assert self.window
        start, end = (
            datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat() for at in self.window
        )
        window = {"start": start, "end": end}
        told_ = {"suggestedWindow": window, "explanationURL": "https://ca.test/why"}
        return told(told_, Retry_After="3600")

    def _on_order(self, payload: Any) -> Answer:
        self._order = payload | {
            "status": "pending",
            "authorizations": [f"{self.base}/authz"],
            "finalize": f"{self.base}/finalize",
        }
        return told(self._order, 201, Location=f"{self.base}/state")

    def _on_authz(self, _: Any) -> Answer:
        done = "/challenge" in self.paths()[self.paths().index("/order") :]
        challenge = {"type": "http-01", "url": f"{self.base}/challenge", "token": "t" * 43}
        return told(
            {
                "status": "valid" if done else "pending",
                "identifier": self._order["identifiers"][0],
                "challenges": [challenge],
            }
        )

    def _on_challenge(self, _: Any) -> Answer:
        challenge = {"type": "http-01", "url": f"{self.base}/challenge", "token": "t" * 43}
        return told(challenge, Link=f'<{self.base}/authz>;rel="up"')

    def _on_finalize(self, payload: Any) -> Answer:
        csr = x509.load_der_x509_csr(_decoded(payload["csr"]))
        names = [one["value"] for one in self._order["identifiers"]]
        self._chain = self.sign(csr, *names)
        self._order |= {"status": "valid", "certificate": f"{self.base}/chain"}
        return told(self._order)

    def _on_state(self, _: Any) -> Answer:
        return told(self._order)

    def _on_chain(self, _: Any) -> Answer:
        return Answer(200, self._chain, {"Content-Type": "application/pem-certificate-chain"})

    def _handler(ca) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(ca._answer(self.path, None))

            do_HEAD = do_GET

            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["Content-Length"]))
                payload = _decoded(json.loads(octets)["payload"])
                self._send(ca._answer(self.path, json.loads(payload) if payload else None))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                head = {"Replay-Nonce": "bm9uY2U", "Content-Length": str(len(answer.body))}
                for name, text in (head | answer.headers).items():
                    self.send_header(name, text)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Tests look at `asked`."""

        return Handler


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
