"""A certificate authority that speaks ACME (RFC 8555), asked over the library `acme`.

The only file that knows it. The library is synchronous: everything here blocks, in a thread of the
renewal's. What a CA answers is a stranger's: whatever cannot be understood ends as AcmeError.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from acme import challenges, client, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from josepy.util import ComparableECKey

from merpati import __version__
from merpati.certificates.errors import AcmeError, IssueError
from merpati.certificates.keys import Key, digest_of, read_key, request
from merpati.certificates.proof import Proof, Prover
from merpati.certificates.schedule import Window
from merpati.certificates.transport import CaSession
from merpati.wire.certificates import UNREADABLE, Shown, shown_of
from merpati.wire.errors import TlsError

if TYPE_CHECKING:
    from threading import Event

NONCES = 10
"""How often a request is made again whose nonce the CA refused; the library does it once."""
PATIENCE = 180.0
"""Seconds that a CA has to look at our proofs, and again to sign."""
_PAUSE_LEAST, _PAUSE_MOST = 1.0, 15.0
MAX_CERTIFICATES = 10
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CaSettings:
    """Whom to ask, and as whom."""

    directory: str
    account_key: bytes
    """PEM, P-256."""
    contact: tuple[str, ...] = ()
    binding: tuple[str, str] | None = None
    """Key identifier and MAC key (base64url) of an external account (RFC 8555 §7.3.4)."""
    authorities: Path | None = None
    """PEM file of those who sign the CA's own web server; None: the public ones."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """When a CA would like to renew a certificate (RFC 9773 §4.2)."""

    window: Window | None
    retry_after: float | None = None
    explanation: str = ""


class _Order(messages.NewOrder):
    """With what the library does not know yet (RFC 9773 §5)."""

    replaces: str | None = field("replaces", omitempty=True)


class _Signed(JSONDeSerializable):
    """What is signed within a request: by the next key of an account (RFC 8555 §7.3.5)."""

    def __init__(self, inner: jws.JWS) -> None:
        self._inner = inner

    def to_partial_json(self) -> Any:
        return json.loads(self._inner.json_dumps())

    @classmethod
    def from_json(cls, jobj: Any) -> "_Signed":
        return cls(jws.JWS.from_json(jobj))


class _Network(client.ClientNetwork):
    """The library's, whose requests are made again after a bad nonce until one is taken."""

    def post(self, *arguments: Any, **options: Any) -> requests.Response:
        for _ in range(NONCES):
            try:
                return super().post(*arguments, **options)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        raise AcmeError(f"the CA refused {2 * NONCES} nonces of its own in a row")


