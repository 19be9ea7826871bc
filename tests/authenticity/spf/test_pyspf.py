"""Ours and pyspf over the same made-up DNS: whatever records say, both come to the same result.

Where they are known to differ:

- pyspf counts each question without an answer as void, also those for the addresses of MX and PTR
  names, and each time anew; RFC 7208 §4.6.4 speaks of terms, of which we count each once.
- pyspf ends as temperror where a name of the client's address cannot be looked up; §5.5 skips it.
- pyspf asks for the addresses of all MX before it compares one, so here none of them is silent.
- pyspf takes a record that includes its own domain as wrong even if the term is never reached.
"""

import ipaddress
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from merpati.authenticity.spf.check import Client, check_host
from merpati.authenticity.spf.result import Identity, Result, Verdict
from merpati.dns.errors import DnsTimeout
from merpati.dns.resolver import Mx
from merpati.testing.answers import Answers

pytestmark = pytest.mark.slow

pyspf = pytest.importorskip("spf", reason="pyspf is not installed: make .venv/.dev installs it")

WORLDS = 400
SILENT = "silent.test"
VOID = "Void lookup limit"
RECURSION = "trivial recursion"
NAMES = ("a.test", "b.test", "c.a.test", "d.test", "gone.test", SILENT)
ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.77", "198.51.100.1", "2001:db8::1", "2001:db8:1::9")
MACROS = ("%{d}", "%{i}._ip.a.test", "%{l}.b.test", "%{h}", "%{o1r}.test", "%{ir}.%{v}._x.d.test")
BROKEN = (
    "ip4:192.0.2",
    "ip6:zz::",
    "a/33",
    "moo",
    "include",
    "a:%{q}.test",
    "=a",
    "all:x",
    "mx//129",
)


class Author:
    """Writes zones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def records(self) -> dict[str, list[object] | DnsTimeout]:
        """As `Answers` takes them."""
        chance, zone = self._chance, {}
        for name in NAMES[:4]:
            if chance.random() < 0.9:
                zone[f"TXT {name}"] = [self._record()]
            for kind, version in (("A", 4), ("AAAA", 6)):
                if chance.random() < 0.6:
                    zone[f"{kind} {name}"] = self._addresses(version)
            if chance.random() < 0.6:
                zone[f"MX {name}"] = [
                    Mx(10 * n, chance.choice(NAMES[:5])) for n in range(chance.randint(1, 3))
                ]
        for kind in ("TXT", "A", "AAAA", "MX"):
            zone[f"{kind} {SILENT}"] = DnsTimeout("no answer")
        for address in ADDRESSES:
            if chance.random() < 0.6:
                zone[f"PTR {address}"] = [self._name() for _ in range(chance.randint(1, 3))]
        for address in ADDRESSES[:2]:
            zone[f"A {address}._ip.a.test"] = ["127.0.0.2"]
        return zone

    def client(self) -> tuple[str, str, str]:
        """Address, HELO name and sender."""
        chance = self._chance
        return chance.choice(ADDRESSES), self._name(), f"{chance.choice('ab')}@{self._name()}"

    def _record(self) -> bytes:
        chance = self._chance
        terms = [self._term() for _ in range(chance.randint(0, 5))]
        terms.append(
            chance.choice(("-all", "~all", "?all", "+all", "redirect=" + self._name(), ""))
        )
        return " ".join(["v=spf1", *terms]).encode()

    def _term(self) -> str:
        chance = self._chance
        kind = chance.choice(
            (
                "ip4",
                "ip4",
                "ip6",
                "a",
                "a",
                "mx",
                "mx",
                "include",
                "include",
                "exists",
                "ptr",
                "else",
            )
        )
        return chance.choice(("", "", "", "-", "~", "?")) + self._mechanism(kind)

    def _mechanism(self, kind: str) -> str:
        chance = self._chance
        if kind in ("ip4", "ip6"):
            version = int(kind[2])
            length = chance.choice(("", "/24" if version == 4 else "/48", "/32"))
            return f"{kind}:{chance.choice(self._addresses(version))}{length}"
        if kind in ("a", "mx"):
            length = chance.choice(("", "", "/24", "//48", "/24//64", "/0"))
            return kind + chance.choice(("", f":{self._target()}")) + length
        if kind in ("include", "exists"):
            return f"{kind}:{self._target()}"
        if kind == "ptr":
            return kind + chance.choice(("", f":{self._name()}"))
        return chance.choice(BROKEN) if chance.random() < 0.3 else "ip4:203.0.113.0/24"

    def _target(self) -> str:
        return self._chance.choice(MACROS) if self._chance.random() < 0.2 else self._name()

    def _name(self) -> str:
        return self._chance.choices(NAMES, (4, 4, 4, 4, 1, 1))[0]

    def _addresses(self, version: int) -> list[str]:
        known = [one for one in ADDRESSES if ipaddress.ip_address(one).version == version]
        return self._chance.sample(known, self._chance.randint(1, 2))


@dataclass(frozen=True, slots=True)
class Case:
    """One world and one client."""

    seed: int
    records: Mapping[str, list[object] | DnsTimeout]
    ip: str
    helo: str
    sender: str

    def ours(self) -> Verdict:
        check = check_host(Identity.MAIL_FROM, Client(self.ip, self.helo), self.sender)
        return Answers(self.records).answer(check)

    def theirs(self) -> tuple[str, str]:
        """The result and why."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pyspf, "DNSLookup", self._look_up)
            result, _, why = pyspf.query(self.ip, self.sender, self.helo).check()
        return result, why

    def theirs_by_our_reading(self) -> tuple[str, str]:
        """The same without its limit of void questions, and without names that do not answer."""
        answering = {
            key: [name for name in found if name != SILENT] if key.startswith("PTR ") else found
            for key, found in self.records.items()
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pyspf, "MAX_VOID_LOOKUPS", 1000)
            return replace(self, records=answering).theirs()

    def _look_up(self, name: str, kind: str, *_: object) -> list[tuple[tuple[str, str], object]]:
        asked = name
        if kind == "PTR":
            asked = next(a for a in ADDRESSES if ipaddress.ip_address(a).reverse_pointer == name)
        found = self.records.get(f"{kind} {asked}", [])
        if isinstance(found, DnsTimeout):
            raise pyspf.TempError("DNS timed out")
        return [((name, kind), _value(one)) for one in found]


def _value(record: object) -> object:
    if isinstance(record, Mx):
        return record.preference, record.host
    return (record,) if isinstance(record, bytes) else record


def cases() -> Iterator[Case]:
    for seed in range(WORLDS):
        author = Author(seed)
        records = author.records()
        for _ in range(3):
            yield Case(seed, records, *author.client())


def test_both_come_to_the_same_result() -> None:
    same: Counter[str] = Counter()
    for case in cases():
        ours = case.ours()
        theirs, why = case.theirs()
        if theirs == ours.result.value:
            same[theirs] += 1
            continue
        if VOID in why or theirs == "temperror":
            theirs, why = case.theirs_by_our_reading()
        assert theirs == ours.result.value or RECURSION in why, (case, ours, why)
    # Alike in more than nine of ten, and each result often enough to mean something.
    assert same.total() > 0.9 * 3 * WORLDS
    assert len(same) == len(Result)
    assert min(same.values()) > 20, same
