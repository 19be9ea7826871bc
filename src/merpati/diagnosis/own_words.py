"""What our own words about a failed connection mean, and how they are said in other languages.

The reason of a hold, or the error of a connection, is a server's reply or one of the phrases of
`wire.errors` and `delivery`; those are written in English and stand in the journal as they are.
"""

import re
from dataclasses import dataclass

from merpati.diagnosis.dialogue import reply_parts
from merpati.diagnosis.replies import Stage, classify


@dataclass(frozen=True, slots=True)
class _Phrase:
    """How a reason begins, the cause that it names, and its words in Indonesian."""

    said: str
    cause: str
    indonesian: str


# The first that fits counts: the certificate's flaws stand before what they have in common.
_PHRASES = (
    _Phrase("the connection was refused", "connection-refused", "sambungan ditolak"),
    _Phrase(
        "the other end did not answer in time", "timed-out", "pihak sana tidak menjawab tepat waktu"
    ),
    _Phrase("the network is unreachable", "host-unreachable", "jaringannya tidak terjangkau"),
    _Phrase("no route to the host", "host-unreachable", "tidak ada jalur ke host itu"),
    _Phrase("the network is down", "host-unreachable", "jaringannya mati"),
    _Phrase("the host is down", "host-unreachable", "host itu mati"),
    _Phrase(
        "this source address is not available here",
        "host-unreachable",
        "alamat asal ini tidak ada di sini",
    ),
    _Phrase(
        "this address family is not supported here",
        "host-unreachable",
        "jenis alamat ini tidak didukung di sini",
    ),
    _Phrase("the socket does not exist", "host-unreachable", "soket itu tidak ada"),
    _Phrase("the connection was reset", "connection-lost", "sambungan diputus pihak sana"),
    _Phrase(
        "the other end closed the connection", "connection-lost", "pihak sana menutup sambungan"
    ),
    _Phrase("the connection was aborted", "connection-lost", "sambungan dibatalkan"),
    _Phrase("the connection was lost", "connection-lost", "sambungan terputus"),
    _Phrase("the connection is closed", "connection-lost", "sambungan sudah tertutup"),
    _Phrase(
        "TLS is not offered, though",
        "policy-needs-tls",
        "TLS tidak ditawarkan, padahal kebijakan domain itu menuntutnya",
    ),
    _Phrase("TLS is not offered", "tls-unavailable", "TLS tidak ditawarkan"),
    _Phrase(
        "the certificate matches no TLSA record",
        "tlsa-mismatch",
        "sertifikat tidak cocok dengan catatan TLSA",
    ),
    _Phrase(
        r"the DNS does not say what certificate .*bogus",
        "dnssec-bogus",
        "DNS tidak menyebut sertifikat yang berlaku: tanda tangan DNSSEC salah",
    ),
    _Phrase(
        "the DNS does not say what certificate",
        "dns-failing",
        "DNS tidak menyebut sertifikat yang berlaku",
    ),
    _Phrase(
        r"the certificate was not accepted: .*self.signed",
        "certificate-self-signed",
        "sertifikat tidak diterima: ditandatangani sendiri",
    ),
    _Phrase(
        r"the certificate was not accepted: .*expired",
        "certificate-expired",
        "sertifikat tidak diterima: sudah kedaluwarsa",
    ),
    _Phrase(
        r"the certificate was not accepted: .*mismatch",
        "certificate-wrong-name",
        "sertifikat tidak diterima: untuk nama lain",
    ),
    _Phrase("the certificate was not accepted", "certificate-invalid", "sertifikat tidak diterima"),
    _Phrase("TLS failed", "tls-failed", "TLS gagal"),
    _Phrase(
        "octets in the clear behind the 220",
        "tls-failed",
        "ada oktet tanpa enkripsi di belakang 220 untuk STARTTLS",
    ),
    _Phrase("no AUTH mechanism in common", "auth-failed", "tidak ada cara masuk yang sama"),
    _Phrase("by an operator", "site-suspended", "oleh operator"),
    _Phrase(
        "not tried, after three refusals of this sender",
        "sender-held",
        "tidak dicoba, setelah tiga penolakan terhadap pengirim ini dalam satu jam",
    ),
    _Phrase(
        "given up, since this site goes on refusing this server",
        "ip-listed",
        "dihentikan, karena situs ini terus menolak server ini",
    ),
    _Phrase("every host rests", "site-down", "semua host sedang dibiarkan"),
    _Phrase("the site is left alone", "site-down", "situs ini sedang dibiarkan"),
    _Phrase("the content of .* is damaged", "damaged-here", "isi pesan rusak di disk"),
    _Phrase("an entry cannot be read", "damaged-here", "amplop pesan rusak di disk"),
    _Phrase("a defect of ours", "delivery-defect", "kesalahan di server ini"),
)
_NOT_REACHED = ("connection-refused", "timed-out", "host-unreachable")
_LOGIN_REFUSED = (534, 535, 538)
_MAX_REASON = 2000


def cause_of(reason: str, *, on_a_route: bool = False) -> str:
    """The cause that a reason names; empty when nobody knows.

    `on_a_route`: an operator named the host, so that it is not the recipient's to mend.
    """
    code, status, text = reply_parts(reason)
    if code:
        stage = Stage.AUTH if code in _LOGIN_REFUSED else Stage.CONNECT
        return classify(stage, code, status, text).cause
    phrase = _phrase(reason)
    if phrase is None:
        return ""
    return "route-unreachable" if on_a_route and phrase.cause in _NOT_REACHED else phrase.cause


def translated(reason: str, language: str) -> str:
    """Our own words in a language; what strangers said stays as it is."""
    phrase = _phrase(reason) if language == "id" else None
    return phrase.indonesian if phrase else reason


def _phrase(reason: str) -> _Phrase | None:
    said = reason[:_MAX_REASON]
    return next((one for one in _PHRASES if re.match(one.said, said, re.IGNORECASE)), None)
