"""How the checks of a message's authenticity are told, in the reader's language.

The results are the words of RFC 8601 in every language: so they stand in Authentication-Results and
in everybody's documentation. What stands in the DNS is shown as it is.
"""

import re
from collections.abc import Iterator

from merpati.journal.events import Check, RecordSeen, SealSeen

MAX_TOLD = 4096
"""Characters of a line: a record that is kept has 2,048, and what is said of it fewer."""
_METHODS = {"iprev": "reverse name", "spf": "SPF", "dkim": "DKIM", "arc": "ARC", "dmarc": "DMARC"}
_LABELS = {"id": {"iprev": "nama balik"}}
_ASKS = {
    "en": {
        "none": "",
        "quarantine": "its domain asks to put it in quarantine",
        "reject": "its domain asks to refuse it",
    },
    "id": {
        "none": "",
        "quarantine": "domainnya meminta agar dikarantina",
        "reject": "domainnya meminta agar ditolak",
    },
}
_LOOKUPS = {
    "en": "{} of 10 lookups, {} of 2 found nothing",
    "id": "{} dari 10 pencarian, {} dari 2 tidak menemukan apa pun",
}
_VOUCHED = {"en": "{}, who is trusted, vouches for it", "id": "{}, yang dipercaya, menjaminnya"}
_RECORD = {"en": "{}, record of {}", "id": "{}, catatan {}"}
_SEAL = {"en": "{}, set {}", "id": "{}, set {}"}
_CLAIMS = {
    "en": {
        "none": "it found no chain before it",
        "pass": "it found the chain before it good",
        "fail": "it found the chain before it broken",
    },
    "id": {
        "none": "ia tidak menemukan rantai sebelumnya",
        "pass": "ia mendapati rantai sebelumnya baik",
        "fail": "ia mendapati rantai sebelumnya rusak",
    },
}
_UNSEEN = {"en": "not checked", "id": "tidak diperiksa"}
_NO_RECORD = {"en": "no record", "id": "tidak ada catatan"}
_NO_ANSWER = {"en": "the DNS did not answer for now", "id": "DNS saat itu tidak menjawab"}
_LEFT_OFF = {
    "en": ("{}, left off", "{} more were seen, for which there was no room"),
    "id": ("{}, tidak dimuat", "{} lagi dilihat, tetapi tidak ada tempat"),
}