class Authority:
    """One CA, for one round of work."""

    def __init__(
        self, settings: CaSettings, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """Asks for the directory. AcmeError."""
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._session = CaSession(settings.directory, monotonic)
        self._key = _account_key(settings.account_key)
        with self._understood():
            self._net = self._network()
            directory = client.ClientV2.get_directory(settings.directory, self._net)
            self._client = client.ClientV2(directory, self._net)
        self._has_account = False

    def close(self) -> None:
        """Connections are not needed any more."""
        self._session.close()

    def issue(
        self, names: Sequence[str], pem: bytes, prover: Prover, stop: "Event", replaces: bytes = b""
    ) -> bytes:
        """A chain (PEM) for these names and the key in `pem`, checked. IssueError.

        `replaces` is the certificate that it follows; `stop` ends every wait.
        """
        key = read_key(pem)
        with self._understood():
            self._enter()
            order, url = self._order(names, self._replaced(replaces))
            self._prove(list(order.authorizations), prover, stop)
            csr = x509.load_pem_x509_csr(request(key, names))
            self._post(order.finalize, messages.CertificateRequest(csr=csr))
            done = self._wait(stop, lambda: self._finished(url))
            chain = self._post(str(done.certificate), None).content
            return checked(chain, key, names, self._now())

    def suggestion(self, chain: bytes) -> Suggestion | None:
        """When the CA would renew it; None where it does not say. AcmeError."""
        with self._understood():
            base = self._client.directory._jobj.get("renewalInfo")
            if base is None:
                return None
            url = f"{str(base).rstrip('/')}/{certificate_id(chain)}"
            response = self._net.get(url)
            told = response.json()
            window = messages.RenewalInfo.from_json(told).suggested_window
            return Suggestion(
                Window(window.start.timestamp(), window.end.timestamp()),
                self._session.retry_after,
                str(told.get("explanationURL", ""))[:200],
            )

    def revoke(self, chain: bytes, reason: int) -> None:
        """Have a certificate of ours believed no more (RFC 8555 §7.6); `reason` is a number of RFC
        5280 §5.3.1. Nothing happens to one that is revoked already. IssueError."""
        with self._understood():
            self._enter()
            wish = messages.Revocation(
                certificate=x509.load_pem_x509_certificate(chain), reason=reason
            )
            try:
                self._post(self._client.directory["revokeCert"], wish)
            except messages.Error as error:
                if error.code != "alreadyRevoked":
                    raise

    def change_key(self, pem: bytes) -> None:
        """Be known by another key from now on (RFC 8555 §7.3.5). IssueError."""
        key = _account_key(pem)
        with self._understood():
            self._enter()
            url = str(self._client.directory["keyChange"])
            told = {"account": self._account_url(), "oldKey": self._key.public_key().to_json()}
            inner = jws.JWS.sign(json.dumps(told).encode(), key, ES256, None, url)
            self._post(url, _Signed(inner))
            self._key = self._net.key = key

    def deactivate(self) -> None:
        """Close our account, for good (RFC 8555 §7.3.6). IssueError."""
        with self._understood():
            self._enter()
            self._post(self._account_url(), messages.Registration(status="deactivated"))

    def _account_url(self) -> str:
        if (account := self._net.account) is None:
            raise AcmeError("the CA did not say what our account is called")
        return str(account.uri)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except IssueError:
            raise
        except Exception as error:
            # Four libraries over a stranger's answers: whatever they trip over is his doing, and an
            # attempt that failed has to be counted as one, or it would be made again at once.
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> AcmeError:
        try:
            return self._explained(error)
        except Exception:
            # What the library says of an error is made of the answer, and trips over it, too.
            what = type(error).__name__
            return AcmeError(f"no answer of the CA that makes sense: {what}")

    def _explained(self, error: Exception) -> AcmeError:
        if isinstance(error, errors.ValidationError):
            return AcmeError(f"the CA could not see the proof: {_told(error)}")
        if isinstance(error, requests.RequestException):
            return AcmeError(f"the CA cannot be reached: {_innermost(error)}")
        what = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, messages.Error):
            return AcmeError(f"the CA says: {what}", self._session.retry_after or 0.0)
        return AcmeError(f"no answer of the CA that makes sense: {what}")

    def _network(self) -> _Network:
        agent = f"merpati/{__version__} acme-python"
        net = _Network(self._key, alg=ES256, user_agent=agent)
        net.session.close()
        net.session = self._session
        if self._settings.authorities is not None:
            net.verify_ssl = str(self._settings.authorities)  # type: ignore[assignment]  # requests takes a path
        return net

    def _enter(self) -> None:
        """Be known to the CA by our account, made if need be (RFC 8555 §7.3)."""
        if self._has_account:
            return
        binding = None
        if (told := self._settings.binding) is not None:
            binding = messages.ExternalAccountBinding.from_data(
                self._key.public_key(), *told, self._client.directory
            )
        wish = messages.NewRegistration.from_data(
            contact=[f"mailto:{one}" for one in self._settings.contact],
            terms_of_service_agreed=True,
            external_account_binding=binding,
        )
        try:
            self._client.new_account(wish)
        except errors.ConflictError as known:
            self._net.account = messages.RegistrationResource(body=wish, uri=known.location)
        self._has_account = True

    def _order(self, names: Sequence[str], replaces: str) -> tuple[messages.Order, str]:
        identifiers = [
            messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names
        ]
        wish = _Order(identifiers=identifiers, replaces=replaces or None)
        try:
            response = self._post(self._client.directory["newOrder"], wish)
        except messages.Error as error:
            # RFC 9773 §5: alreadyReplaced, or a certificate that this CA does not know.
            if not replaces or error.code == "rateLimited":
                raise
            return self._order(names, "")
        return messages.Order.from_json(response.json()), response.headers["Location"]

    def _replaced(self, chain: bytes) -> str:
        """The identifier of what an order follows, where the CA keeps to RFC 9773."""
        if not chain or "renewalInfo" not in self._client.directory._jobj:
            return ""
        try:
            return certificate_id(chain)
        except ValueError:
            return ""

    def _prove(self, urls: list[str], prover: Prover, stop: "Event") -> None:
        """Show that the names are ours, all of them at the same time."""
        open_ = [(url, one) for url in urls if not _is_valid(one := self._authorization(url))]
        asked = [_challenge(one, prover.kind) for _, one in open_]
        proofs = [
            _proof(one, challenge, self._key)
            for (_, one), challenge in zip(open_, asked, strict=True)
        ]
        presented: list[Proof] = []
        try:
            for proof in proofs:
                presented.append(proof)
                prover.present(proof)
            if proofs and stop.wait(prover.settle):
                raise AcmeError("the server stops")
            for challenge in asked:
                self._client.answer_challenge(challenge, challenge.response(self._key))
            for url, _ in open_:
                self._wait(stop, lambda url=url: self._validated(url))  # type: ignore[misc]  # each its own
        finally:
            for proof in presented:
                _withdraw(prover, proof)

    def _authorization(self, url: str) -> messages.Authorization:
        found: messages.Authorization = messages.Authorization.from_json(
            self._post(url, None).json()
        )
        return found

    def _validated(self, url: str) -> messages.Authorization | None:
        found = self._authorization(url)
        if found.status == messages.STATUS_PENDING:
            return None
        if not _is_valid(found):
            raise errors.ValidationError([messages.AuthorizationResource(body=found, uri=url)])
        return found

    def _finished(self, url: str) -> messages.Order | None:
        order: messages.Order = messages.Order.from_json(self._post(url, None).json())
        if order.status == messages.STATUS_VALID and order.certificate:
            return order
        if order.status in (messages.STATUS_INVALID, messages.STATUS_PENDING):
            raise order.error or AcmeError(f"the CA gave the order up: {order.status}")
        return None

    def _wait(self, stop: "Event", look: Callable[[], T | None]) -> T:
        """Look until there is something; not more often than the CA wants."""
        end = self._monotonic() + PATIENCE
        pause = _PAUSE_LEAST / 4
        while (found := look()) is None:
            wanted = self._session.retry_after or pause
            pause = min(pause * 2, _PAUSE_MOST)
            if self._monotonic() > end:
                raise AcmeError(f"the CA was not done within {PATIENCE:g} s")
            if stop.wait(min(max(wanted, _PAUSE_LEAST / 4), _PAUSE_MOST)):
                raise AcmeError("the server stops")
        return found

    def _post(self, url: str, what: JSONDeSerializable | None) -> requests.Response:
        return self._net.post(url, what, new_nonce_url=self._client.directory["newNonce"])


