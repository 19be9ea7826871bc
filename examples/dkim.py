"""DKIM as a library: a message is signed and verified, without a network and without a loop.

    python examples/dkim.py              # signs, publishes in a dictionary, verifies, alters
    python examples/dkim.py MESSAGE...   # verifies messages in files by what the DNS says

Checks ask as generators. The first way answers them by hand, the second lets a resolver do it.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair, txt_strings
from merpati.authenticity.dkim.result import Verdict
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.authenticity.dkim.verifier import verify
from merpati.authenticity.questions import Asking, drive
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient
from merpati.dns.resolver import Answer, Found

MESSAGE = (
    b"From: Ann <ann@a.test>\r\nTo: Budi <budi@b.test>\r\nSubject: Halo\r\n\r\nSelamat pagi!\r\n"
)
SHOWN = "{0.domain} {0.algorithm} {0.selector}"


def answered(asking: Asking[tuple[Verdict, ...]], zone: Mapping[str, bytes]) -> Sequence[Verdict]:
    """Run a check to its end: each question is for a TXT record."""
    try:
        question = next(asking)
        while True:
            record = zone.get(question.name)
            found = Answer(Found.RECORDS, (record,)) if record else Answer(Found.NO_NAME)
            question = asking.send(found)
    except StopIteration as end:
        verdicts: Sequence[Verdict] = end.value
        return verdicts


def say(verdicts: Sequence[Verdict]) -> None:
    """One line a signature."""
    for verdict in verdicts:
        about = SHOWN.format(verdict.evidence)
        print(f"{verdict.result.value:<9} {about}  {verdict.why}".rstrip())
    if not verdicts:
        print("none")


def signed_and_verified(now: int) -> None:
    """With an RSA key and an Ed25519 key of a.test."""
    keys = [
        SigningKey("a.test", kind.value, KeyPair.generate(kind))
        for kind in (KeyKind.RSA_2048, KeyKind.ED25519)
    ]
    zone = {f"{key.selector}._domainkey.{key.domain}": key.pair.record for key in keys}
    for name, record in zone.items():
        strings = " ".join(f'"{string.decode()}"' for string in txt_strings(record))
        print(f"{name}. TXT {strings}\n")
    message = sign([MESSAGE], keys, now) + MESSAGE
    print(message.replace(b"\r\n", b"\n").decode())
    say(answered(verify([message], now), zone))
    say(answered(verify([message.replace(b"pagi", b"malam")], now), zone))


async def verified(paths: Sequence[str]) -> None:
    """Messages in files; lines may end in LF, as files have them."""
    clock = SystemClock()
    resolver = DnsClient(clock)
    for path in paths:
        octets = await asyncio.to_thread(Path(path).read_bytes)
        message = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        print(path)
        say(await drive(verify([message], clock.now()), resolver))


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(verified(sys.argv[1:]))
    else:
        signed_and_verified(int(SystemClock().now()))