# What the checks say of their own accord, each as a pattern for the whole of it.
_INDONESIAN = {
    # DMARC, and how a domain stands to the one in From
    "no record": "tidak ada catatan",
    "the same domain": "domain yang sama",
    "the same organizational domain": "domain organisasi yang sama",
    "another organization": "organisasi lain",
    "another domain, and the record asks for the same": "domain lain, padahal catatan meminta sama",
    "the DNS had no answer": "DNS tidak menjawab",
    "(.+) passed for the same domain": "{0} lulus untuk domain yang sama",
    "(.+) passed for the same organizational domain": "{0} lulus untuk domain organisasi yang sama",
    "neither SPF nor DKIM passed": "SPF maupun DKIM tidak lulus",
    "SPF and DKIM of the domain did not pass": "SPF dan DKIM domain itu tidak lulus",
    "what passed is of other domains": "yang lulus milik domain lain",
    "SPF or DKIM of the domain could not be checked now": (
        "SPF atau DKIM domain itu sekarang tidak dapat diperiksa"
    ),
    "whether a domain is aligned could not be asked for": (
        "apakah domainnya selaras sekarang tidak dapat ditanyakan"
    ),
    "the record is longer than the (.+) characters that are kept": (
        "catatan lebih panjang daripada {0} karakter yang disimpan"
    ),
    "the record could not be asked for": "catatannya sekarang tidak dapat ditanyakan",
    "the record has no policy that can be read": "kebijakan dalam catatan tidak dapat dibaca",
    "the tag (.+) is void": "tag {0} tidak berlaku",
    "(.+) records at (.+), where there must be one": "{0} catatan di {1}, padahal harus satu",
    "there is no From field": "tidak ada kolom From",
    "there are several From fields": "ada beberapa kolom From",
    "the From field cannot be read without doubt": "kolom From tidak dapat dibaca dengan pasti",
    "the From field has no address": "kolom From tidak berisi alamat",
    "the From field has addresses of several domains": "kolom From berisi alamat beberapa domain",
    "the address in From has no domain": "alamat di From tidak punya domain",
    # SPF
    "the record allows the host": "catatan mengizinkan host itu",
    "the record does not allow the host": "catatan tidak mengizinkan host itu",
    "the record probably does not allow the host": "catatan mungkin tidak mengizinkan host itu",
    "the record says nothing about the host": "catatan tidak menyebut host itu",
    "no mechanism matched": "tidak ada mekanisme yang cocok",
    "there is no domain to ask about": "tidak ada domain untuk ditanyakan",
    "the domain has no record": "domain itu tidak punya catatan",
    "the domain has more than one record": "domain itu punya lebih dari satu catatan",
    "a domain has more than ten MX records": "sebuah domain punya lebih dari sepuluh catatan MX",
    "a record refers to a domain that has no record": "catatan merujuk domain tanpa catatan",
    "a record refers to a domain that cannot be": "catatan merujuk domain yang tidak mungkin ada",
    "more than ten lookups": "lebih dari sepuluh pencarian",
    "more than two lookups found nothing": "lebih dari dua pencarian tidak menemukan apa pun",
    "the DNS did not answer for now": "DNS sekarang tidak menjawab",
    "the client has no IP address": "klien tidak punya alamat IP",
    "the record is not ASCII": "catatan bukan ASCII",
    "the record has (.+) twice": "catatan memuat {0} dua kali",
    "the record has a syntax error": "catatan salah tulis",
    "the record is too long": "catatan terlalu panjang",
    "the records are too long together": "semua catatan bersama terlalu panjang",
    "the names have too many addresses together": "semua nama bersama punya terlalu banyak alamat",
    # DKIM
    "the message has no signature: nothing in it proves who wrote it": (
        "pesan ini tidak ditandatangani: tidak ada apa pun di dalamnya yang membuktikan siapa"
        " penulisnya"
    ),
    "the header was altered, or the key is another one": "kepala diubah, atau kuncinya lain",
    "header and body were altered, or the key is another one": (
        "kepala dan isi diubah, atau kuncinya lain"
    ),
    "the body was altered": "isi diubah",
    "the header is as it was signed": "kepala masih seperti saat ditandatangani",
    "the body is shorter than what was signed": "isi lebih pendek daripada yang ditandatangani",
    "the end of the body is not signed": "akhir isi tidak ditandatangani",
    "the signature has expired": "tanda tangan sudah kedaluwarsa",
    "the signature expires before it was made": "tanda tangan kedaluwarsa sebelum dibuat",
    "the signature is of another version": "tanda tangan versi lain",
    "the signature cannot be read: .*": "tanda tangan tidak dapat dibaca",
    "the signature lacks (.+)=": "tanda tangan tidak punya {0}=",
    "the key could not be asked for": "kuncinya sekarang tidak dapat ditanyakan",
    "there is no key in the DNS": "tidak ada kunci di DNS",
    "the key's record is too long": "catatan kunci terlalu panjang",
    "the key's record cannot be read": "catatan kunci tidak dapat dibaca",
    "the key's record is not of DKIM": "catatan kunci bukan milik DKIM",
    "the key is for another algorithm": "kunci untuk algoritma lain",
    "the key is not for SHA-256": "kunci bukan untuk SHA-256",
    "the key is not for mail": "kunci bukan untuk email",
    "the key is for reports about TLS alone": "kunci hanya untuk laporan tentang TLS",
    "the key is not for domains below": "kunci tidak berlaku untuk subdomain",
    "the record has no key": "catatan tidak berisi kunci",
    "the key is revoked": "kunci sudah dicabut",
    "the key is not base64": "kunci bukan base64",
    "the key is not a key": "kunci tidak sah",
    "the key is not to be had from the DNS": "kunci tidak dapat diambil dari DNS",
    "a key of (.+) bits is not accepted": "kunci {0} bit tidak diterima",
    "the key's exponent is not accepted": "eksponen kunci tidak diterima",
    "SHA-1 proves nothing any more": "SHA-1 tidak membuktikan apa-apa lagi",
    "the algorithm is not known": "algoritma tidak dikenal",
    "the canonicalization is not known": "kanonikalisasi tidak dikenal",
    "(.+)= is not base64 of a signature": "{0}= bukan base64 sebuah tanda tangan",
    "d= is not a domain": "d= bukan domain",
    "s= and d= make no name of the DNS": "s= dan d= bukan nama DNS",
    "(.+)= is not a time": "{0}= bukan waktu",
    "l= is not a number": "l= bukan bilangan",
    "i= is not an identity": "i= bukan identitas",
    "i= is not in the signature's domain": "i= tidak termasuk domain tanda tangan",
    "h= is not a list of header fields": "h= bukan daftar kolom kepala",
    "more than (.+) header fields in h=": "lebih dari {0} kolom kepala di h=",
    "From is not signed": "From tidak ditandatangani",
    # ARC
    "the message: (.+)": "pesannya: {0}",
    "what it seals was altered, or the key is another one": (
        "yang disegel diubah, atau kuncinya lain"
    ),
    "the newest host found the chain broken": "host terbaru mendapati rantainya rusak",
    "the newest signature of the message: (.+)": "tanda tangan terbaru: {0}",
    "set (.+) lacks its (.+)": "set {0} tidak punya {1}",
    "a part of a set cannot be read: .*": "ada bagian yang tidak dapat dibaca",
    "a part of a set has no number": "ada bagian tanpa nomor",
    "a part of set (.+) is there twice": "ada bagian set {0} yang ganda",
    "the seal of set (.+) has h=, which it must not": (
        "segel set {0} memuat h=, padahal tidak boleh"
    ),
    "the seal of set (.+) does not say what it must of the chain before it": (
        "segel set {0} tidak menyatakan yang seharusnya tentang rantai sebelumnya"
    ),
    "the seal of set ([0-9]+): (.+)": "segel set {0}: {1}",
    "a signature of the message covers seals, which it must not": (
        "tanda tangan pesan mencakup segel, padahal tidak boleh"
    ),
    "more than (.+) sets": "lebih dari {0} set",
    "the sets have more tags than are read": (
        "semua set bersama punya lebih banyak tag daripada yang dibaca"
    ),
}
_PATTERNS = [(re.compile(said), words) for said, words in _INDONESIAN.items()]


