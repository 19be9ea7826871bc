"""What tells who sent a message: tags, signatures, keys in the DNS, and canonical forms."""

import re
from hashlib import sha256
from itertools import pairwise

from merpati.authenticity.arc.chain import MAX_SETS
from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.arc.verifier import ArcVerdict, ChainVerification
from merpati.authenticity.dkim.body import BodyHashes
from merpati.authenticity.dkim.canonical import CanonicalBody, Canonicalization, canonical_field
from merpati.authenticity.dkim.keypair import KeyPair
from merpati.authenticity.dkim.record import read_record
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signature import KEY_TYPES, SignatureError
from merpati.authenticity.dkim.signer import SigningKey, Unsignable, sign
from merpati.authenticity.dkim.verifier import verify
from merpati.authenticity.results import NAME, ResultsError, is_forged, parse_results
from merpati.authenticity.seen import MAX_SHOWN
from merpati.authenticity.tags import TagError, parse_tags, parse_tags_leniently
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.fuzz.target import Target

_PAIR = KeyPair.from_pem(
    b"-----BEGIN PRIVATE KEY-----\n"
    b"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    b"-----END PRIVATE KEY-----\n"
)
_KEY = SigningKey("a.test", "s", _PAIR)
_NAME = "TXT s._domainkey.a.test"


def tags(octets: bytes) -> None:
    """A list that is read reads the same when it is written anew, strictly and leniently."""
    try:
        found = parse_tags(octets)
    except TagError:
        found = None
    if found:
        written = "; ".join(f"{name}={value}" for name, value in found.pairs).encode()
        assert parse_tags(written) == found
    try:
        lenient = parse_tags_leniently(octets)
    except TagError:
        assert found is None
        return
    names = [name for name, _ in lenient.pairs]
    assert names == sorted(set(names), key=names.index)
    assert found is None or set(names) == {name.lower() for name, _ in found.pairs}


def dkim(octets: bytes) -> None:
    """Any message has a verdict for each signature; behind NUL stands what the DNS says."""
    message, _, record = octets.partition(b"\0")
    zone = Answers({_NAME: [record]} if record else {})
    for verdict in zone.answer(verify([message], 1_600_000_000)):
        assert verdict.result is not Result.NONE
        assert verdict.why or verdict.result is Result.PASS
        evidence = verdict.evidence
        assert max(map(len, (evidence.domain, evidence.selector, evidence.algorithm))) <= 254
        assert len(evidence.identity) <= 600
        assert evidence.key is None or len(evidence.key.record) <= MAX_SHOWN


def arc(octets: bytes) -> None:
    """Any sets have a verdict, and what is sealed as it came passes; behind NUL as above."""
    message, _, record = octets.partition(b"\0")
    found = _chain(message, record)
    assert found.why or found.result in (Result.PASS, Result.NONE)
    assert found.trusted_from == 0
    assert len(found.sets) <= MAX_SETS
    instances = [each.claim.instance for each in found.sets]
    assert instances == sorted(set(instances))
    if found.result is Result.PASS:
        assert {each.result for each in found.sets} == {Result.PASS}
    else:
        bad = [each for each in found.sets if each.result not in (None, Result.PASS)]
        assert len(bad) <= 1
    sealer = Sealer()
    sealer.update(message)
    try:
        fields = sealer.fields(_KEY, "a.test; spf=pass", found.result, 1_600_000_000)
    except Unsignable:
        return
    again = _chain(fields + message, _PAIR.record)
    assert again.result is (Result.FAIL if found.result is Result.FAIL else Result.PASS)


def _chain(message: bytes, record: bytes) -> ArcVerdict:
    headers = Headers.scan(message)
    chain = ChainVerification(headers)
    body = BodyHashes(chain.wanted)
    body.update(message[headers.size :])
    zone = Answers({_NAME: [record]} if record else {})
    return zone.answer(chain.verdict(body.finish(), 1_600_000_000))


def results(octets: bytes) -> None:
    """What is read is written as one field that reads the same, and our own name is found."""
    for field in Headers.scan(b"Authentication-Results:" + octets).fields:
        if field.name.lower() != NAME:
            continue
        claimed = is_forged(field, ["mx.a.test"])
        assert claimed or not _is_ours_in_latin_1(field.raw)
        try:
            found = parse_results(field.value)
        except ResultsError:
            continue
        assert claimed or found.id.lower() != "mx.a.test"
        for utf8 in (True, False):
            written = Headers.scan(found.field(utf8=utf8))
            assert written.count(NAME) == 1
            again = parse_results(written.get(NAME) or "")
            assert again.findings == found.findings or _has_unwritable(field.value, utf8)
            assert [(one.method, one.result) for one in again.findings] == [
                (one.method, one.result) for one in found.findings
            ]


