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
    """How a reason begins, the cause that it names if there is one, and its words in Indonesian,
    with what the groups matched."""

    said: str
    cause: str
    indonesian: str


# The first that fits counts: the certificate's flaws stand before what they have in common.
_PHRASES = (
    _Phrase("the connection was refused", "connection-refused", "sambungan ditolak"),
    _Phrase(
        "the other end did not answer in time", "timed-out", "pihak sana tidak menjawab tepat waktu"
    ),
    _Phrase(r"no answer within (\S+) s", "timed-out", "tidak ada jawaban dalam {0} detik"),
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
    # What is short here
    _Phrase("this process has too many open files", "", "proses ini membuka terlalu banyak berkas"),
    _Phrase("this machine has too many open files", "", "mesin ini membuka terlalu banyak berkas"),
    _Phrase("this machine has no buffer space left", "", "mesin ini kehabisan ruang penyangga"),
    _Phrase("this machine has no memory left", "", "mesin ini kehabisan memori"),
    # What the DNS says of a domain
    _Phrase(
        r"(?:556 5\.1\.10 )?(\S+) says in the DNS that it takes no mail",
        "null-mx",
        "{0} menyatakan di DNS bahwa ia tidak menerima surat (null MX)",
    ),
    _Phrase(r"(\S+) is this server's own name", "own-name", "{0} adalah nama server ini sendiri"),
    _Phrase(r"the domain (\S+) does not exist", "no-such-domain", "domain {0} tidak ada"),
    _Phrase(
        r"(\S+) is no address literal",
        "address-syntax",
        "{0} bukan alamat IP dalam kurung siku yang sah",
    ),
    _Phrase(
        r"the MX records of (\S+) name no host",
        "no-address",
        "catatan MX {0} tidak menyebut host mana pun",
    ),
    _Phrase(
        r"the DNS gave no answer for (\S+): (.*)",
        "dns-failing",
        "DNS tidak menjawab untuk {0}: {1}",
    ),
    _Phrase(
        r"mail for (\S+) loops back to myself",
        "loops-back",
        "surat untuk {0} berputar kembali ke server ini sendiri",
    ),
    _Phrase(
        r"none of the mail hosts (\S+) has an address",
        "no-address",
        "tak satu pun host surat {0} punya alamat",
    ),
    _Phrase(
        r"the MTA-STS policy of (\S+) allows none of its mail hosts",
        "sts-mx-unlisted",
        "kebijakan MTA-STS {0} tidak mengizinkan satu pun host suratnya",
    ),
    _Phrase(
        r"the MTA-STS policy of (\S+) does not name the host of the route",
        "sts-host-unlisted",
        "kebijakan MTA-STS {0} tidak menyebut host pada rute",
    ),
    # Mailboxes here
    _Phrase(r"(\S+) has no mailbox here any more", "", "{0} tidak lagi punya kotak surat di sini"),
    _Phrase(
        r"mail forwarding loop: it was delivered to (\S+) before",
        "",
        "penerusan berputar: pesan ini sudah pernah diantarkan ke {0}",
    ),
    _Phrase(r"the mailbox could not be reached: (.*)", "", "kotak surat tidak terjangkau: {0}"),
    _Phrase(r"the mailbox cannot be written: (.*)", "", "kotak surat tidak dapat ditulisi: {0}"),
    _Phrase("many reports are being read", "", "banyak laporan sedang dibaca"),
    _Phrase(
        "its result could not be written by a defect here",
        "",
        "hasilnya tidak dapat ditulis karena kesalahan di sini",
    ),
    # Documents over HTTPS, and a policy that is none
    _Phrase(r"(\S+) gave no answer within (\S+) s", "", "{0} tidak menjawab dalam waktu {1} detik"),
    _Phrase(r"(https://\S+) answers (\d+)", "", "{0} menjawab {1}"),
    _Phrase(r"(\S+) is longer than (\d+) octets", "", "{0} lebih panjang dari {1} oktet"),
    _Phrase(r"(\S+) is of type (.*), not text/plain", "", "{0} berjenis {1}, bukan text/plain"),
    _Phrase(r"(\S+) has no address$", "", "{0} tidak punya alamat"),
    _Phrase(
        r"(\S+) leads to (\S+), which is not on the Internet",
        "",
        "{0} menuju {1}, yang bukan bagian dari Internet",
    ),
    _Phrase("it is not ASCII text", "", "bukan teks ASCII"),
    _Phrase(r"it has more than (\d+) lines", "", "lebih dari {0} baris"),
    _Phrase(r"(['\"].*['\"]) is no field", "", "{0} bukan kolom"),
    _Phrase(r"(['\"].*['\"]) names no host", "", "{0} bukan nama host"),
    _Phrase("it does not say version: STSv1", "", "tidak memuat version: STSv1"),
    _Phrase("max_age is no number of seconds", "", "max_age bukan jumlah detik yang sah"),
    _Phrase("mode is not enforce, testing or none", "", "mode bukan enforce, testing, atau none"),
    _Phrase("it names no mx", "", "tidak menyebut mx"),
    _Phrase(r"it names more than (\d+) mx", "", "menyebut lebih dari {0} mx"),
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
    found = _found(reason)
    if found is None:
        return ""
    phrase, _ = found
    return "route-unreachable" if on_a_route and phrase.cause in _NOT_REACHED else phrase.cause


def translated(reason: str, language: str) -> str:
    """Our own words in a language; what strangers said stays as it is."""
    found = _found(reason) if language == "id" else None
    if found is None:
        return reason
    phrase, match = found
    return phrase.indonesian.format(*match.groups())


def _found(reason: str) -> tuple[_Phrase, re.Match[str]] | None:
    said = reason[:_MAX_REASON]
    for one in _PHRASES:
        if match := re.match(one.said, said, re.IGNORECASE):
            return one, match
    return None
