"""What signing, verifying and judging cost: CPU a message of 10 KB, one thread, nothing else.

python -m benchmarks.dkim [messages in each row]
"""

import asyncio
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence

from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.signer import SigningKey, sign
from merpati.authenticity.dkim.verifier import Verification, verify
from merpati.authenticity.examiner import Examiner, spf_check
from merpati.authenticity.judgement import Origin
from merpati.clock import SystemClock
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.policy.evidence import checks_of
from merpati.testing.answers import Answers, TableResolver

AT = 1_800_000_000
HEAD = (
    b"Received: from client (localhost [127.0.0.1])\r\n\tby mx.a.test with ESMTPSA\r\n"
    b"\tid 01ABC;\r\n\tSat, 28 Nov 2026 07:00:00 +0000\r\n"
    b"From: Ann <ann@a.test>\r\nTo: Budi <budi@b.test>\r\nSubject: Apa kabar?\r\n"
    b"Date: Sat, 28 Nov 2026 07:00:00 +0000\r\nMessage-ID: <1@a.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)


def text(octets: int, end: bytes = b"") -> bytes:
    """Words in lines; `end` stands before each line end."""
    chance = random.Random(1)
    words = ["apa", "kabar", "selamat", "pagi", "merpati", "terbang", "tinggi", "sekali"]
    lines, size = [], 0
    while size < octets:
        lines.append(" ".join(chance.choices(words, k=11)).encode() + end)
        size += len(lines[-1]) + 2
    return b"\r\n".join(lines) + b"\r\n"


def row(name: str, work: Callable[[], object], count: int) -> None:
    """Do it so often, and print what once costs."""
    began = time.process_time()
    for _ in range(count):
        work()
    tell(name, (time.process_time() - began) / count)


def tell(name: str, spent: float) -> None:
    """What once costs, in seconds."""
    print(f"{name:<44} {spent * 1e6:7.0f} us {1 / spent:8.0f} a CPU second")


def large(key: SigningKey, zone: Answers, mebibytes: int = 100) -> None:
    """One message of so many MiB, in parts of 256 KiB."""
    part = text(256 * 1024)
    parts = [HEAD, *[part] * (mebibytes * 4)]
    fields = sign(parts, [key], AT)
    began = time.process_time()
    verification = Verification(Headers.scan(fields + HEAD))
    for each in parts[1:]:
        verification.update(each)
    (verdict,) = zone.answer(verification.verdicts(AT))
    spent = time.process_time() - began
    tracemalloc.start()
    for each in parts[1:40]:
        verification = Verification(Headers.scan(fields + HEAD))
        verification.update(each)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"verify {mebibytes} MiB: {spent:.2f} s, {peak // 1024} KiB, {verdict.result.value}")


DIRECT = {"TXT a.test": [b"v=spf1 ip4:192.0.2.0/24 -all"]}
INCLUDED = {
    "TXT a.test": [b"v=spf1 include:_spf.c.test -all"],
    "TXT _spf.c.test": [b"v=spf1 include:_1.c.test include:_2.c.test ~all"],
    "TXT _1.c.test": [b"v=spf1 %b ~all" % b" ".join(b"ip4:198.51.%d.0/24" % n for n in range(20))],
    "TXT _2.c.test": [b"v=spf1 %b ~all" % b" ".join(b"ip4:192.0.%d.0/24" % n for n in range(20))],
}
"""As large providers publish it."""


def judge(name: str, key: SigningKey, spf: Mapping[str, Sequence[object]], count: int) -> None:
    """A whole judgement (SPF of both names, DKIM, ARC, DMARC, the reverse name), by a resolver that
    knows every answer already, and what the journal keeps of it."""
    known: dict[str, Sequence[object]] = {
        **spf,
        f"TXT {key.selector}._domainkey.a.test": [key.pair.record],
        "TXT _dmarc.a.test": [b"v=DMARC1; p=reject"],
        "TXT mx.a.test": [b"v=spf1 a -all"],
        "PTR 192.0.2.7": ["mx.a.test"],
        "A mx.a.test": ["192.0.2.7"],
    }
    clock = SystemClock()
    examiner = Examiner(TableResolver(Answers(known)), clock, spf_check("mx.b.test", clock))
    origin = Origin("192.0.2.7", "mx.a.test", Address.parse("ann@a.test"))
    body = text(10_240)
    headers = Headers.scan(sign([HEAD, body], [key], AT) + HEAD)

    async def judgements() -> None:
        for _ in range(count):
            examination = examiner.begin(origin, headers)
            examination.update(body)
            judgement = await examiner.judge(examination)
            assert judgement.dmarc
            assert judgement.dmarc.result.value == "pass"
            checks_of(judgement)

    began = time.process_time()
    asyncio.run(judgements())
    tell(name, (time.process_time() - began) / count)


def main() -> None:
    """Print every row."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    kinds = (KeyKind.RSA_2048, KeyKind.ED25519)
    rsa, ed = (SigningKey("a.test", kind.value, KeyPair.generate(kind)) for kind in kinds)
    zone = Answers(
        {f"TXT {key.selector}._domainkey.a.test": [key.pair.record] for key in (rsa, ed)}
    )
    plain, untidy = HEAD + text(10_240), HEAD + text(10_240, b"  \t")
    row("an RSA-2048 signature alone", lambda: rsa.pair.sign(b"x" * 1000), count)
    for name, keys in (("RSA-2048", [rsa]), ("Ed25519", [ed]), ("both", [rsa, ed])):
        row(f"sign 10 KB, {name}", lambda keys=keys: sign([plain], keys, AT), count)  # type: ignore[misc]
    row("sign 10 KB, Ed25519, blanks at line ends", lambda: sign([untidy], [ed], AT), count)
    for name, keys in (("RSA-2048", [rsa]), ("both", [rsa, ed])):
        message = sign([plain], keys, AT) + plain
        row(
            f"verify 10 KB, {name}",
            lambda message=message: zone.answer(verify([message], AT)),  # type: ignore[misc]
            count,
        )
    judge("judge 10 KB, RSA-2048, warm cache", rsa, DIRECT, count)
    judge("the same, SPF through three includes", rsa, INCLUDED, count)
    large(rsa, zone)


if __name__ == "__main__":
    main()
