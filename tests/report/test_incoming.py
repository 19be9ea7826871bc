"""Whatever mail brings to the address of reports is read by what it is, or kept to be looked at."""

import gzip

import pytest

from merpati.feedback.aggregate import AggregateReport
from merpati.feedback.complaint import Complaint
from merpati.feedback.received import Proof, Unreadable
from merpati.feedback.tls import TlsReport
from merpati.report import attachments, incoming
from merpati.report.incoming import MAX_KEPT, read_content, receive
from merpati.testing.deliveries import an_entry
from tests.report import provided
from tests.report.provided import LIST, OURS, STRANGER, google, lines, zipped

RECEIVED = b"Received: from x by mx.a.test with ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000\r\n"


def aggregate(message: bytes) -> AggregateReport:
    content = read_content(message)
    assert isinstance(content, AggregateReport), content
    return content


def why(message: bytes) -> str:
    content = read_content(message)
    assert isinstance(content, Unreadable), content
    return content.why


def attached(octets: bytes, media_type: str = "application/gzip", name: str = "r.xml.gz") -> bytes:
    head = f'Content-Type: {media_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return head.encode() + lines(octets)


class TestProviders:
    def test_a_zip_that_is_the_whole_message(self) -> None:
        report = aggregate(google())
        assert (report.reporter.organization, report.reporter.report_id) == ("google.com", "4711")
        ours, passed_on = report.rows
        assert (ours.ip, ours.count, ours.dkim, ours.spf) == (OURS, 940, True, True)
        assert (passed_on.ip, passed_on.passed) == (LIST, False)
        assert passed_on.overrides[0].kind == "local_policy"

    def test_gzip_beside_html_in_odd_boundaries(self) -> None:
        report = aggregate(provided.microsoft())
        assert report.reporter.organization == "Enterprise Outlook"
        assert [(row.ip, row.count, row.sender) for row in report.rows] == [
            (STRANGER, 57, "bulk.test")
        ]

    def test_plain_xml_of_rfc_9990_under_a_type_that_says_nothing(self) -> None:
        report = aggregate(provided.modern())
        assert report.published.method == "treewalk"
        assert report.rows[0].ip == "2001:db8::10"

    def test_tls(self) -> None:
        report = read_content(provided.google_tls())
        assert isinstance(report, TlsReport)
        assert report.policies[0].failure_details[0].result_type == "certificate-expired"

    def test_tls_under_the_type_and_name_of_the_other_kind(self) -> None:
        told = attached(gzip.compress(b"\xef\xbb\xbf" + provided.tls_json()))
        assert isinstance(read_content(told), TlsReport)

    def test_a_complaint(self) -> None:
        report = read_content(provided.complaint())
        assert isinstance(report, Complaint)
        assert (report.kind, report.ip) == ("abuse", OURS)