def checked(pem: bytes, key: Key, names: Sequence[str], now: float) -> bytes:
    """The certificates of a chain and nothing else; AcmeError when it is not what was asked for."""
    count = pem.count(b"-----BEGIN CERTIFICATE-----")
    if not 0 < count <= MAX_CERTIFICATES:
        raise AcmeError(f"the CA sent {count} certificates")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        chain = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        shown = shown_of(chain, "what the CA sent")
        if digest_of(certificates[0]) != digest_of(key):
            raise AcmeError("the CA signed another key than ours")
    except (*UNREADABLE, TlsError) as error:
        raise AcmeError(f"what the CA sent is no chain of certificates: {error}") from error
    _insist(shown, names, now)
    return chain


def _insist(shown: Shown, names: Sequence[str], now: float) -> None:
    if set(shown.names) != set(names):
        raise AcmeError(f"the CA signed other names: {', '.join(shown.names)}")
    if shown.ends <= now:
        raise AcmeError("the CA sent a certificate that has expired (is our clock right?)")


def certificate_id(chain: bytes) -> str:
    """How a CA calls a certificate (RFC 9773 §4.1); ValueError for one that has no such name."""
    try:
        return client._renewal_info_path_component(x509.load_pem_x509_certificate(chain))
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise ValueError("the certificate does not name its issuer's key") from error


def _account_key(pem: bytes) -> JWKEC:
    key = read_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IssueError("the key of the account is none of P-256")
    return JWKEC(key=ComparableECKey(key))


def _is_valid(authorization: messages.Authorization) -> bool:
    return bool(authorization.status == messages.STATUS_VALID)


def _challenge(authorization: messages.Authorization, kind: str) -> messages.ChallengeBody:
    offered = [one for one in authorization.challenges if one.chall.typ == kind]
    if not offered:
        others = ", ".join(str(one.chall.typ) for one in authorization.challenges)
        name = authorization.identifier.value
        raise AcmeError(f"the CA does not offer {kind} for {name}, but {others}")
    return offered[0]


def _proof(authorization: messages.Authorization, asked: Any, key: JWK) -> Proof:
    name = str(authorization.identifier.value)
    challenge = asked.chall
    if isinstance(challenge, challenges.HTTP01 | challenges.DNS01):
        return Proof(name, challenge.encode("token"), challenge.validation(key))
    raise AcmeError("the CA offers a challenge that nobody here can meet")


def _withdraw(prover: Prover, proof: Proof) -> None:
    try:
        prover.withdraw(proof)
    except IssueError:
        return  # It says nothing that could harm, and a next one stands beside it.


def _innermost(error: BaseException) -> str:
    """What went wrong first: around it are the words of three libraries."""
    while (within := error.__cause__ or error.__context__) is not None:
        error = within
    return " ".join(str(error).split()) or type(error).__name__


def _told(error: errors.ValidationError) -> str:
    said = [
        f"{one.body.identifier.value}: {challenge.error.detail or challenge.error.typ}"
        for one in error.failed_authzrs
        for challenge in one.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(said) or "it does not say why"
