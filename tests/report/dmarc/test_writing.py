"""Aggregate reports that go out (RFC 9990)."""

import gzip
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.feedback.aggregate import AggregateReport, DkimTold
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.report.dmarc.reading import MAX_SIGNATURES, find_report, read_report
from merpati.report.dmarc.writing import compress, file_name, report_message, write_report
from tests.report.dmarc.test_reading import REPORT


def test_what_is_written_is_read() -> None:
    assert read_report(write_report(REPORT)) == REPORT


def test_elements_stand_in_the_order_of_the_schema() -> None:
    """RFC 9990 Appendix A: these are sequences."""
    xml = write_report(REPORT).decode()
    for order in (
        ("<version>", "<report_metadata>", "<policy_published>", "<record>"),
        ("<row>", "<identifiers>", "<auth_results>"),
        ("<source_ip>", "<count>", "<policy_evaluated>"),
        ("<disposition>", "<dkim>pass", "<spf>fail", "<reason>"),
        ("<dkim>\n", "<spf>\n"),
    ):
        places = [xml.index(each) for each in order]
        assert places == sorted(places)
    assert xml.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<feedback xmlns="urn:ietf:')


@given(st.text(max_size=40))
def test_nothing_in_a_text_ends_it(text: str) -> None:
    reporter = replace(REPORT.reporter, organization=text + "</org_name><report_id>x")
    read = read_report(write_report(replace(REPORT, reporter=reporter)))
    assert read.reporter.report_id == REPORT.reporter.report_id
    assert read.rows == REPORT.rows


def test_signatures_are_bounded() -> None:
    row = replace(REPORT.rows[0], signatures=(DkimTold("a.test", "s", "pass"),) * 200)
    read = read_report(write_report(replace(REPORT, rows=(row,))))
    assert len(read.rows[0].signatures) == MAX_SIGNATURES


def test_a_repetition_is_the_same_octets() -> None:
    xml = write_report(REPORT)
    assert compress(xml) == compress(xml)
    assert gzip.decompress(compress(xml)) == xml


def test_a_file_is_named_by_the_grammar() -> None:
    assert file_name(REPORT, "mx.b.test") == (
        "mx.b.test!a.test!302832000!302918399!3v98abbp8ya9n3va8yr8oa3ya.xml.gz"
    )


def test_the_mail_about_it() -> None:
    head, body = report_message(REPORT, "mx.b.test", [Address.parse("d@a.test")], 1_600_000_000)
    headers = Headers.scan(head)
    assert headers.get("subject") == (
        "Report Domain: a.test Submitter: mx.b.test Report-ID: <3v98abbp8ya9n3va8yr8oa3ya>"
    )
    assert headers.get("to") == "<d@a.test>"
    assert headers.get("auto-submitted") == "auto-generated"
    assert find_report(head + body) == REPORT


@pytest.mark.slow
def test_a_large_report_is_not_dense_enough_to_be_refused() -> None:
    rows = tuple(replace(REPORT.rows[0], ip=f"192.0.{n // 250}.{n % 250}") for n in range(5000))
    large: AggregateReport = replace(REPORT, rows=rows)
    head, body = report_message(large, "mx.b.test", [Address.parse("d@a.test")], 0)
    assert find_report(head + body) == large
