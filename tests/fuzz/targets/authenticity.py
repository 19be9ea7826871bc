"""What tells who sent a message: lists of tags in signatures and in records of the DNS."""

from merpati.authenticity.tags import TagError, parse_tags, parse_tags_leniently
from tests.fuzz.target import Target


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


_TAGS = (b"v=DKIM1", b"a=rsa-sha256", b";", b"=", b" ", b"\r\n\t", b"p=", b"b", b"\xc3\xbc", b"_")

TARGETS = (Target("tags", tags, _TAGS),)