def _is_ours_in_latin_1(raw: bytes) -> bool:
    """To a reader who knows of no UTF-8, and takes its blanks from around a name."""
    value = raw.split(b":", 1)[1].replace(b"\r\n", b"").decode("latin-1").strip()
    try:
        return parse_results(value).id.strip().lower() == "mx.a.test"
    except ResultsError:
        return False


def _has_unwritable(text: str, utf8: bool) -> bool:
    is_cut = len(text) > 200
    return is_cut or "=?" in text or not text.isprintable() or not (utf8 or text.isascii())


def dkim_key(octets: bytes) -> None:
    """A key record is read or says why not, and a key that is read verifies nothing by chance."""
    for algorithm in KEY_TYPES:
        try:
            record = read_record(octets, algorithm)
        except SignatureError as error:
            assert error.why
            continue
        assert record.bits
        assert not record.verifies(b"\1" * 64, sha256(b"octets").digest())


def dkim_signed(octets: bytes) -> None:
    """What is signed verifies, whatever the message."""
    try:
        field = sign([octets], [_KEY], 1_600_000_000)
    except Unsignable:
        return
    zone = Answers({_NAME: [_PAIR.record]})
    first = zone.answer(verify([field + octets], 1_600_000_000))[0]
    assert first.result is Result.PASS, first.why


def canonical(octets: bytes) -> None:
    """As a naive reading of RFC 6376 §3.4 has it, however the body comes in parts."""
    for form in Canonicalization:
        whole = _canonical(form, [octets])
        middle = len(octets) // 2
        cuts = [0, middle, min(len(octets), middle + 1), len(octets)]
        assert _canonical(form, [octets[a:b] for a, b in pairwise(cuts)]) == whole
        assert whole == _naive(octets, form)
        for field in Headers.scan(b"X:" + octets).fields:
            once = canonical_field(field.raw, form)
            assert canonical_field(once, form) == once


def _canonical(form: Canonicalization, parts: list[bytes]) -> bytes:
    taken: list[bytes] = []
    body = CanonicalBody(form, taken.append)
    for part in parts:
        body.update(part)
    body.finish()
    return b"".join(taken)


def _naive(body: bytes, form: Canonicalization) -> bytes:
    lines = body.split(b"\r\n")
    if form is Canonicalization.RELAXED:
        lines = [re.sub(rb"[ \t]++", b" ", line).removesuffix(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"" if form is Canonicalization.RELAXED else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"


_TAGS = (b"v=DKIM1", b"a=rsa-sha256", b";", b"=", b" ", b"\r\n\t", b"p=", b"b", b"\xc3\xbc", b"_")
_SIGNATURE = (
    *(b"DKIM-Signature:", b"v=1;", b"a=ed25519-sha256;", b"a=rsa-sha256;", b"c=relaxed/relaxed;"),
    *(b"c=simple;", b"d=a.test;", b"s=s;", b"h=from;", b"h=", b"from:", b"b=AA==;", b"bh=AA==;"),
    *(b"i=@a.test;", b"l=1;", b"t=1;", b"x=2;", b"q=dns/txt;", b"z=;", b"\r\n", b"\r\n ", b" "),
    *(b"From: ann@a.test\r\n", b"\r\n\r\n", b"\0", b"v=DKIM1;", b"k=ed25519;", b"p="),
)
_ARC = (
    *_SIGNATURE[4:],
    *(b"ARC-Seal:", b"ARC-Message-Signature:", b"ARC-Authentication-Results:", b"i=1;", b"i=2;"),
    *(b"cv=none;", b"cv=pass;", b"cv=fail;", b"a=ed25519-sha256;"),
)
_RECORD = (
    *(b"v=DKIM1;", b"k=rsa;", b"k=ed25519;", b"p=", b"p=;", b"h=sha256;", b"s=email;", b"t=y:s;"),
    *(b"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", b"MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBA"),
    *(b" ", b"\t", b";", b"=", b":"),
)
_RESULTS = (
    *(b"mx.a.test", b"a.test", b";", b"=", b".", b"/", b"(", b")", b'"', b"\\", b" ", b"\r\n "),
    *(b"spf=pass", b"dkim=fail", b"smtp.mailfrom=", b"header.d=", b"reason=", b"none", b"1"),
    *(b"=?utf-8?q?x?=", b"\xc3\xbc", b"dkim/1"),
)
_BODY = (b"\r\n", b"\r", b"\n", b" ", b"\t", b"a", b"  ", b" \r\n", b"\r\n\r\n", b":", b"\0")
_MESSAGE = (*_BODY, b"From: ann@a.test\r\n", b"To:", b"Subject:", b"DKIM-Signature:", b"b=", b";")

TARGETS = (
    Target("tags", tags, _TAGS),
    Target("dkim", dkim, _SIGNATURE),
    Target("arc", arc, _ARC),
    Target("results", results, _RESULTS),
    Target("dkim_key", dkim_key, _RECORD),
    Target("dkim_signed", dkim_signed, _MESSAGE),
    Target("canonical", canonical, _BODY),
)
