"""DMARC: records in the DNS, authors in From, verdicts, and the reports that come in."""

import gzip

from msgspec.json import encode

from merpati.authenticity.dmarc.author import find_author
from merpati.authenticity.dmarc.evaluation import evaluate
from merpati.authenticity.dmarc.record import Policy, mail_address, read_record
from merpati.authenticity.dmarc.verdict import Identifier, Method, Result
from merpati.authenticity.judgement import Examination, Origin, SpfFound
from merpati.authenticity.questions import Asking, txt
from merpati.authenticity.results import parse_results
from merpati.mail.address import parse_domain
from merpati.mail.headers import Headers
from merpati.policy.evidence import checks_of
from merpati.report.archive import MAX_OCTETS, open_archive
from merpati.report.arf import read_complaint
from merpati.report.checks import MAX_TOLD, evidence, told
from merpati.report.dmarc.reading import find_report, read_report
from merpati.report.dmarc.writing import write_report
from merpati.report.errors import ReportError
from merpati.testing.answers import Answers
from tests.fuzz.target import Target


def dmarc_record(octets: bytes) -> None:
    """A record is read or is none; addresses of its destinations are addresses."""
    record = read_record(octets)
    if record is None:
        return
    assert len(record.text) <= 4096
    assert len(record.aggregate) <= 10
    assert len(record.failure) <= 10
    for uri in record.aggregate + record.failure:
        address = mail_address(uri)
        assert address is None or "\n" not in str(address)
    _, policy = record.policy_for(below=True, exists=False)
    assert record.policy is not None or policy is Policy.NONE


def dmarc(octets: bytes) -> None:
    """Any From has a verdict; behind NUL stand records for the domains on the way up from a.b."""
    message, _, record = octets.partition(b"\0")
    author = find_author(Headers.scan(message))
    assert bool(author.domain) is not bool(author.flaw)
    assert not author.domain or parse_domain(author.domain) == author.domain
    zone = Answers({"TXT _dmarc.a.b": [record], "TXT _dmarc.b": [record[::-1], record]})
    found = [Identifier(Method.SPF, "c.a.b", "pass"), Identifier(Method.DKIM, "d.b", "pass")]
    verdict = zone.answer(evaluate(author, found))
    assert len(zone.asked) <= 8 * 3 + 1
    assert verdict.disposition is Policy.NONE or verdict.result is Result.FAIL
    assert verdict.result is not Result.PASS or author.domain == "b" or author.domain.endswith(".b")


def judgement(octets: bytes) -> None:
    """Any message is judged, told of as one field with a finding for each check, and kept of in
    bounded size with a line for each."""
    message, _, helo = octets.partition(b"\0")
    headers = Headers.scan(message)
    examination = Examination(Origin("192.0.2.7", helo.decode("utf-8", "replace"), None), headers)
    examination.update(message[headers.size :])
    judged = Answers({}).answer(examination.judge(_no_spf, 1_600_000_000))
    field = judged.results("mx.a.test").field()
    written = parse_results(Headers.scan(field).get("authentication-results") or "")
    methods = [one.method for one in written.findings]
    assert [one for one in methods if one not in ("dkim", "arc")] == ["iprev", "spf", "dmarc"]
    assert not judged.is_vouched_for
    assert judged.brought_by_others == ()  # Nothing is good without the DNS.
    checks = checks_of(judged)
    assert len(encode(checks)) < 40_000
    for check in checks:
        for language in ("en", "id"):
            lines = [told(check, language), *evidence(check, language)]
            assert all(label and text and len(text) <= MAX_TOLD for label, text in lines)


def _no_spf(origin: Origin) -> Asking[SpfFound]:
    yield from txt("a.test")
    return SpfFound("none", "a.test", origin.helo)


def aggregate(octets: bytes) -> None:
    """A report is read and written to be read the same, or is refused."""
    try:
        report = read_report(octets)
    except ReportError:
        return
    assert read_report(write_report(report)).rows == report.rows


def archive(octets: bytes) -> None:
    """Whatever is opened is bounded, and what was packed comes out as it was."""
    try:
        assert len(open_archive(octets)) <= MAX_OCTETS
    except ReportError as error:
        assert str(error)
    if not octets.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        assert open_archive(gzip.compress(octets)) == octets


def feedback(octets: bytes) -> None:
    """Any message is a feedback report or none, and an aggregate report or none."""
    found = read_complaint(octets)
    assert found is None or (found.kind and 1 <= found.incidents <= 10**6)
    try:
        find_report(octets)
    except ReportError as error:
        assert str(error)


_SIGNED = (
    *(b"DKIM-Signature:", b"v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AA==; b=AA==", b"d=;"),
    *(b"ARC-Seal: i=1;", b"ARC-Message-Signature: i=1;", b"ARC-Authentication-Results: i=1;"),
)
_XML = (
    *(b"<feedback>", b"</feedback>", b"<record>", b"</record>", b"<row>", b"</row>", b"<count>1"),
    *(b"</count>", b"<source_ip>192.0.2.1", b"</source_ip>", b"<dkim>", b"</dkim>", b"<a/>"),
    *(b"<domain>a.test", b"</domain>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&amp;", b"&b;"),
    *(b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?x", b"?>", b' xmlns="urn:x"', b"\xc3\xbc", b" "),
)
_PACKED = gzip.compress(b"<feedback/>", mtime=0)
_ARCHIVE = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"\x1f\x8b", _PACKED, b"\0" * 4, b"r.xml")
_FEEDBACK = (
    *(b"Content-Type: multipart/report; boundary=b\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n"),
    *(b"Content-Type: message/feedback-report\r\n", b"Content-Type: text/xml\r\n", b"\r\n\r\n"),
    *(b"Content-Type: message/rfc822\r\n", b"Feedback-Type: abuse\r\n", b"Incidents: 9\r\n"),
    *(b"Identity-Alignment: dkim,spf\r\n", b"Source-IP: [IPv6:::1]\r\n", b"<feedback>", b"x"),
)
_RECORD = (
    *(b"v=DMARC1", b";", b"p=", b"sp=", b"np=", b"none", b"quarantine", b"reject", b"psd=y"),
    *(b"psd=n", b"t=y", b"pct=0", b"adkim=s", b"aspf=r", b"rua=", b"ruf=", b"mailto:", b"a@b.test"),
    *(b",", b"!10m", b"%0d%0a", b"fo=1:d:s", b" ", b"=", b"\xc3\xbc"),
)
_FROM = (
    *(b"From:", b"From :", b"Sender:", b"ann@a.b", b"<", b">", b",", b";", b":", b"@", b"(", b")"),
    *(b'"', b"\\", b"=?utf-8?q?x?=", b" ", b"\r\n", b"\r\n ", b"\r\n\r\n", b"\0", b"[192.0.2.1]"),
    *(b"\xc3\xbc.b", b"x.y.a.b", b"d.b", b".", b"v=DMARC1; p=reject;"),
)

TARGETS = (
    Target("dmarc_record", dmarc_record, _RECORD),
    Target("dmarc", dmarc, _FROM),
    Target("judgement", judgement, (*_FROM, *_SIGNED)),
    Target("aggregate", aggregate, _XML, head=b"<feedback>"),
    Target("archive", archive, _ARCHIVE),
    Target("feedback", feedback, _FEEDBACK),
)
