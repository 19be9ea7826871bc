"""Aggregate reports that come in (RFC 9990 §2.1, RFC 7489 Appendix C), honest and not."""

import base64
import gzip
import io
import time
import zipfile
import zlib

import pytest

from merpati.feedback.aggregate import (
    AggregateReport,
    DkimTold,
    Override,
    Period,
    Published,
    Reporter,
    Row,
    SpfTold,
)
from merpati.report.archive import MAX_OCTETS, open_archive
from merpati.report.dmarc.document import MAX_DEPTH, MAX_IN_CHILD
from merpati.report.dmarc.reading import MAX_SIGNATURES, find_report, read_report
from merpati.report.errors import ReportError
from tests.cases import each

SAMPLE = b"""\
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0" xmlns:ext="urn:x">
  <version>1.0</version>
  <report_metadata>
    <org_name>Sample &amp; Reporter</org_name>
    <email>reports@reporter.test</email>
    <extra_contact_info>by phone</extra_contact_info>
    <report_id>3v98abbp8ya9n3va8yr8oa3ya</report_id>
    <date_range><begin>302832000</begin><end>302918399</end></date_range>
    <error>two records</error>
    <generator>Reporter v1.2</generator>
  </report_metadata>
  <policy_published>
    <domain>A.test</domain>
    <p>quarantine</p><sp>none</sp><np>reject</np>
    <adkim>s</adkim><aspf>r</aspf><testing>y</testing><fo>1</fo>
    <discovery_method>treewalk</discovery_method>
  </policy_published>
  <extension><ext:record><row/></ext:record></extension>
  <record>
    <row>
      <source_ip>192.0.2.123</source_ip>
      <count>123</count>
      <policy_evaluated>
        <disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf>
        <reason><type>mailing_list</type><comment>a list</comment></reason>
      </policy_evaluated>
    </row>
    <identifiers>
      <envelope_to>b.test</envelope_to><envelope_from>c.test</envelope_from>
      <header_from>a.test</header_from>
    </identifiers>
    <auth_results>
      <dkim><domain>a.test</domain><selector>abc</selector><result>pass</result></dkim>
      <ext:dkim><domain>evil.test</domain></ext:dkim>
      <spf><domain>c.test</domain><result>fail</result><human_result>no</human_result></spf>
    </auth_results>
    <ext:row><source_ip>192.0.2.1</source_ip></ext:row>
  </record>
</feedback>
"""
REPORT = AggregateReport(
    reporter=Reporter(
        "Sample & Reporter",
        "reports@reporter.test",
        "3v98abbp8ya9n3va8yr8oa3ya",
        "by phone",
        ("two records",),
        "Reporter v1.2",
    ),
    period=Period(302832000, 302918399),
    published=Published(
        domain="a.test",
        policy="quarantine",
        subdomains="none",
        missing="reject",
        strict_dkim=True,
        testing=True,
        when="1",
        method="treewalk",
    ),
    rows=(
        Row(
            ip="192.0.2.123",
            count=123,
            disposition="pass",
            dkim=True,
            spf=False,
            author="a.test",
            sender="c.test",
            recipient="b.test",
            overrides=(Override("mailing_list", "a list"),),
            signatures=(DkimTold("a.test", "abc", "pass"),),
            spf_results=(SpfTold("c.test", "fail", "mfrom", "no"),),
        ),
    ),
)


def old(record: str = "", domain: str = "a.test", report_id: str = "1") -> bytes:
    """As RFC 7489 had it: no namespace, other tags, and little that must be there."""
    return (
        f"<?xml version='1.0'?><feedback><report_metadata><org_name/><report_id>{report_id}"
        f"</report_id><date_range><begin>1.0</begin><end> 2 </end></date_range></report_metadata>"
        f"<policy_published><domain>{domain}</domain><p>NONE</p><pct>100</pct></policy_published>"
        f"{record}</feedback>"
    ).encode()


def row(ip: str = "192.0.2.1", count: str = "1", results: str = "") -> str:
    return (
        f"<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>"
        f"<disposition>Reject</disposition><dkim>PASS</dkim></policy_evaluated></row>"
        f"<auth_results>{results}</auth_results></record>"
    )


