"""Answers what an exchange asks: whose password, keys, token or certificate is it?

The directory knows users, and passwords and SCRAM keys of those who have some here. Others may know
more passwords (`identity.checker`), and issue tokens and certificates; who is let in by them is a
user of the directory all the same, and not a suspended one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from merpati.directory.directory import Secret, User
from merpati.identity.checker import Asked, Bearer, Proof
from merpati.mail.address import Address, AddressError
from merpati.mail.trace import Client
from merpati.smtp.sasl.exchange import (
    Decision,
    FetchKeys,
    Identified,
    Question,
    ScramKeys,
    VerifyCertificate,
    VerifyPassword,
    VerifyToken,
)
from merpati.wire.chain import read_chain

if TYPE_CHECKING:
    from merpati.reception.login import Logins

_HERE = Proof("")
_SUSPENDED = "suspended account"
_NOBODY = "no user here"
_OTHER = "of another user"
_UNTIMELY = "certificate out of its time"
_SEVERAL = "certificate of several users"


class Witness:
    """Of one exchange."""

    def __init__(self, logins: "Logins", client: Client) -> None:
        self._logins = logins
        self._client = client
        self._secrets: Sequence[Secret] = ()
        self._used: Secret | None = None
        self.account: Address | None = None
        """Who it is, if the exchange comes to succeed."""
        self.proof = _HERE
        """Who vouched for it, other than our directory."""
        self.why = ""
        """Why the answer was no, for the journal; empty: as the exchange says."""
        self.detail = ""
        self.named = ""
        """Whom token or certificate name, where the client said nothing."""

    async def answer(self, question: Question) -> Decision:
        """The answer. Raises LoginBusy and IdentityUnavailable."""
        self.account = self._address(question.username)
        if self.account is not None:
            self._secrets = self._logins.directory.secrets(self.account)
            if (user := self._user(self.account)) is not None:
                # However it was written, from here on it has one spelling: what is counted and
                # held of an account knows no other.
                self.account = user.address
        match question:
            case VerifyPassword():
                return await self._is_right(question.password)
            case FetchKeys():
                return [_keys(secret) for secret in self._secrets]
            case VerifyToken():
                return await self._bearer(question)
            case VerifyCertificate():
                return self._holder(question.username)

    def used(self, keys: ScramKeys | None) -> Secret | None:
        """Which password of the directory it was, given the keys that matched if SCRAM was used."""
        return self._used or next((one for one in self._secrets if _keys(one) == keys), None)

    async def _is_right(self, password: str) -> bool:
        logins, account = self._logins, self.account
        if logins.everyone:
            return account is not None
        self._used = await logins.hasher.find(self._secrets, password)
        if self._used is not None:
            return True
        if logins.passwords is None or account is None:
            return False
        if not logins.directory.is_local(account.domain):
            return False
        # Also of who is no user, whom nobody lets in: that there is none takes as long to find.
        is_right = await logins.passwords.is_right(Asked(account, password, self._client.ip))
        if not is_right or self._user(account) is None:
            return False
        self.proof = logins.passwords.proof
        return True

    async def _bearer(self, question: VerifyToken) -> Decision:
        if self._logins.everyone or self._logins.tokens is None:
            return self._logins.everyone
        found = await self._logins.tokens.examine(question.token)
        if not isinstance(found, Bearer):
            self.why, self.detail = found.why, found.detail
            self.proof = found.proof or _HERE
            return found.refusal
        self.proof = found.proof
        return self._identified(question.username, [found.account])

    def _holder(self, username: str) -> Decision:
        """Whose certificate the client has shown; TLS has looked at who signed it."""
        tls = self._client.tls
        shown = read_chain(tls.chain[:1]) if tls and tls.verified else []
        if not shown:
            return False
        certificate = shown[0]
        self.proof = Proof("certificate", certificate.issuer, certificate.subject)
        if not certificate.is_in_time(self._logins.clock.now()):
            self.why = _UNTIMELY  # A session may last longer than it.
            return False
        return self._identified(username, certificate.mail_names)

    def _identified(self, wanted: str, names: Sequence[str]) -> Decision:
        """The user of those named; if the client wants to be somebody, then only that one."""
        self.named = self.detail = ", ".join(names)
        users = self._users(names)
        if wanted and users:
            # RFC 4422 §3.4.1: nobody may act for another here.
            users &= self._users([wanted])
            self.why = "" if users else _OTHER
        if len(users) > 1:
            self.why = _SEVERAL
        if len(users) != 1:
            return False
        (self.account,) = users
        return Identified(str(self.account))

    def _users(self, names: Sequence[str]) -> set[Address]:
        """Those of the names that may log in."""
        self.why = _NOBODY
        accounts = [account for name in names if (account := self._address(name))]
        return {user.address for account in accounts if (user := self._user(account))}

    def _user(self, account: Address) -> User | None:
        """Somebody here who is not suspended."""
        user = self._logins.directory.user(account)
        if user is None or not user.suspended:
            return user
        self.why = _SUSPENDED
        return None

    def _address(self, name: str) -> Address | None:
        try:
            return Address.parse(name)
        except AddressError:
            if not self._logins.everyone or not name:
                return None
            return Address(name, self._logins.hostname)


def _keys(secret: Secret) -> ScramKeys:
    return ScramKeys(
        secret.scram_salt, secret.scram_iterations, secret.stored_key, secret.server_key
    )
