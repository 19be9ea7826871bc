"""The public test suite of RFC 7208, whole (see rfc7208/README.md)."""

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from merpati.authenticity.questions import Asking, Kind, Question
from merpati.authenticity.spf.check import Client, Here, check_host
from merpati.authenticity.spf.result import Identity, Verdict
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.resolver import Answer, Found, Mx
from tests.cases import each

SCENARIOS = json.loads((Path(__file__).parent / "rfc7208/suite.json").read_bytes())
CASES = [
    pytest.param(scenario, case, id=f"{scenario['description']}: {name}")
    for scenario in SCENARIOS
    for name, case in scenario["tests"].items()
]


class Zone:
    """Answers as the suite's zone data want it: SPF records stand for TXT ones where there are none
    of these, and TIMEOUT for whatever is not there before it."""

    def __init__(self, records: dict[str, list[Any]]) -> None:
        self._records = {name.lower(): entries for name, entries in records.items()}

    def answer(self, asking: Asking[Verdict]) -> Verdict:
        try:
            question = next(asking)
            while True:
                try:
                    answer = self._look_up(question)
                except DnsError as error:
                    question = asking.throw(error)
                else:
                    question = asking.send(answer)
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict

    def _look_up(self, question: Question) -> Answer[Any]:
        name = question.name.lower()
        if question.kind is Kind.PTR:
            name = ipaddress.ip_address(name).reverse_pointer
        found = self._of(question.kind.value, name)
        if not found:
            return Answer(Found.NO_DATA if name in self._records else Found.NO_NAME)
        return Answer(Found.RECORDS, tuple(found))

    def _of(self, kind: str, name: str) -> list[Any]:
        entries = self._records.get(name, [])
        has_txt = any("TXT" in entry for entry in entries)
        key = "SPF" if kind == "TXT" and not has_txt else kind
        found: list[Any] = []
        for entry in entries:
            if entry == "TIMEOUT":
                if not found:
                    raise DnsTimeout("the suite wants it")
            elif "CNAME" in entry:
                return self._of(kind, entry["CNAME"].lower())
            elif entry.get(key) == "TIMEOUT":
                raise DnsTimeout("the suite wants it")
            elif entry.get(key, "NONE") != "NONE":
                found.append(_value(key, entry[key]))
        return found


def _value(kind: str, told: Any) -> object:
    if kind in ("TXT", "SPF"):
        return "".join(told).encode()
    if kind == "MX":
        return Mx(told[0], told[1])
    return str(ipaddress.ip_address(told)) if kind in ("A", "AAAA") else told


@each(("scenario", "case"), CASES)
def test_the_public_suite_passes(scenario: dict[str, Any], case: dict[str, Any]) -> None:
    zone = Zone(scenario["zonedata"])
    sender = case["mailfrom"] or f"postmaster@{case['helo']}"
    here = Here(case.get("receiver", "unknown"))
    client = Client(case["host"], case["helo"])
    verdict = zone.answer(check_host(Identity.MAIL_FROM, client, sender, here))
    expected = case["result"]
    assert verdict.result.value in (expected if isinstance(expected, list) else [expected]), verdict
    if "explanation" in case:
        told = case["explanation"]
        assert verdict.explanation == ("" if told == "DEFAULT" else told)


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203
