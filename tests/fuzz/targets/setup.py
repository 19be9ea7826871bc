"""What stands in a domain's zone, and what web servers tell mail programs of it: looked at by
`merpati domain setup`, and what is to stand there made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import TXT

from merpati.authenticity.dmarc.record import Policy, find_records, read_record
from merpati.authenticity.dmarc.record import Record as DmarcRecord
from merpati.dns.update import RecordSet
from merpati.setup.difference import difference
from merpati.setup.finding import Finding, judge
from merpati.setup.following import Followed
from merpati.setup.plan import Subject, orders_reports, plan, published_policy
from merpati.setup.record import Kind, Purpose, zone_value
from merpati.setup.seen import Place, Seen
from merpati.setup.served import Flaw, settings_remarks, visits
from merpati.setup.spf import names_us
from merpati.setup.sts import OwnPolicy
from tests.fuzz.target import Target

_OURS = Subject(
    "a.test", "mx.a.test", OwnPolicy(("mx.a.test",)), serves_policy=True, serves_autoconfig=True
)
_KINDS = tuple(Kind)
_NAMES = (
    *("a.test", "_dmarc.a.test", "_smtp._tls.a.test", "_mta-sts.a.test", "default._bimi.a.test"),
    *("mx.a.test", "_autodiscover._tcp.a.test"),
)
_DMARC = (Kind.TXT, "_dmarc.a.test")
_LEVELS = [*Policy]
_GOOD = {
    Purpose.DMARC: published_policy,
    Purpose.TLS_REPORTS: orders_reports,
    Purpose.SPF: lambda text: names_us(text, "a.test", "mx.a.test"),
}


def domain_setup(octets: bytes) -> None:
    """Lines are TXT records, the first octet of each says where. What is to be written reads well
    afterwards and is what a zone file says; each record has a state."""
    texts: dict[Place, tuple[str, ...]] = {}
    for line in octets.split(b"\n")[:50]:
        place = (Kind.TXT, _NAMES[(line[:1] or b"\0")[0] % len(_NAMES)])
        text = line[1:].decode("ascii", "backslashreplace")
        # A set of records has none twice (RFC 2181 §5).
        texts[place] = tuple(dict.fromkeys((*texts.get(place, ()), text)))
    seen = Seen({(kind, name): () for kind in _KINDS for name in _NAMES} | texts)
    records = plan(_OURS, seen)
    for record in records:
        assert _GOOD.get(record.purpose, lambda _: True)(record.value), record
        if record.kind is Kind.TXT and record.value:
            read = dns.rdata.from_text(IN, TXT, zone_value(record))
            assert b"".join(read.strings).decode("ascii") == record.value
    findings = judge(_OURS, records, seen, Followed())
    assert [one.record for one in findings] == [*records]
    _assert_no_lower_policy(findings, texts)
    assert all(one.url for one in visits(_OURS, _published(findings)))


def _assert_no_lower_policy(
    findings: tuple[Finding, ...], texts: Mapping[Place, tuple[str, ...]]
) -> None:
    (finding,) = [one for one in findings if one.record.purpose is Purpose.DMARC]
    record = finding.record
    values = (zone_value(replace(record, value=text)) for text in texts.get(_DMARC, ()) if text)
    before = RecordSet(record.name, "TXT", tuple(values))
    for step in difference(_OURS, [finding], {record: before}).steps:
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


def _published(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(one for one in findings if one.record.purpose is not Purpose.AUTODISCOVER)


def mail_settings(octets: bytes) -> None:
    """Whatever a web server says: it names this host, or hosts are told that are no markup."""
    for remark in settings_remarks(_OURS, octets):
        assert remark.flaw is Flaw.OTHER
        assert not {*"<>\n"} & {*remark.detail}


_RECORDS = (
    b"\n\x00v=spf1 ", b"mx ", b"a:b.test ", b"include:b.test ", b"redirect=b.test ", b"-all",
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
