"""Authentication-Results (RFC 8601): what is written, what is read, and what is forged."""

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.authenticity.results import (
    MAX_FINDINGS,
    MAX_OCTETS,
    AuthenticationResults,
    Finding,
    Property,
    ResultsError,
    is_forged,
    parse_results,
)
from merpati.mail.headers import Headers
from tests.cases import each

OURS = ("mx.example.test", "example.test", "bücher.test")


def a_result(value: str = "ann@a.test", **more: str) -> AuthenticationResults:
    about = Property("smtp", "mailfrom", value)
    return AuthenticationResults("mx.a.test", (Finding("spf", "pass", (about,), **more),))


def read_back(results: AuthenticationResults, *, utf8: bool = False) -> AuthenticationResults:
    field = results.field(utf8=utf8)
    headers = Headers.scan(field)
    assert headers.count("authentication-results") == 1
    assert headers.size == len(field)
    return parse_results(headers.get("authentication-results") or "")


def forged(value: str | bytes, name: bytes = b"Authentication-Results") -> bool:
    octets = value if isinstance(value, bytes) else value.encode()
    (field,) = Headers.scan(name + b": " + octets + b"\r\n").fields
    return is_forged(field, OURS)


class TestFormat:
    """RFC 8601 §2.2, written."""

    def test_each_finding_has_a_line(self) -> None:
        about = Property("header", "d", "a.test"), Property("header", "s", "2026")
        results = AuthenticationResults(
            "mx.a.test",
            (
                Finding("spf", "pass", (Property("smtp", "mailfrom", "ann@a.test"),)),
                Finding("dkim", "fail", about, comment="the body was altered"),
            ),
        )
        assert results.field() == (
            b"Authentication-Results: mx.a.test;\r\n"
            b"\tspf=pass smtp.mailfrom=ann@a.test;\r\n"
            b"\tdkim=fail (the body was altered) header.d=a.test header.s=2026\r\n"
        )

    def test_nothing_checked_is_none(self) -> None:
        assert AuthenticationResults("mx.a.test").field() == (
            b"Authentication-Results: mx.a.test;\r\n\tnone\r\n"
        )

    def test_long_findings_are_folded_between_words(self) -> None:
        about = tuple(Property("policy", "x", "a" * 30) for _ in range(5))
        field = AuthenticationResults("mx.a.test", (Finding("dkim", "pass", about),)).field()
        assert max(map(len, field.split(b"\r\n"))) <= 78
        assert all(line[:1] == b"\t" for line in field.split(b"\r\n")[1:-1])

    @each(
        ("value", "written"),
        [
            ("a.test", b"=a.test"),
            ("ann@a.test", b"=ann@a.test"),
            ("@a.test", b"=@a.test"),
            ("a b", b'="a b"'),
            ('"ann b"@a.test', b'="\\"ann b\\"@a.test"'),
            ("x; dkim=pass", b'="x; dkim=pass"'),
            ("a/b+c==", b'="a/b+c=="'),
            ("", b'=""'),
            ("2001:db8::1", b'="2001:db8::1"'),
            ("a\r\nX: y", b'="a??X: y"'),
            ("=?utf-8?q?x?=@a.test", b"=??utf-8?q?x?=@a.test"),
        ],
    )
    def test_values_are_quoted_by_grammar(self, value: str, written: bytes) -> None:
        assert b"smtp.mailfrom" + written + b"\r\n" in a_result(value).field()

    @each("id_", ["a=b@mx.a.test", "mx a", "mx;a", "mx.a.test/1", ""])
    def test_an_id_is_a_token_or_quoted(self, id_: str) -> None:
        results = AuthenticationResults(id_, a_result(reason="x=ann@a.test").findings)
        assert read_back(results) == results
        assert b'reason="x=ann@a.test"' in results.field()

    def test_a_comment_cannot_end_itself(self) -> None:
        results = a_result(comment="x); dkim=pass (\r\n\0")
        assert b"(x\\); dkim=pass \\(???)" in results.field()
        assert [one.method for one in read_back(results).findings] == ["spf"]

    def test_utf8_is_written_only_where_it_may_be(self) -> None:
        results = a_result("jos\u00e9@a.test")
        assert results.field().isascii()
        assert read_back(results, utf8=True) == results

    def test_what_is_too_long_is_cut(self) -> None:
        field = a_result("x" * 5000, comment="y" * 5000, reason="z" * 5000).field()
        assert max(map(len, field.split(b"\r\n"))) < 998

    def test_the_payload_is_one_line(self) -> None:
        assert a_result(reason="a b").payload() == (
            'mx.a.test; spf=pass reason="a b" smtp.mailfrom=ann@a.test'
        )

    @each("word", ["", "a b", "x=y", "a;", "a\r\n", "-a", "\u00fc"])
    def test_words_that_are_no_keyword_make_no_finding(self, word: str) -> None:
        with pytest.raises(ResultsError):
            Finding(word, "pass")
        with pytest.raises(ResultsError):
            Finding("spf", word)
        with pytest.raises(ResultsError):
            Property(word, "d", "x")
        with pytest.raises(ResultsError):
            Property("header", word, "x")

    @given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.booleans())
    def test_nothing_in_it_makes_another_finding(
        self, value: str, comment: str, reason: str, utf8: bool
    ) -> None:
        field = a_result(value, comment=comment, reason=reason).field(utf8=utf8)
        assert field.replace(b"\r\n\t", b"").count(b"\n") == 1
        (finding,) = read_back(a_result(value, comment=comment, reason=reason)).findings
        assert (finding.method, finding.result, len(finding.properties)) == ("spf", "pass", 1)

    @given(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).filter(
            lambda text: "=?" not in text
        )
    )
    def test_what_is_written_is_read(self, text: str) -> None:
        results = a_result(text, comment=text.strip(), reason=text)
        assert read_back(results) == results