def packed(name: str, octets: bytes, *more: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in ((name, octets), *more):
            archive.writestr(member, content)
    return file.getvalue()


def mail(octets: bytes, media_type: str = "application/gzip", name: str = "r.xml.gz") -> bytes:
    return (
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nA report.\r\n--b\r\n'
        + f'Content-Type: {media_type}; name="{name}"\r\n'.encode()
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(octets)
        + b"\r\n--b--\r\n"
    )


class TestReading:
    def test_a_report_of_rfc_9990(self) -> None:
        assert read_report(SAMPLE) == REPORT
        assert REPORT.rows[0].passed

    def test_a_report_of_rfc_7489(self) -> None:
        report = read_report(old(row()))
        assert report.published == Published("a.test", "none")
        assert report.period == Period(1, 2)
        (only,) = report.rows
        assert (only.disposition, only.dkim, only.spf) == ("reject", True, False)

    def test_the_namespace_of_before(self) -> None:
        xml = old(row()).replace(
            b"<feedback>", b'<feedback xmlns="http://dmarc.org/dmarc-xml/0.1">'
        )
        assert len(read_report(xml).rows) == 1

    @pytest.mark.parametrize("ip", ["2001:DB8::1", "192.0.2.1"])
    def test_addresses_have_one_form(self, ip: str) -> None:
        assert read_report(old(row(ip))).rows[0].ip == ip.lower()

    @each(
        ("ip", "count"),
        [("", "1"), ("x", "1"), ("192.0.2.999", "1"), ("192.0.2.1", ""), ("192.0.2.1", "-1")],
    )
    def test_rows_that_cannot_be_read_are_counted(self, ip: str, count: str) -> None:
        report = read_report(old(row(ip, count) + row()))
        assert (len(report.rows), report.skipped) == (1, 1)

    def test_signatures_are_bounded(self) -> None:
        report = read_report(old(row(results="<dkim><domain>a</domain></dkim>" * 500)))
        assert len(report.rows[0].signatures) == MAX_SIGNATURES

    def test_texts_are_clipped(self) -> None:
        report = read_report(old(report_id="x" * 100_000))
        assert len(report.reporter.report_id) == 1000

    @pytest.mark.parametrize("charset", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
    def test_character_sets_are_read(self, charset: str) -> None:
        text = old(row()).decode().replace("<org_name/>", "<org_name>B\u00fccher</org_name>")
        text = text.replace("version='1.0'", f"version='1.0' encoding='{charset}'")
        assert read_report(text.encode(charset)).reporter.organization == "B\u00fccher"


class TestRefused:
    @each(
        "xml",
        [
            b"",
            b"no xml",
            b"<feedback>",
            b"<feedback/>",
            b"<other/>",
            b'<feedback xmlns="urn:other"/>',
            b"<feedback></record></feedback>",
            b"\xff\xfe<feedback/>",
            b"<?xml version='1.0' encoding='zlib'?><feedback/>",
            b"<?xml version='1.0' encoding='utf-7'?><feedback/>",
            old(domain=""),
            old(report_id=""),
            old().replace(b"<begin>1.0", b"<begin>x"),
            old() * 2,
        ],
    )
    def test_what_is_no_report(self, xml: bytes) -> None:
        with pytest.raises(ReportError):
            read_report(xml)

    @pytest.mark.parametrize(
        "declared",
        [
            "<!DOCTYPE feedback>",
            "<!DOCTYPE feedback [<!ENTITY a 'x'>]>",
            "<!DOCTYPE feedback SYSTEM 'file:///etc/passwd'>",
            "<!DOCTYPE f [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>",
        ],
    )
    def test_a_document_type(self, declared: str) -> None:
        xml = old(row("&b;")).replace(b"<feedback>", declared.encode() + b"<feedback>")
        with pytest.raises(ReportError, match="document type"):
            read_report(xml)

    def test_an_entity_of_nowhere(self) -> None:
        with pytest.raises(ReportError):
            read_report(old(row("&x;")))

    def test_depth(self) -> None:
        with pytest.raises(ReportError, match="deep"):
            read_report(b"<feedback>" + b"<a>" * MAX_DEPTH)

    def test_depth_of_what_is_passed_over(self) -> None:
        with pytest.raises(ReportError, match="deep"):
            read_report(b'<feedback><x xmlns="urn:x">' + b"<a>" * MAX_DEPTH)

    @pytest.mark.slow
    def test_elements_in_one_row(self) -> None:
        with pytest.raises(ReportError, match="elements"):
            read_report(b"<feedback><record>" + b"<a/>" * (MAX_IN_CHILD + 1))

    def test_rows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("merpati.report.dmarc.reading.MAX_ROWS", 3)
        assert len(read_report(old(row() * 3)).rows) == 3
        with pytest.raises(ReportError, match="rows"):
            read_report(old(row() * 4))

    def test_elements(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("merpati.report.dmarc.document.MAX_ELEMENTS", 30)
        with pytest.raises(ReportError, match="elements"):
            read_report(old(row() * 5))


class TestArchives:
    """RFC 9990 §8.1: what decompresses without end."""

    @pytest.mark.parametrize(
        "octets",
        [SAMPLE, gzip.compress(SAMPLE), packed("r.xml", SAMPLE), packed("d/R.XML", SAMPLE)],
    )
    def test_they_are_opened(self, octets: bytes) -> None:
        assert open_archive(octets) == SAMPLE

    def test_what_stands_behind_a_gzip_stream_is_left(self) -> None:
        assert open_archive(gzip.compress(SAMPLE) + b"\0" * 100) == SAMPLE

    def test_other_files_beside_the_report_are_left(self) -> None:
        assert open_archive(packed("r.xml", SAMPLE, ("readme.txt", b"x"))) == SAMPLE

    def test_a_list_of_a_million_files_is_not_read(self) -> None:
        """Of each the library would make an object before anybody could count them."""
        octets = packed("r.xml", SAMPLE)
        start, end = octets.index(b"PK\x01\x02"), octets.rindex(b"PK\x05\x06")
        entries = octets[start:end] * 100_000
        size = len(entries).to_bytes(4, "little")
        many = octets[:start] + entries + octets[end : end + 12] + size + octets[end + 16 :]
        started = time.process_time()
        with pytest.raises(ReportError, match="more than 10 files"):
            open_archive(many)
        assert time.process_time() - started < 0.3

    @pytest.mark.slow
    @pytest.mark.parametrize("wrap", [gzip.compress, lambda octets: packed("r.xml", octets)])
    def test_a_bomb_is_refused_before_it_is_large(self, wrap: object) -> None:
        assert callable(wrap)
        for size in (MAX_OCTETS + 1, 5 * 1024 * 1024):
            with pytest.raises(ReportError, match="octets"):
                open_archive(wrap(b" " * size))

    def test_what_is_plain_is_bounded_too(self) -> None:
        with pytest.raises(ReportError, match="larger"):
            open_archive(b" " * (MAX_OCTETS + 1))

    @pytest.mark.parametrize(
        "inner", [gzip.compress(SAMPLE), packed("r.xml", SAMPLE)], ids=["gzip", "zip"]
    )
    def test_archives_within_archives_are_refused(self, inner: bytes) -> None:
        for octets in (gzip.compress(inner), packed("r.xml", inner)):
            with pytest.raises(ReportError, match="within"):
                open_archive(octets)

    @each(
        "octets",
        [
            b"\x1f\x8b",
            b"\x1f\x8bjunk",
            gzip.compress(SAMPLE)[:-20],
            gzip.compress(SAMPLE)[:-1] + b"\1",
            b"PK\x03\x04",
            packed("r.xml", SAMPLE)[:-30],
            packed("r.xml", SAMPLE).replace(b"\x08\x00", b"\x0c\x00"),
            packed("r.txt", SAMPLE),
            packed("r.xml", SAMPLE, ("s.xml", SAMPLE)),
            packed("r.xml", SAMPLE, *((f"{n}.txt", b"") for n in range(20))),
        ],
    )
    def test_what_is_broken_or_odd_is_refused(self, octets: bytes) -> None:
        with pytest.raises(ReportError):
            open_archive(octets)

    def test_the_sum_of_a_zip_is_checked(self) -> None:
        octets = bytearray(packed("r.xml", SAMPLE))
        at = octets.index(zlib.crc32(SAMPLE).to_bytes(4, "little"))
        octets[at] ^= 1
        at = octets.rindex(zlib.crc32(SAMPLE).to_bytes(4, "little"))
        octets[at] ^= 1
        with pytest.raises(ReportError, match="broken"):
            open_archive(bytes(octets))


class TestMail:
    """RFC 9990 §2.6.2: the message that brings a report."""

    @pytest.mark.parametrize(
        ("octets", "media_type", "name"),
        [
            (gzip.compress(SAMPLE), "application/gzip", "x"),
            (gzip.compress(SAMPLE), "application/octet-stream", "a!b!1!2.xml.gz"),
            (packed("r.xml", SAMPLE), "application/zip", "a!b!1!2.zip"),
            (SAMPLE, "text/xml", "a!b!1!2.xml"),
        ],
    )
    def test_the_attachment_is_found(self, octets: bytes, media_type: str, name: str) -> None:
        assert find_report(mail(octets, media_type, name)) == REPORT

    def test_the_message_may_be_nothing_else(self) -> None:
        head = b"Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        assert find_report(head + base64.encodebytes(gzip.compress(SAMPLE))) == REPORT

    def test_without_one_it_says_so(self) -> None:
        with pytest.raises(ReportError, match="no attachment"):
            find_report(b"From: a@a.test\r\n\r\nHi\r\n")
        with pytest.raises(ReportError, match="broken"):
            find_report(mail(b"\x1f\x8bjunk"))
