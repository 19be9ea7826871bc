"""DMARC as a library: whose mail it is, without a network and without a loop.

    python examples/dmarc.py                    # judges messages by records in a dictionary
    python examples/dmarc.py MESSAGE [DOMAIN]   # by what the DNS says; SPF passed for DOMAIN

Checks ask as generators. The first way answers them by hand, the second lets a resolver do it.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from merpati.authenticity.dkim.verifier import verify
from merpati.authenticity.dmarc.author import find_author
from merpati.authenticity.dmarc.evaluation import evaluate
from merpati.authenticity.dmarc.verdict import Identifier, Method, Verdict
from merpati.authenticity.questions import Asking, drive
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient
from merpati.dns.resolver import Answer, Found
from merpati.mail.headers import Headers

ZONE = {
    "_dmarc.a.test": b"v=DMARC1; p=reject; sp=quarantine",
    "_dmarc.shop.a.test": b"v=DMARC1; p=none; psd=n",
}
CASES = [
    (b"From: Ann <ann@a.test>\r\n\r\n", "news.a.test"),
    (b"From: Ann <ann@a.test>\r\n\r\n", "evil.test"),
    (b"From: Ann <ann@x.a.test>\r\n\r\n", "evil.test"),
    (b"From: Ann <ann@shop.a.test>\r\n\r\n", "a.test"),
    (b"From: Ann <ann@b.test>\r\n\r\n", "b.test"),
    (b"From: <ann@a.test>, <eve@evil.test>\r\n\r\n", "evil.test"),
]


def answered(asking: Asking[Verdict]) -> Verdict:
    """Run a check to its end by what ZONE has."""
    try:
        question = next(asking)
        while True:
            record = ZONE.get(question.name)
            found = Answer(Found.RECORDS, (record,)) if record else Answer(Found.NO_NAME)
            question = asking.send(found)
    except StopIteration as end:
        verdict: Verdict = end.value
        return verdict


def say(verdict: Verdict) -> None:
    """The result, what the domain asks, and why."""
    where = f" [{verdict.published.name}]" if verdict.published else ""
    asks = f" {verdict.disposition.value}" if verdict.published else ""
    print(f"{verdict.result.value}{asks}: {verdict.author or '?'}: {verdict.why}{where}")
    for checked in verdict.checked:
        found = checked.identifier
        print(f"    {found.method.value} {found.result} {found.domain}: {checked.alignment.value}")


def by_spf(domains: Sequence[str]) -> list[Identifier]:
    """As if SPF had passed for these."""
    return [Identifier(Method.SPF, domain, "pass") for domain in domains]


async def judged(path: str, domains: Sequence[str]) -> None:
    """A message in a file; its lines may end in LF, as files have them."""
    octets = await asyncio.to_thread(Path(path).read_bytes)
    message = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    clock = SystemClock()
    resolver = DnsClient(clock)
    signatures = await drive(verify([message], clock.now()), resolver)
    found = by_spf(domains) + [
        Identifier(Method.DKIM, each.evidence.domain, each.result.value) for each in signatures
    ]
    say(await drive(evaluate(find_author(Headers.scan(message)), found), resolver))


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(judged(sys.argv[1], sys.argv[2:]))
    else:
        for case, domain in CASES:
            say(answered(evaluate(find_author(Headers.scan(case)), by_spf([domain]))))
