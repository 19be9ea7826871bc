"""What stands in a domain's zone, and what web servers tell mail programs of it: looked at by
`merpati domain setup`, and what is to stand there made of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import TXT

from merpati.authenticity.dmarc.record import Policy, find_records, read_record
from merpati.authenticity.dmarc.record import Record as DmarcRecord
from merpati.authenticity.spf.check import MAX_LOOKUPS
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.dns.update import RecordSet
from merpati.setup.difference import Step, difference
from merpati.setup.finding import Finding, judge
from merpati.setup.following import follow
from merpati.setup.plan import Subject, plan, published_policy, tls_places
from merpati.setup.record import Kind, Purpose, zone_value
from merpati.setup.seen import Place, Seen
from merpati.setup.served import Flaw, settings_remarks, visits
from merpati.setup.spf import lookups, names_us, spf_records
from merpati.setup.sts import OwnPolicy
from merpati.testing.answers import Answers, TableResolver
from tests.fuzz.target import Target

_OURS = Subject(
    "a.test", "mx.a.test", OwnPolicy(("mx.a.test",)), serves_policy=True, serves_autoconfig=True
)
_KINDS = tuple(Kind)
_NAMES = (
    *("a.test", "_dmarc.a.test", "_smtp._tls.a.test", "_mta-sts.a.test", "default._bimi.a.test"),
    *("mx.a.test", "_autodiscover._tcp.a.test"),
)
_OTHERS: Mapping[str, Sequence[object] | DnsError] = {
    "TXT b.test": [b"v=spf1 a mx include:d.test -all"],
    "TXT c.test": DnsTimeout("nobody answers"),
    "TXT d.test": [b"v=spf1 ip4:192.0.2.0/25 -all"],
}
_LEVELS = [*Policy]
_GOOD = {
    Purpose.DMARC: published_policy,
    Purpose.TLS_REPORTS: tls_places,
}


def domain_setup(octets: bytes) -> None:
    """Lines are TXT records, the first octet of each says where. What is to be written reads well
    afterwards and is what a zone file says; each record has a state. Nothing is written that makes
    a policy softer or that receivers do not look up to its end."""
    texts: dict[Place, tuple[str, ...]] = {}
    for line in octets.split(b"\n")[:50]:
        place = (Kind.TXT, _NAMES[(line[:1] or b"\0")[0] % len(_NAMES)])
        text = line[1:].decode("ascii", "backslashreplace")
        # A set of records has none twice (RFC 2181 §5).
        texts[place] = tuple(dict.fromkeys((*texts.get(place, ()), text)))
    seen = Seen({(kind, name): () for kind in _KINDS for name in _NAMES} | texts)
    if len(octets) % 2:
        seen = seen.with_more(Seen({(Kind.IPV4, "mx.a.test"): ("192.0.2.1",)}))
    followed = asyncio.run(follow(_OURS, seen, TableResolver(Answers(_OTHERS))))
    records = plan(_OURS, seen, followed.spf_record)
    for record in records:
        assert _GOOD.get(record.purpose, lambda _: True)(record.value), record
        if record.kind is Kind.TXT and record.value:
            read = dns.rdata.from_text(IN, TXT, zone_value(record))
            assert b"".join(read.strings).decode("ascii") == record.value
    findings = judge(_OURS, records, seen, followed)
    assert [one.record for one in findings] == [*records]
    for finding in findings:
        for step in _steps(finding, texts):
            _CHECKS.get(finding.record.purpose, lambda _: None)(step)
    assert all(one.url for one in visits(_OURS, _published(findings)))


def _steps(finding: Finding, texts: Mapping[Place, tuple[str, ...]]) -> tuple[Step, ...]:
    """What --apply would write of one record."""
    record = finding.record
    there = texts.get((record.kind, record.name), ())
    values = tuple(zone_value(replace(record, value=text)) for text in there if text)
    before = RecordSet(record.name, record.kind.value, values)
    return difference(_OURS, [finding], {record: before}).steps


def _assert_no_softer_policy(step: Step) -> None:
    pairs = zip(_policies(step.before.texts), _policies(step.after.texts), strict=True)
    assert all(_LEVELS.index(old) <= _LEVELS.index(new) for old, new in pairs), step


def _policies(texts: Sequence[str]) -> list[Policy]:
    """What receivers do with mail of the domain, of one below it, and of one that does not exist;
    they take several records for none (RFC 9989 §4.10)."""
    found = find_records(text.encode() for text in texts)
    record = read_record(found[0]) if len(found) == 1 else None
    whose = ((False, True), (True, True), (True, False))
    asked = [(record or DmarcRecord("")).policy_for(below=one, exists=two) for one, two in whose]
    return [policy for _, policy in asked]


def _assert_looked_up_to_its_end(step: Step) -> None:
    (text,) = spf_records(step.after.texts)
    resolver = TableResolver(Answers(_OTHERS))
    assert asyncio.run(lookups(text, resolver, unanswered=MAX_LOOKUPS)) <= MAX_LOOKUPS, step
    assert names_us(text, "a.test", "mx.a.test") or "ip4:192.0.2.1 " in text, step


_CHECKS: Mapping[Purpose, Callable[[Step], None]] = {
    Purpose.DMARC: _assert_no_softer_policy,
    Purpose.SPF: _assert_looked_up_to_its_end,
}


def _published(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(one for one in findings if one.record.purpose is not Purpose.AUTODISCOVER)


def mail_settings(octets: bytes) -> None:
    """Whatever a web server says: it names this host, or hosts are told that are no markup."""
    for remark in settings_remarks(_OURS, octets):
        assert remark.flaw is Flaw.OTHER
        assert not {*"<>\n"} & {*remark.detail}


_RECORDS = (
    b"\n\x00v=spf1 ", b"mx ", b"a:b.test ", b"include:b.test ", b"include:c.test ",
    b"redirect=b.test ", b"-all",
    b"~all", b"\n\x01v=DMARC1; ", b"p=none; ", b"p=reject; ", b"sp=no; ", b"np=reject; ", b"fo=2; ",
    b"\n\x01v = DMARC1; ", b"rua=mailto:x@b.test", b"!10m", b",", b";",
    b"\n\x02v=TLSRPTv1; ", b"rua=", b"https://b.test/x", b"\n\x03v=STSv1; ",
    b"id=1;", b"\n\x04v=BIMI1; l=https://b.test/x.svg;", b'"', b"\\", b"\xff", b" ", b"\t", b"\n",
    b"exp=%{d}.b.test ", b"ip4:192.0.2.0/24 ", b"\n\x01v=DMARC1; p=none; rua=mailto:x@b.test,",
)  # fmt: skip
_SETTINGS = (
    b"<hostname>", b"</hostname>", b"<Server>", b"</Server>", b"mx.a.test", b" ", b"\n", b"<",
    b">", b"<!DOCTYPE x [<!ENTITY e 'x'>]>", b"\xff", b"<hostname>mx.b.test</hostname>",
)  # fmt: skip
TARGETS = (
    Target("domain_setup", domain_setup, _RECORDS, longest=8192, head=b"\x01"),
    Target("mail_settings", mail_settings, _SETTINGS),
)
