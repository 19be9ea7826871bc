"""Whether what stands in the DNS is the record of a DKIM key of ours."""

from merpati.authenticity.dkim.record import KeyRecord, read_record
from merpati.authenticity.dkim.signature import KEY_TYPES, SignatureError


def published(text: str, own: str) -> KeyRecord | None:
    """A record as verifiers read it, if they verify by it what the key in our own signs.

    Other tags may differ: `k=rsa` can be left out, and limits can be added that our mail keeps.
    """
    for algorithm in KEY_TYPES:
        try:
            there, ours = (read_record(one.encode(), algorithm) for one in (text, own))
        except SignatureError:
            continue
        if there.key == ours.key:
            return there
    return None
