"""Chains (RFC 8617): sealed hop by hop, verified, broken, and held against dkimpy."""

from collections.abc import Collection

import dkim
import pytest

from merpati.authenticity.arc.chain import MAX_SETS
from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.arc.verifier import ArcVerdict, ChainVerification
from merpati.authenticity.dkim.keypair import KeyKind
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import SigningKey, Unsignable
from merpati.authenticity.dkim.verifier import Verification
from merpati.authenticity.seen import Seen
from merpati.dns.errors import DnsError, DnsTimeout
from merpati.mail.headers import Headers
from merpati.testing.answers import Answers
from tests.authenticity.dkim.signed import AT, MESSAGE, a_key, name, pair, signed, zone
from tests.cases import each

HOSTS = ("one.test", "two.test", "three.test")
RESULTS = "mx.{}; spf=pass smtp.mailfrom=a.test;\r\n\tdkim=pass header.d=a.test"


def key(domain: str, kind: KeyKind = KeyKind.ED25519) -> SigningKey:
    return a_key(kind, domain)


KEYS: dict[str, list[object] | DnsError] = {
    **zone(a_key(), *map(key, HOSTS), *(key(host, KeyKind.RSA_2048) for host in HOSTS))
}


def seal(
    message: bytes,
    domain: str,
    validation: Result = Result.PASS,
    kind: KeyKind = KeyKind.ED25519,
    at: int = AT,
) -> bytes:
    """The message as the next host passes it on."""
    sealer = Sealer()
    sealer.update(message)
    return sealer.fields(key(domain, kind), RESULTS.format(domain), validation, at) + message


def chained(*domains: str, message: bytes = MESSAGE) -> bytes:
    for domain in domains:
        message = seal(message, domain)
    return message


def verdict(
    message: bytes,
    trusted: Collection[str] = (),
    records: dict[str, list[object] | DnsError] = KEYS,
    now: float = AT,
) -> ArcVerdict:
    headers = Headers.scan(message)
    chain = ChainVerification(headers)
    body = Verification(headers, chain.wanted)
    body.update(message[headers.size :])
    return Answers(records).answer(chain.verdict(body.hashed(), now, trusted))


def test_a_message_without_sets_has_no_chain() -> None:
    assert verdict(MESSAGE) == ArcVerdict(Result.NONE)


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ED25519])
def test_a_chain_of_three_hosts_passes(kind: KeyKind) -> None:
    message = signed()
    for domain in HOSTS:
        message = seal(message, domain, kind=kind)
    found = verdict(message)
    assert (found.result, found.why) == (Result.PASS, "")
    assert found.sealers == HOSTS
    assert found.message is not None
    assert found.message.evidence.domain == "three.test"


def test_each_host_may_touch_what_it_then_seals() -> None:
    message = seal(MESSAGE, "one.test").replace(b"Subject: ", b"Subject: [list] ")
    assert verdict(message).result is Result.FAIL
    found = verdict(seal(message, "two.test"))
    assert found.result is Result.PASS


@pytest.mark.parametrize(
    ("trusted", "first"),
    [
        ((), 0),
        (("three.test",), 3),
        (("two.test", "three.test"), 2),
        (HOSTS, 1),
        (("one.test", "two.test"), 0),
        (("one.test", "three.test"), 3),
    ],
)
def test_what_was_found_counts_as_far_as_all_later_sealers_are_trusted(
    trusted: tuple[str, ...], first: int
) -> None:
    found = verdict(chained(*HOSTS), trusted)
    assert found.trusted_from == first
    expected = RESULTS.format(HOSTS[first - 1]) if first else ""
    assert found.found == expected


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"apa", b"aqa", "the message: the body was altered"),
        (b"Budi", b"Bodi", "the message: the header was altered"),
        (
            b"mx.two.test; spf=pass",
            b"mx.two.test; spf=fail",
            "the seal of set 3: what it seals was altered",
        ),
        (
            b"mx.one.test; spf=pass",
            b"mx.one.test; spf=fail",
            "the seal of set 3: what it seals was altered",
        ),
        (b"cv=pass;", b"cv=fail;", "the newest host found the chain broken"),
        (b"cv=pass;", b"cv=none;", "does not say what it must"),
        (b"cv=none;", b"cv=pass;", "does not say what it must"),
        (b"cv=none;", b"", "does not say what it must"),
        (b"cv=pass;", b"cv=pass; h=from;", "the seal of set 3 has h="),
        (b"ARC-Seal: i=3;", b"ARC-Seal: i=4;", "set 3 lacks its ARC-Seal"),
        (b"ARC-Seal: i=3;", b"ARC-Seal: i=2;", "a part of set 2 is there twice"),
        (b"ARC-Seal: i=3;", b"ARC-Seal: i=0;", "has no number"),
        (b"ARC-Seal: i=3;", b"ARC-Seal: i=x;", "has no number"),
        (b"ARC-Seal: i=3;", b"ARC-Seal:", "has no number"),
        (b"ARC-Seal: i=3;", b"ARC-Seal: nonsense;", "cannot be read"),
        (b"ARC-Seal: i=3;", b"X: i=3;", "set 3 lacks its ARC-Seal"),
        (b"ARC-Message-Signature: i=1;", b"X: i=1;", "set 1 lacks its ARC-Message-Signature"),
        (b"Results: i=3;", b"Results: mx.three.test;", "has no number"),
        (b"Results: i=3;", b"Results: i=1;", "there twice"),
        (b"a=ed25519-sha256; d=three", b"a=rsa-sha1; d=three", "SHA-1"),
        (b"h=from:", b"h=arc-seal:from:", "covers seals"),
        (b"\tbh=", b"\tbx=", "the newest signature of the message: the signature lacks bh="),
        (
            b"d=two.test; s=ed25519;\r\n\tt=",
            b"d=two.test; s=none;\r\n\tt=",
            "the seal of set 3: what it seals",
        ),
    ],
)
def test_a_chain_that_was_touched_fails(old: bytes, new: bytes, why: str) -> None:
    message = chained(*HOSTS)
    assert old in message
    found = verdict(message.replace(old, new, 1))
    assert found.result is Result.FAIL
    assert why in found.why