class TestAuthres:
    """authres reads what we write, and we read what it writes."""

    FINDINGS = (
        Finding("spf", "softfail", (Property("smtp", "mailfrom", "ann@a.test"),), comment="a (b"),
        Finding(
            "dkim",
            "pass",
            (Property("header", "d", "a.test"), Property("header", "b", "a/b+c==")),
            reason="good; signature",
        ),
    )

    def test_it_reads_ours(self) -> None:
        field = AuthenticationResults("mx.a.test", self.FINDINGS).field()
        header = authres.AuthenticationResultsHeader.parse(field.decode().replace("\r\n", ""))
        assert header.authserv_id == "mx.a.test"
        assert [(one.method, one.result, one.reason) for one in header.results] == [
            ("spf", "softfail", None),
            ("dkim", "pass", "good; signature"),
        ]
        about = [(one.type, one.name, one.value) for one in header.results[1].properties]
        assert about == [("header", "d", "a.test"), ("header", "b", "a/b+c==")]

    def test_we_read_its(self) -> None:
        header = authres.AuthenticationResultsHeader(
            authserv_id="mx.a.test",
            results=[
                authres.SPFAuthenticationResult(
                    result="softfail", smtp_mailfrom="ann@a.test", result_comment="a b"
                ),
                authres.DKIMAuthenticationResult(
                    result="pass", header_d="a.test", reason="good; signature"
                ),
            ],
        )
        (field,) = Headers.scan(f"{header}\r\n".encode()).fields
        spf, dkim = parse_results(field.value).findings
        assert (spf.result, spf.comment) == ("softfail", "a b")
        assert spf.get("smtp", "mailfrom") == "ann@a.test"
        assert (dkim.reason, dkim.get("header", "d")) == ("good; signature", "a.test")


