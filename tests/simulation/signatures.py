"""The one key of a run, what is signed with it, and whether a signature is good.

Every other message has an author of a domain with a key; the key was made once, so that the same
seed gives the same octets.
"""

import re
from functools import cache

from merpati.authenticity.dkim.keypair import KeyPair
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.verifier import verify
from merpati.directory.keys import DkimKey, KeyState
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from merpati.testing.memory_keys import MemoryKeys

SIGNED = "signed.test"
_PEM = (
    b"-----BEGIN PRIVATE KEY-----\n"
    b"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    b"-----END PRIVATE KEY-----\n"
)
_SIGNATURE = re.compile(rb"DKIM-Signature:[^\n]*+\n(?:\t[^\n]*+\n)*+")


@cache
def _key() -> DkimKey:
    pair = KeyPair.from_pem(_PEM)
    return DkimKey(SIGNED, "key", pair.kind, KeyState.NEXT, 0.0, pair.record.decode(), pair.pem)


def keys() -> MemoryKeys:
    """With a key that signs for SIGNED."""
    return MemoryKeys([_key()])


def author_of(n: int, sender: str) -> str:
    """Who wrote a message."""
    return f"s{n}@{SIGNED}" if n % 2 else sender


def split(content: bytes) -> tuple[bytes, bytes]:
    """The signature on top of a message, and what was signed."""
    found = _SIGNATURE.match(content)
    top = found[0] if found else b""
    return top, content[len(top) :]


def fault_of(top: bytes, content: bytes, now: float) -> str:
    """What is wrong with a signature, or with its absence; empty for nothing."""
    wants = SIGNED in (Headers.scan(content).get("from") or "")
    if not top:
        return "is not signed" if wants else ""
    zone = Answers({f"TXT key._domainkey.{SIGNED}": [_key().record.encode()]})
    results = [verdict.result for verdict in zone.answer(verify([top, content], now))]
    return "" if results == [Result.PASS] and wants else f"has signatures: {results}"