def sets_of(found: ArcVerdict) -> list[str]:
    """What came of each set, in words."""
    return [
        f"{one.claim.instance} {one.claim.sealer} {one.claim.validation} "
        f"{one.result.value if one.result else '-'} {one.key.name if one.key else '-'}"
        for one in found.sets
    ]


def test_a_chain_that_passes_tells_each_set_with_its_key() -> None:
    found = verdict(chained(*HOSTS))
    assert sets_of(found) == [
        "1 one.test none pass ed25519._domainkey.one.test",
        "2 two.test pass pass ed25519._domainkey.two.test",
        "3 three.test pass pass ed25519._domainkey.three.test",
    ]
    assert found.sets[0].claim.selector == "ed25519"
    assert found.sets[0].key == Seen.of("ed25519._domainkey.one.test", pair(KeyKind.ED25519).record)


@each(
    ("old", "new", "told"),
    [
        # The newest signature of the message fails: no seal is looked at.
        (
            b"apa",
            b"aqa",
            [
                "1 one.test none - -",
                "2 two.test pass - -",
                "3 three.test pass fail ed25519._domainkey.three.test",
            ],
        ),
        # The newest seal is of the sets before it, too.
        (
            b"mx.one.test; spf=pass",
            b"mx.one.test; spf=fail",
            [
                "1 one.test none - -",
                "2 two.test pass - -",
                "3 three.test pass fail ed25519._domainkey.three.test",
            ],
        ),
        (
            b"cv=pass;",
            b"cv=fail;",
            ["1 one.test none - -", "2 two.test pass - -", "3 three.test fail - -"],
        ),
        (
            b"cv=none;",
            b"cv=pass;",
            ["1 one.test pass fail -", "2 two.test pass - -", "3 three.test pass - -"],
        ),
        (b"ARC-Seal: i=3;", b"X: i=3;", ["1 one.test none - -", "2 two.test pass - -"]),
        (b"ARC-Seal: i=3;", b"ARC-Seal: nonsense;", ["1 one.test none - -", "2 two.test pass - -"]),
        (
            b"\tbh=",
            b"\tbx=",
            ["1 one.test none - -", "2 two.test pass - -", "3 three.test pass fail -"],
        ),
    ],
)
def test_a_chain_that_fails_tells_which_set_and_what_was_not_looked_at(
    old: bytes, new: bytes, told: list[str]
) -> None:
    assert sets_of(verdict(chained(*HOSTS).replace(old, new, 1))) == told


@each(
    ("records", "result", "why", "key"),
    [
        ([], Result.FAIL, "there is no key in the DNS", None),
        ([b"k=ed25519; p="], Result.FAIL, "the key is revoked", "k=ed25519; p="),
        (DnsTimeout("none"), Result.TEMPERROR, "the key could not be asked for", None),
    ],
)
def test_the_set_whose_key_is_at_fault_is_named_with_the_record(
    records: list[object] | DnsError, result: Result, why: str, key: str | None
) -> None:
    two = "TXT ed25519._domainkey.two.test"
    found = verdict(chained(*HOSTS), records={**KEYS, two: records})
    assert (found.result, found.why) == (result, f"the seal of set 2: {why}")
    assert [one.result for one in found.sets] == [None, result, Result.PASS]
    shown = found.sets[1].key
    assert (shown.record if shown else None) == key


def test_a_key_that_cannot_be_asked_for_is_temporary() -> None:
    for domain in HOSTS:
        records = {**KEYS, name(key(domain)): DnsTimeout("no answer")}
        assert verdict(chained(*HOSTS), records=records).result is Result.TEMPERROR


def test_a_sealer_is_asked_for_once() -> None:
    headers = Headers.scan(message := chained(*["one.test"] * 9))
    chain = ChainVerification(headers)
    body = Verification(headers, chain.wanted)
    body.update(message[headers.size :])
    answers = Answers(KEYS)
    assert answers.answer(chain.verdict(body.hashed(), AT)).result is Result.PASS
    assert len(answers.asked) == 2