class TestReading:
    """RFC 8601 §2.2 and its Appendix B, read."""

    def test_a_header_field_of_the_standard(self) -> None:
        found = parse_results(
            "example.com; auth=pass (cram-md5) smtp.auth=sender@example.com;"
            ' spf=fail smtp.mailfrom=example.net; dkim=pass reason="good signature"'
            " header.i=@mail-router.example.net"
        )
        assert found.id == "example.com"
        auth, spf, dkim = found.findings
        assert (auth.method, auth.result, auth.comment) == ("auth", "pass", "cram-md5")
        assert auth.get("smtp", "auth") == "sender@example.com"
        assert spf.get("smtp", "mailfrom") == "example.net"
        assert spf.get("smtp", "helo") is None
        assert (dkim.reason, dkim.get("header", "i")) == (
            "good signature",
            "@mail-router.example.net",
        )

    def test_comments_stand_anywhere(self) -> None:
        """RFC 8601 Appendix B.7."""
        found = parse_results(
            "foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) ="
            " (wait for it) fail policy (A dot can go here) . (like that) expired (this"
            ' surprised me) = (as I wasn"t expecting it) 1362471462'
        )
        (dkim,) = found.findings
        assert (found.id, dkim.method, dkim.version, dkim.result) == (
            "foo.example.net",
            "dkim",
            1,
            "fail",
        )
        assert dkim.get("policy", "expired") == "1362471462"

    def test_none_is_no_finding(self) -> None:
        assert parse_results("example.org 1; none") == AuthenticationResults("example.org")

    @each(
        "value",
        [
            "h; =; spf=pass",
            "h; spf; spf=pass; x",
            "h; dkim.d=pass; spf=pass;",
            'h; "a; b=c"; spf=pass; d="never',
            "h; (a; b=c) spf = PASS ; e=f.g (never",
            'h; spf=pass foo "x dkim.y=z" bar',
        ],
    )
    def test_pieces_that_are_no_finding_are_passed_over(self, value: str) -> None:
        (finding,) = parse_results(value).findings
        assert (finding.method, finding.result, finding.properties) == ("spf", "pass", ())

    def test_base64_without_quotes_is_read(self) -> None:
        (dkim,) = parse_results("h; dkim=pass header.b=aB/c+d== header.d=a.test").findings
        assert dkim.get("header", "b") == "aB/c+d=="
        assert dkim.get("header", "d") == "a.test"

    @each("value", ["", ";", " ; spf=pass", "spf=pass; dkim=pass", "a b; spf=pass", "(", '"a; b=c'])
    def test_without_an_id_there_are_no_results(self, value: str) -> None:
        with pytest.raises(ResultsError):
            parse_results(value)

    def test_it_is_bounded(self) -> None:
        assert len(parse_results("h" + "; a=b" * 1000).findings) == MAX_FINDINGS
        with pytest.raises(ResultsError):
            parse_results("h" * (MAX_OCTETS + 1))


class TestForged:
    """RFC 8601 §5: fields that come in under our own name."""

    @each(
        "value",
        [
            "mx.example.test; spf=pass",
            "example.test; spf=pass",
            "MX.Example.TEST; spf=pass",
            "mx.example.test. ; spf=pass",
            "mx.example.test 1; spf=pass",
            "mx.example.test 999; spf=pass",
            "mx.example.test/1; spf=pass",
            "mx.example.test(1); spf=pass",
            "mx.example.test",
            "(c) mx.example.test (d) 1 (e); none",
            "(a(b)c\\)) mx.example.test; spf=pass",
            '"mx.example.test"; spf=pass',
            '"mx\\.example.test"; spf=pass',
            "=?utf-8?q?mx=2Eexample=2Etest?=; spf=pass",
            "other.test mx.example.test; spf=pass",
            "mx.example.test other.test; spf=pass",
            "; mx.example.test; spf=pass",
            "(mx.example.test; spf=pass",
            '"mx.example.test; spf=pass',
            "spf=pass; mx.example.test",
            "bücher.test; spf=pass",
            "BÜCHER.test; spf=pass",
            "xn--bcher-kva.test; spf=pass",
            "mx\uff0eexample\uff0etest; spf=pass",
            "\uff4dx.example.test; spf=pass",
            "\r\n mx.example.test;\r\n spf=pass",
            "(" * 60 + "mx.example.test; spf=pass",
            "(" + "x" * 40_000 + ") mx.example.test; spf=pass",
            b"mx.example.test \xff; spf=pass",
            b"\xa0mx.example.test; spf=pass",
            b"mx.example.test\x85; spf=pass",
            b"(c)\xa0\xa0mx.example.test 1; spf=pass",
            b"mx.\xffexample.test; spf=pass",
            "\u00a0mx.example.test; spf=pass",
        ],
    )
    def test_our_name_is_found(self, value: str | bytes) -> None:
        assert forged(value)

    @each(
        "value",
        [
            "other.test; spf=pass",
            "notexample.test; spf=pass",
            "example.test.other.test; spf=pass",
            "other.test; spf=pass smtp.mailfrom=ann@mx.example.test",
            "other.test (mx.example.test); spf=pass",
            "other.test 1; none",
            "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=a.test; dkim=none",
            "bücher.other; spf=pass",
            b"other.test (\xa0mx.example.test); spf=pass reason=\xff",
        ],
    )
    def test_the_name_of_another_is_left(self, value: str | bytes) -> None:
        assert not forged(value)

    def test_only_this_field_is_meant(self) -> None:
        assert not forged("i=1; mx.example.test; spf=pass", b"ARC-Authentication-Results")
        assert forged("mx.example.test; spf=pass", b"AUTHENTICATION-RESULTS ")


def test_a_host_that_is_named_late_is_not_looked_for() -> None:
    """To find one behind comments without end would cost more than the message."""
    assert forged("(x)" * 1000 + "other.test; spf=pass")
    assert not forged("(x)" * 100 + "other.test; spf=pass reason=" + "x" * 1000)
