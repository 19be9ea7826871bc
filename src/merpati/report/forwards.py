"""How it is told under whose name a stranger's message goes on to another server."""

from merpati.journal.events import Forward

_LABELS = {"en": "sent on to", "id": "diteruskan ke"}
_AS = {"en": "{address}, as {sender}", "id": "{address}, sebagai {sender}"}
_KEPT = {
    "en": {
        "null": "{address}, as a notice without a sender",
        "ours": "{address}; the sender is of a domain here and stays",
        "off": "{address}; the sender stays ([forwarding] rewrite_sender), so SPF fails there",
        "unproved": "{address}; the sender stays, since nothing proves the domain in From, which "
        "our name would vouch for",
        "too-long": "{address}; the sender is too long to be rewritten and stays, so SPF fails "
        "there",
    },
    "id": {
        "null": "{address}, sebagai pemberitahuan tanpa pengirim",
        "ours": "{address}; pengirimnya dari domain di sini dan tidak diganti",
        "off": "{address}; pengirim tidak diganti ([forwarding] rewrite_sender), jadi SPF gagal "
        "di sana",
        "unproved": "{address}; pengirim tidak diganti karena domain di From tidak terbukti, "
        "padahal nama kami akan menjaminnya",
        "too-long": "{address}; pengirim terlalu panjang untuk diganti, jadi SPF gagal di sana",
    },
}
_LOST = {
    "en": {
        "none": "DMARC will fail there: only SPF vouches for the author",
        "quarantine": "DMARC will fail there, and the author's domain asks to put it in quarantine",
        "reject": "DMARC will fail there, and the author's domain asks to refuse it",
    },
    "id": {
        "none": "DMARC akan gagal di sana: hanya SPF yang menjamin penulisnya",
        "quarantine": "DMARC akan gagal di sana, dan domain penulis meminta agar dikarantina",
        "reject": "DMARC akan gagal di sana, dan domain penulis meminta agar ditolak",
    },
}


_FORGED = {
    "en": "SPF or DMARC says that the sender is forged, so nobody is told if it fails",
    "id": "SPF atau DMARC menyatakan pengirimnya palsu, jadi tidak ada yang diberi tahu jika gagal",
}


def told(forward: Forward, language: str) -> tuple[str, str]:
    """Label and text of one recipient elsewhere."""
    text = _KEPT[language].get(forward.kept, _AS[language])
    words = [text.format(address=forward.address, sender=forward.sender or "?")]
    if lost := _LOST[language].get(forward.lost):
        words.append(lost)
    if forward.forged:
        words.append(_FORGED[language])
    return _LABELS[language], "; ".join(words)


def cause(forwards: tuple[Forward, ...]) -> str:
    """What to advise when a copy fails DMARC, as a key of `diagnosis`; empty: nothing."""
    lost = {forward.lost for forward in forwards}
    if lost & {"quarantine", "reject"}:
        return "forward-dmarc"
    return "forward-unaligned" if "none" in lost else ""
