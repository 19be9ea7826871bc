"""Rspamd and Merpati judge the same messages alike (DKIM, SPF, DMARC and ARC), and each believes
what the other signs."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from merpati.authenticity.arc.sealer import Sealer
from merpati.authenticity.dkim.canonical import Canonicalization
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair
from merpati.authenticity.dkim.result import Result
from merpati.authenticity.dkim.signer import SigningSettings, sign
from merpati.authenticity.examiner import Examiner, ExaminerSettings, spf_check
from merpati.authenticity.judgement import Judgement, Origin
from merpati.clock import SystemClock
from merpati.dns.client import DnsClient, DnsSettings
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.testing.process import free_port
from merpati.testing.zone import zone_in_a_thread
from tests.authenticity.dkim.signed import MESSAGE, a_key
from tests.interop.conftest import needs, wait_for
from tests.interop.peers import Rspamd

pytestmark = pytest.mark.interop

IP = "192.0.2.1"
KINDS = [KeyKind.RSA_2048, KeyKind.ED25519]
SPF = {
    "pass": "v=spf1 ip4:192.0.2.0/24 -all",
    "fail": "v=spf1 ip4:198.51.100.0/24 -all",
    "softfail": "v=spf1 a:mx.a.test ~all",
    "neutral": "v=spf1 ?all",
    # An include of nothing Rspamd passes over, where RFC 7208 §5.2 says permerror.
    "permerror": "v=spf1 redirect=nowhere.test",
    "included": "v=spf1 include:pass.test -all",
    "redirected": "v=spf1 redirect=fail.test",
    "macro": "v=spf1 exists:%{ir}.%{l}._spf.test -all",
}
BOTH_PASS = {"rsa-sha256": Result.PASS, "ed25519-sha256": Result.PASS}
POLICIES = {"reject": "reject", "quarantine": "quarantine", "nothing": "none"}


def _texts(record: str) -> str:
    return " ".join(f'"{record[at : at + 200]}"' for at in range(0, len(record), 200))


def _zone() -> str:
    lines = ["1.2.0.192.ann._spf.test A 127.0.0.2", "mx.a.test A 198.51.100.1"]
    lines += [f"{name}.test TXT {_texts(record)}" for name, record in SPF.items()]
    for domain in ("a.test", "one.test", "two.test", *(f"{name}.test" for name in POLICIES)):
        for key in (a_key(kind, domain) for kind in KINDS):
            record = _texts(key.pair.record.decode())
            lines.append(f"{key.selector}._domainkey.{domain} TXT {record}")
    lines += [f'_dmarc.{name}.test TXT "v=DMARC1; p={word}"' for name, word in POLICIES.items()]
    return "\n".join(lines)


class Judges:
    """Both, asking the same DNS server."""

    def __init__(self, rspamd: Rspamd, address: tuple[str, int]) -> None:
        self._rspamd = rspamd
        self._address = address

    def theirs(self, message: bytes, sender: str) -> set[str]:
        return self._rspamd.symbols(message, **{"From": sender, "IP": IP, "Helo": "mx.a.test"})

    def signed_by_them(self, message: bytes) -> bytes:
        return self._rspamd.signed(message, User="ann@a.test", From="ann@a.test", IP=IP)

    def sealed_by_them(self, message: bytes, domain: str) -> bytes:
        rcpt = f"budi@{domain}"
        return self._rspamd.sealed(message, From="ann@a.test", Rcpt=rcpt, IP=IP, Helo="mx.a.test")

    def ours(self, message: bytes, sender: str) -> Judgement:
        async def judge() -> Judgement:
            clock = SystemClock()
            resolver = DnsClient(clock, DnsSettings((self._address,)))
            check = spf_check("mx.b.test", clock)
            examiner = Examiner(resolver, clock, check, ExaminerSettings())
            headers = Headers.scan(message)
            origin = Origin(IP, "mx.a.test", Address.parse(sender))
            examination = examiner.begin(origin, headers)
            examination.update(message[headers.size :])
            return await examiner.judge(examination)

        return asyncio.run(judge())


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judges]:
    needs("rspamd", "rspamd")
    folder = tmp_path_factory.mktemp("rspamd")
    with zone_in_a_thread(_zone()) as server:
        rspamd = Rspamd(folder, free_port(), "{}:{}".format(*server.address))
        for domain in ("a.test", "one.test", "two.test"):
            for kind in KINDS:
                rspamd.key(domain, kind.value, _theirs_to_read(a_key(kind).pair))
        rspamd.start()
        try:
            wait_for(rspamd.answers)
            yield Judges(rspamd, server.address)
        finally:
            rspamd.stop()


def _theirs_to_read(pair: KeyPair) -> bytes:
    if isinstance(pair.private, Ed25519PrivateKey):
        return b64encode(pair.private.private_bytes_raw())
    return pair.pem


def dkim_signed(kind: KeyKind, domain: str = "a.test", message: bytes = MESSAGE) -> bytes:
    return sign([message], [a_key(kind, domain)], int(time.time())) + message


def written_by(domain: str) -> bytes:
    return MESSAGE.replace(b"ann@a.test", f"ann@{domain}".encode())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
@pytest.mark.parametrize("body", Canonicalization)
@pytest.mark.parametrize("header", Canonicalization)
def test_rspamd_believes_our_signatures(
    judges: Judges, kind: KeyKind, header: Canonicalization, body: Canonicalization
) -> None:
    settings = SigningSettings(header, body)
    message = sign([MESSAGE], [a_key(kind)], int(time.time()), settings) + MESSAGE
    assert "R_DKIM_ALLOW" in judges.theirs(message, "ann@a.test")
    assert "R_DKIM_REJECT" in judges.theirs(message.replace(b"apa", b"aqa"), "ann@a.test")
    assert "R_DKIM_REJECT" in judges.theirs(message.replace(b"Budi", b"Bodi"), "ann@a.test")


def results(judgement: Judgement) -> dict[str, Result]:
    """By the algorithm of each signature."""
    return {one.evidence.algorithm: one.result for one in judgement.signatures}


def test_we_believe_the_signatures_of_rspamd(judges: Judges) -> None:
    """It signs by each key that it has of the domain: RSA and Ed25519."""
    message = judges.signed_by_them(MESSAGE)
    assert results(judges.ours(message, "ann@a.test")) == BOTH_PASS
    for octets, instead in ((b"apa", b"aqa"), (b"Budi", b"Bodi")):
        altered = results(judges.ours(message.replace(octets, instead), "ann@a.test"))
        assert set(altered.values()) == {Result.FAIL}


_SPF_SYMBOLS = {
    "pass": "R_SPF_ALLOW",
    "fail": "R_SPF_FAIL",
    "softfail": "R_SPF_SOFTFAIL",
    "neutral": "R_SPF_NEUTRAL",
    "none": "R_SPF_NA",
    "permerror": "R_SPF_PERMFAIL",
}


@pytest.mark.parametrize("name", [*SPF, "a"])
def test_spf_is_judged_alike(judges: Judges, name: str) -> None:
    sender = f"ann@{name}.test"
    spf = judges.ours(MESSAGE, sender).spf
    assert spf is not None
    assert _SPF_SYMBOLS[spf.result] in judges.theirs(MESSAGE, sender)


_DMARC_SYMBOLS = {
    ("pass", "reject"): "DMARC_POLICY_ALLOW",
    ("pass", "quarantine"): "DMARC_POLICY_ALLOW",
    ("pass", "none"): "DMARC_POLICY_ALLOW",
    ("fail", "reject"): "DMARC_POLICY_REJECT",
    ("fail", "quarantine"): "DMARC_POLICY_QUARANTINE",
    ("fail", "none"): "DMARC_POLICY_SOFTFAIL",
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("signer", ["author", "stranger", "nobody"])
def test_dmarc_is_judged_alike(judges: Judges, name: str, signer: str) -> None:
    message = written_by(f"{name}.test")
    domain = {"author": f"{name}.test", "stranger": "a.test"}.get(signer)
    if domain:
        message = dkim_signed(KeyKind.RSA_2048, domain, message)
    dmarc = judges.ours(message, "ann@fail.test").dmarc
    assert dmarc is not None
    assert dmarc.result.value == ("pass" if signer == "author" else "fail")
    symbol = _DMARC_SYMBOLS[dmarc.result.value, POLICIES[name]]
    assert symbol in judges.theirs(message, "ann@fail.test")


def sealed(message: bytes, domain: str, validation: Result) -> bytes:
    sealer = Sealer()
    sealer.update(message)
    found = f"mx.{domain}; dkim=pass header.d=a.test"
    # Rspamd 3.4 knows no seals but those of RSA.
    key = a_key(KeyKind.RSA_2048, domain)
    return sealer.fields(key, found, validation, int(time.time())) + message


def test_rspamd_believes_our_seals(judges: Judges) -> None:
    message = sealed(dkim_signed(KeyKind.RSA_2048), "one.test", Result.NONE)
    message = sealed(message, "two.test", Result.PASS)
    assert judges.ours(message, "ann@a.test").chain.result is Result.PASS
    assert "ARC_ALLOW" in judges.theirs(message, "ann@a.test")
    altered = message.replace(b"apa", b"aqa")
    assert judges.ours(altered, "ann@a.test").chain.result is Result.FAIL
    assert judges.theirs(altered, "ann@a.test") & {"ARC_REJECT", "ARC_INVALID"}


def test_we_believe_the_seals_of_rspamd(judges: Judges) -> None:
    """Beside ours, in both orders. It seals by RSA alone, as nothing else is defined (RFC 8617)."""
    signed = dkim_signed(KeyKind.RSA_2048)
    both = sealed(judges.sealed_by_them(signed, "one.test"), "two.test", Result.PASS)
    assert judges.ours(both, "ann@a.test").chain.result is Result.PASS
    turned = judges.sealed_by_them(sealed(signed, "two.test", Result.NONE), "one.test")
    assert judges.ours(turned, "ann@a.test").chain.result is Result.PASS
    for octets, instead in ((b"apa", b"aqa"), (b"d=one.test", b"d=two.test")):
        altered = turned.replace(octets, instead)
        assert judges.ours(altered, "ann@a.test").chain.result is Result.FAIL
