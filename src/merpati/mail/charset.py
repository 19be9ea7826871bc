"""From octets to text by the charset that a stranger names, without trusting the name.

Python knows codecs that are no charsets of mail (some slow on purpose-made input), so names are
held against a list of families first.
"""

import codecs
import re

_KNOWN = re.compile(
    r"(?:us-)?ascii|utf-?(?:7|8|8-sig|16|32)(?:-?[lb]e)?|iso-?8859-?\d{1,2}(?:-[ei])?|latin-?\d{1,2}"
    r"|windows-?(?:874|125\d)|cp-?\d{3,4}|koi8-[rtu]|iso-2022-(?:jp(?:-[123]|-ext|-2004)?|kr)"
    r"|euc-?(?:jp|kr|cn)|gb2312|gbk|gb18030|hz(?:-gb-2312)?|big5(?:-?hkscs)?|shift[_-]?jis|sjis"
    r"|ks_c_5601-1987|tis-620|mac-?(?:roman|cyrillic|greek|latin2|turkish)|viscii",
    re.IGNORECASE,
)
_MAX_NAME = 40
# UTF-7 can spell half a surrogate pair, which is no character and cannot be written anywhere.
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(octets: bytes, charset: str = "") -> str:
    """The text; by its charset if that is known, else UTF-8, else Latin-1. Never raises, and what
    it gives can always be encoded."""
    for name in (charset, "utf-8"):
        if _is_known(name):
            try:
                return _SURROGATE.sub("\ufffd", octets.decode(name))
            except UnicodeDecodeError:
                continue
    return octets.decode("latin-1")


def _is_known(charset: str) -> bool:
    if len(charset) > _MAX_NAME or not _KNOWN.fullmatch(charset):
        return False
    try:
        codecs.lookup(charset)
    except LookupError:
        return False
    return True
