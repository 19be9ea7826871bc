"""SPF as a library: may this host send for this address? Without a network and without a loop.

    python examples/spf.py                     # asks a dictionary
    python examples/spf.py IP ADDRESS [HELO]   # asks the DNS

A check asks as a generator. The first way answers it by hand, the second lets a resolver do it.
"""

import asyncio
import sys

from merpati.authenticity.questions import Asking, drive
from merpati.authenticity.spf.check import Client, check_mail_from
from merpati.authenticity.spf.result import Verdict
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient
from merpati.dns.resolver import Answer, Found
from merpati.mail.address import Address

ZONE = {
    "a.test": b"v=spf1 ip4:192.0.2.0/24 include:b.test -all",
    "b.test": b"v=spf1 ip6:2001:db8::/32",
}
CASES = [
    ("192.0.2.7", "ann@a.test"),
    ("2001:db8::7", "ann@a.test"),
    ("198.51.100.7", "ann@a.test"),
    ("192.0.2.7", "bob@c.test"),
]
SECONDS = 20
"""RFC 7208 §4.6.4: a check is given at least so long."""


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


async def asked(client: Client) -> Verdict:
    """By what the DNS says."""
    async with asyncio.timeout(SECONDS):
        return await drive(check_mail_from(client), DnsClient(SystemClock()))


def say(client: Client, verdict: Verdict) -> None:
    """The result, why, and by which part of whose record."""
    by = f" [{verdict.mechanism} in {verdict.at}]" if verdict.mechanism else ""
    print(f"{verdict.result.value}: {client.ip} for {client.sender}: {verdict.why}{by}")


if __name__ == "__main__":
    if sys.argv[1:]:
        ip, address, *helo = sys.argv[1:]
        one = Client(ip, helo[0] if helo else "", Address.parse(address))
        say(one, asyncio.run(asked(one)))
    else:
        for ip, address in CASES:
            one = Client(ip, "", Address.parse(address))
            say(one, answered(check_mail_from(one)))