class TestUnreadable:
    @pytest.mark.parametrize(
        ("message", "told"),
        [
            (b"Subject: hello\r\n\r\nHi\r\n", "no attachment"),
            (b"", "no attachment"),
            (attached(b"\x1f\x8b no"), "broken"),
            (attached(gzip.compress(gzip.compress(b"x"))), "archive within"),
            (attached(gzip.compress(b"<feedback>")), "not well-formed"),
            (attached(gzip.compress(b'{"policies": []}')), "no report about TLS"),
            (attached(gzip.compress(b"{" * 100_000)), "no report about TLS"),
            (attached(zipped("r.exe", b"x"), "application/zip"), "not exactly one"),
            (attached(gzip.compress(b" " * 30_000_000)), "octets for each"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_is_told(self, message: bytes, told: str) -> None:
        assert told in why(message)

    def test_what_is_kept_of_it_is_bounded(self) -> None:
        content = read_content(b"Subject: hello\r\n\r\n" + b"x" * 2 * MAX_KEPT)
        assert isinstance(content, Unreadable)
        assert len(content.octets) == MAX_KEPT

    def test_what_is_too_large_is_not_looked_into(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(incoming, "MAX_OCTETS", 100)
        assert "larger than" in why(google())

    def test_attachments_are_read_together_as_much_as_one_may_be(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attachments, "MAX_OCTETS", 2500)
        parts = [b"Content-Type: text/xml\r\n\r\n" + b" " * 1000, b"", b""]
        report = provided.xml(provided.RFC_9990)
        parts[1] = b"Content-Type: text/xml\r\n\r\n" + report
        head = b"Content-Type: multipart/mixed; boundary=b\r\n"
        good = head + b"".join(b"\r\n--b\r\n" + part for part in parts[1:])
        assert isinstance(read_content(good), AggregateReport)
        late = head + b"".join(b"\r\n--b\r\n" + part for part in [parts[0]] * 2 + parts[1:])
        assert "not well-formed" in why(late)

    def test_a_complaint_that_says_nothing_is_none(self) -> None:
        message = b"Content-Type: message/feedback-report\r\n\r\nVersion: 1\r\n"
        assert "no attachment" in why(message)


class TestProof:
    """By what we found of the mail, on top of it, and by nothing that is in it."""

    def proof(self, found: str, message: bytes = google()) -> Proof:
        head = f"Authentication-Results: mx.a.test;\r\n\t{found}\r\n".encode() if found else b""
        entry = an_entry(1, "mail-reports@a.test")
        return receive(entry, head + RECEIVED + message).origin.proof

    @pytest.mark.parametrize(
        ("found", "proof"),
        [
            ("dmarc=pass header.from=google.com", Proof.PASSED),
            ("dkim=pass header.d=google.com header.s=s", Proof.PASSED),
            ("dmarc=fail header.from=google.com", Proof.FAILED),
            ("dkim=pass header.d=evil.test; dmarc=none", Proof.FAILED),
            ("dkim=pass header.d=notgoogle.com", Proof.FAILED),
            ("dkim=pass header.d=mail.google.com", Proof.FAILED),
            ("dkim=pass", Proof.FAILED),
            ("dkim=fail header.d=google.com", Proof.FAILED),
            ("spf=pass smtp.mailfrom=google.com; dmarc=temperror", Proof.FAILED),
            ("none", Proof.FAILED),
            ("", Proof.UNKNOWN),
        ],
    )
    def test_of_the_author(self, found: str, proof: Proof) -> None:
        assert self.proof(found) is proof

    def test_a_signature_of_the_organization_is_as_good(self) -> None:
        message = google().replace(b"@google.com\r\nTo", b"@reports.google.com\r\nTo")
        assert self.proof("dkim=pass header.d=google.com", message) is Proof.PASSED

    def test_one_about_tls_wants_a_signature(self) -> None:
        message = provided.google_tls()
        assert self.proof("dkim=pass header.d=google.com", message) is Proof.PASSED
        assert self.proof("spf=pass; dmarc=pass header.from=google.com", message) is Proof.FAILED

    def test_a_key_for_reports_about_tls_proves_them_alone(self) -> None:
        found = "dkim=policy header.d=google.com policy.service=tlsrpt"
        assert self.proof(found, provided.google_tls()) is Proof.PASSED
        assert self.proof(found, google()) is Proof.FAILED
        other = found.replace("google.com", "evil.test")
        assert self.proof(other, provided.google_tls()) is Proof.FAILED
        weak = "dkim=policy header.d=google.com"
        assert self.proof(weak, provided.google_tls()) is Proof.FAILED

    def test_without_an_author_there_is_none(self) -> None:
        message = b"From: <a@b.test>\r\n" + google()
        assert self.proof("dkim=pass header.d=google.com", message) is Proof.FAILED

    def test_what_the_message_says_of_itself_is_nothing(self) -> None:
        claim = b"Authentication-Results: mx.a.test; dmarc=pass header.from=google.com\r\n"
        assert self.proof("dmarc=fail", claim + google()) is Proof.FAILED
        assert self.proof("", claim + google()) is Proof.UNKNOWN

    def test_the_author_and_the_evidence_are_kept(self) -> None:
        head = b"Authentication-Results: mx.a.test; dmarc=pass header.from=google.com\r\n"
        entry = an_entry(1, "mail-reports@a.test")
        origin = receive(entry, head + RECEIVED + google()).origin
        assert (origin.id, origin.at, origin.author) == (entry.id, entry.received, "google.com")
        assert origin.evidence == "mx.a.test; dmarc=pass header.from=google.com"
