"""What a token says, and whether that is what it has to say (RFC 7519, 8725, 9068)."""

import msgspec

from merpati.identity.checker import Bearer, Proof, Unfit
from merpati.identity.expected import Expected
from merpati.smtp.sasl.exchange import TokenRefused

LEEWAY = 60.0
"""Seconds that two clocks may be apart."""
UNREADABLE = "token that cannot be read"
# RFC 9068 §4, and what providers had before it. An ID token has the second too, but is not for us:
# its audience is the program it was made for.
_TYPES = {"at+jwt", "application/at+jwt", "jwt", ""}


class _Claims(msgspec.Struct):
    iss: str = ""
    sub: str = ""
    aud: str | list[str] = ""
    exp: float | None = None
    nbf: float | None = None
    scope: str = ""
    scp: str | list[str] = ""
    typ: str = "Bearer"
    email_verified: bool | str = False


def is_access_token(typ: str) -> bool:
    """Whether a header's type is that of a token for access."""
    return typ.lower() in _TYPES


class Claims:
    """What was said, by a token or about it."""

    def __init__(self, document: bytes) -> None:
        """Raises ValueError for what is no JSON object, or has known claims of other types."""
        try:
            self._all = msgspec.json.decode(document, type=dict[str, object])
            self._known = msgspec.convert(self._all, _Claims)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError("no claims") from error

    @property
    def is_active(self) -> bool:
        """RFC 7662 §2.2: what the provider says of a token has to say so, else it is not."""
        return self._all.get("active") is True

    def judge(self, expected: Expected, now: float, configuration: str = "") -> Bearer | Unfit:
        """Whose token it is, or why it is nobody's here."""
        known = self._known
        proof = Proof("token", known.iss or expected.issuer, known.sub)
        scope = " ".join(expected.scope)
        refusal = TokenRefused(scope=scope, configuration=configuration)
        if found := self._flaw(expected, now):
            return Unfit(*found, refusal, proof)
        if missing := set(expected.scope) - self._scopes():
            refusal = TokenRefused("insufficient_scope", scope, configuration)
            return Unfit("token without the scope", " ".join(sorted(missing)), refusal, proof)
        if flaw := self._nameless(expected.claim):
            return Unfit(flaw, expected.claim, refusal, proof)
        return Bearer(str(self._all[expected.claim]), proof)

    def _flaw(self, expected: Expected, now: float) -> tuple[str, str] | None:
        known = self._known
        if known.iss and known.iss != expected.issuer:
            return "token of another issuer", known.iss
        audience = [known.aud] if isinstance(known.aud, str) else known.aud
        if not set(audience) & set(expected.audience):
            return "token for another service", ", ".join(audience)
        if known.typ.lower() != "bearer":  # Keycloak says ID, Refresh or Bearer.
            return "token for another service", known.typ
        if "cnf" in self._all:
            # RFC 9449 §7.1, RFC 8705 §3: whoever shows it has to prove a key, which no mechanism
            # here can carry; taken without that it would be worth more than it was made to be.
            return "token bound to a key", ""
        return self._untimely(now)

    def _untimely(self, now: float) -> tuple[str, str] | None:
        known = self._known
        if known.exp is not None and now >= known.exp + LEEWAY:
            return "token out of its time", f"until {known.exp:.0f}"
        if known.nbf is not None and now < known.nbf - LEEWAY:
            return "token out of its time", f"from {known.nbf:.0f}"
        return None

    def _scopes(self) -> set[str]:
        # RFC 9068 §2.2.3: one text; some providers say `scp`, as a text or as a list.
        scp = self._known.scp
        return {*self._known.scope.split(), *(scp.split() if isinstance(scp, str) else scp)}

    def _nameless(self, claim: str) -> str:
        name = self._all.get(claim)
        if not isinstance(name, str) or not name:
            return "token without an address"
        # Whoever may write any address into a profile must not read another's mail.
        if claim == "email" and self._known.email_verified not in (True, "true"):
            return "token with an unverified address"
        return ""

    @property
    def is_bounded(self) -> bool:
        """Whether it says who issued it and until when it is good, as a token itself has to."""
        return bool(self._known.iss) and self._known.exp is not None
