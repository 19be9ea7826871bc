"""DMARC: records in the DNS, authors in From, and verdicts."""

from merpati.authenticity.dmarc.author import find_author
from merpati.authenticity.dmarc.evaluation import evaluate
from merpati.authenticity.dmarc.record import Policy, mail_address, read_record
from merpati.authenticity.dmarc.verdict import Identifier, Method, Result
from merpati.mail.address import parse_domain
from merpati.mail.headers import Headers
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
)
