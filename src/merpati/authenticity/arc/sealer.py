"""Sealing a message that is passed on (RFC 8617 §5.1): what was found here, and our word for it."""

import re

from merpati.authenticity.arc.chain import MAX_SETS, Chain, ChainError
from merpati.authenticity.dkim.canonical import Canonicalization, canonical_field
from merpati.authenticity.dkim.fields import SignedFields
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import (
    SIGNED,
    Signer,
    SigningKey,
    SigningSettings,
    Unsignable,
    signature_field,
)

# What signed it before is covered as well.
SETTINGS = SigningSettings(signed=(*SIGNED, "dkim-signature"))
MAX_FOUND = 8192
_RELAXED = Canonicalization.RELAXED
# Not possessive: see mail/headers.
_is_value = re.compile(r"(?:[ -~\t\u00a0-\ud7ff\ue000-\U0010ffff]|\r\n[ \t]++(?=\S))*").fullmatch


class Sealer:
    """Of one message as it leaves: feed its content with `update`, then ask for the set."""

    def __init__(self) -> None:
        self._signer = Signer(SETTINGS)

    def update(self, part: bytes) -> None:
        """The next octets of the message, header section first."""
        self._signer.update(part)

    def fields(self, key: SigningKey, found: str, validation: Result, at: int) -> bytes:
        """Three fields to stand before the message. Call once, last.

        `found` is what our Authentication-Results field says; `validation` is what the check of the
        chain came to when the message came; `at` in seconds since 1970 UTC. Raises Unsignable: a
        chain that was found broken before, is not known to be whole, has no room, or is too long to
        be read; text that no
        field may have; and what Signer raises it for. Sets that are no chain are sealed as failed.
        """
        if len(found) > MAX_FOUND or not _is_value(found):
            raise Unsignable("what was found is not the text of a header field")
        message = self._signer.read()
        instance, chain = _next(message.fields)
        results = f"ARC-Authentication-Results: i={instance}; {found}\r\n".encode()
        signature = signature_field(
            f"ARC-Message-Signature: i={instance};",
            key,
            message.claims(SETTINGS, f"t={at};"),
            message.signed(_RELAXED),
            _RELAXED,
        )
        cv = "fail" if chain is None else _validation(chain, validation)
        own = canonical_field(results, _RELAXED) + canonical_field(signature, _RELAXED)
        # §5.1.2: of a chain that is broken nothing can be vouched for but our own set.
        whole = chain.sets if chain and cv != "fail" else ()
        before = b"".join(each.octets for each in whole)
        opening = f"ARC-Seal: i={instance}; cv={cv};"
        seal = signature_field(opening, key, f"t={at};", before + own, _RELAXED)
        return seal + signature + results


def _next(fields: SignedFields) -> tuple[int, Chain | None]:
    """The instance of the next set, and the chain before it; None where there is none that holds
    together (§5.1: the set that says so stands behind the greatest instance all the same)."""
    try:
        highest, has_failed = Chain.highest(fields)
    except ChainError as error:
        raise Unsignable(str(error)) from None
    if has_failed:
        raise Unsignable("the chain was broken before")
    if highest >= MAX_SETS:
        raise Unsignable(f"the chain has {MAX_SETS} sets already")
    try:
        return highest + 1, Chain.read(fields)
    except ChainError:
        return highest + 1, None


def _validation(chain: Chain, found: Result) -> str:
    if not chain.sets:
        return "none"
    if found is Result.TEMPERROR:
        raise Unsignable("whether the chain is whole is not known now")
    return "pass" if found is Result.PASS else "fail"