@pytest.mark.slow
def test_a_chain_may_have_fifty_sets_and_no_more() -> None:
    full = chained(*["one.test"] * MAX_SETS)
    assert verdict(full).result is Result.PASS
    with pytest.raises(Unsignable, match="50 sets already"):
        seal(full, "two.test")
    more = full.replace(b"ARC-Seal: i=50;", b"ARC-Seal: i=51;\r\nARC-Seal: i=50;")
    assert verdict(more).why == "more than 50 sets"


def test_a_chain_that_did_not_pass_is_sealed_as_broken_once() -> None:
    altered = seal(MESSAGE, "one.test").replace(b"apa", b"aqa")
    broken = seal(altered, "two.test", verdict(altered).result)
    assert b"cv=fail" in broken
    assert verdict(broken).result is Result.FAIL
    assert dkim.arc_verify(broken, dnsfunc=their_dns)[0] == b"fail"
    with pytest.raises(Unsignable, match="broken before"):
        seal(broken, "three.test", Result.FAIL)


@each("found", ["a\r\nb", "a\nb", "a\r\n ", "a\0", "x" * 9000])
def test_what_was_found_cannot_begin_a_field(found: str) -> None:
    sealer = Sealer()
    sealer.update(MESSAGE)
    with pytest.raises(Unsignable, match="not the text"):
        sealer.fields(key("one.test"), found, Result.NONE, AT)


@each(
    ("parts", "instance"),
    [
        (b"ARC-Seal: i=1; cv=none\r\n", 2),
        (b"ARC-Seal: i=7; cv=none\r\n", 8),
        (b"ARC-Seal: nonsense\r\n", 1),
        (b"ARC-Authentication-Results: i=4; mx.one.test; none\r\nARC-Seal: i=2; cv=fail\r\n", 5),
        (b"ARC-Message-Signature: i=3; cv=x; cv=y\r\n", 4),
    ],
)
def test_sets_that_are_no_chain_are_sealed_as_failed_behind_the_last(
    parts: bytes, instance: int
) -> None:
    sealed = seal(parts + MESSAGE, "one.test", Result.FAIL)
    assert f"ARC-Seal: i={instance}; cv=fail;".encode() in sealed
    assert verdict(sealed).result is Result.FAIL
    with pytest.raises(Unsignable, match="broken before"):
        seal(sealed, "two.test", Result.FAIL)


def test_a_chain_is_not_sealed_while_it_cannot_be_checked() -> None:
    with pytest.raises(Unsignable, match="not known now"):
        seal(chained("one.test"), "two.test", Result.TEMPERROR)


def their_dns(name: bytes, timeout: int = 5) -> bytes:
    kind = KeyKind.ED25519 if name.startswith(b"ed25519") else KeyKind.RSA_2048
    return pair(kind).record


def their_seal(message: bytes, domain: str, validation: str) -> bytes:
    found = f"Authentication-Results: {domain}; spf=pass; arc={validation}\r\n".encode()
    fields = dkim.arc_sign(
        found + message,
        b"rsa-2048",
        domain.encode(),
        pair(KeyKind.RSA_2048).pem,
        domain.encode(),
        timestamp=AT,
    )
    return b"".join(fields) + found + message


def test_dkimpy_believes_our_chain() -> None:
    message = MESSAGE
    for domain in HOSTS:
        message = seal(message, domain, kind=KeyKind.RSA_2048)
    found, results, why = dkim.arc_verify(message, dnsfunc=their_dns)
    assert (found, len(results), why) == (b"pass", 3, "success")
    altered = message.replace(b"apa", b"aqa")
    assert dkim.arc_verify(altered, dnsfunc=their_dns)[0] == b"fail"


def test_we_believe_dkimpys_chain_and_seal_on() -> None:
    message = their_seal(MESSAGE, "one.test", "none")
    assert verdict(message).result is Result.PASS
    message = seal(message, "two.test", kind=KeyKind.RSA_2048)
    message = their_seal(message, "three.test", "pass")
    found = verdict(message)
    assert (found.result, found.sealers) == (Result.PASS, HOSTS)
    assert dkim.arc_verify(message, dnsfunc=their_dns)[0] == b"pass"
    assert verdict(message.replace(b"apa", b"aqa")).result is Result.FAIL


def test_sets_with_more_tags_than_are_read_are_no_chain_and_get_no_seal() -> None:
    tags = "".join(f" t{n}=x;" for n in range(90)).encode()
    message = chained(*HOSTS)
    many = message.replace(b"ARC-Seal: i=1;", b"ARC-Seal: i=1;" + tags * 12)
    found = verdict(many)
    assert (found.result, found.why) == (Result.FAIL, "the sets have more tags than are read")
    assert found.sets == ()
    with pytest.raises(Unsignable, match="more tags"):
        seal(many, "four.test")