def told(check: Check, language: str) -> tuple[str, str]:
    """A label and what is said of one check; strangers' words in it are not yet made safe."""
    pieces = [
        f"{check.result} {_named(check.about, check.selector)}".rstrip(),
        _said(check.alignment, language),
        *(_said(piece, language) for piece in check.why.split("; ")),
        check.mechanism,
        _lookups(check, language),
        _ASKS[language].get(check.asks, ""),
        _VOUCHED[language].format(check.vouched) if check.vouched else "",
        check.record,
    ]
    return _label(check, language), "; ".join(piece for piece in pieces if piece)


def _label(check: Check, language: str) -> str:
    label = _LABELS.get(language, {}).get(check.method) or _METHODS.get(check.method, check.method)
    return f"{label} (HELO)" if check.identity == "helo" else label


def evidence(check: Check, language: str) -> Iterator[tuple[str, str]]:
    """A line each of what one check went by, beside what `told` says: a label and a text, in which
    strangers' words are not yet made safe."""
    method = _label(check, language)
    for seal in check.seals:
        yield _SEAL[language].format(method, seal.instance), _sealed(seal, language)
    for one in check.seen:
        yield _RECORD[language].format(method, one.name), _found(one, language)
    if check.left_off:
        label, text = _LEFT_OFF[language]
        yield label.format(method), text.format(check.left_off)


def _sealed(seal: SealSeen, language: str) -> str:
    claims = _CLAIMS[language].get(seal.claims, "")
    pieces = [
        f"{seal.result or _UNSEEN[language]} {_named(seal.sealer, seal.selector)}".rstrip(),
        f"{claims} (cv={seal.claims})".lstrip() if seal.claims else "",
    ]
    return "; ".join(filter(None, pieces))


def _found(one: RecordSeen, language: str) -> str:
    if one.record:
        return one.record
    return (_NO_RECORD if one.answered else _NO_ANSWER)[language]


def _named(domain: str, selector: str) -> str:
    return f"{domain} ({selector})" if selector else domain


def _lookups(check: Check, language: str) -> str:
    """What may be ten and two (RFC 7208 §4.6.4); records that come near break one day."""
    if not check.lookups:
        return ""
    return _LOOKUPS[language].format(check.lookups, check.void_lookups)


def _said(why: str, language: str) -> str:
    if language == "en":
        return why
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(why):
            return words.format(*(_said(group, language) for group in found.groups()))
    return why
