"""Names and passwords made comparable before they are compared: SASLprep (RFC 4013)."""

import stringprep
import unicodedata

from merpati.smtp.sasl.exchange import SaslError

MAX_NAME = 320
"""Characters of a username: a local part of 64, an at sign, a domain of 255."""
MAX_PASSWORD = 1024

# RFC 4013 §2.3.
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare(text: str) -> str:
    """The prepared form of a string. Raises SaslError for what may not stand in one."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(prohibited(character) for character in prepared for prohibited in _PROHIBITED):
        raise SaslError("a character that may not be used")
    _check_directions(prepared)
    return prepared


def _check_directions(text: str) -> None:
    """RFC 3454 §6: text that runs right to left does so from its first to its last character."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    ends_right = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    if any(map(stringprep.in_table_d2, text)) or not ends_right:
        raise SaslError("text of mixed directions")


def decode(octets: bytes) -> str:
    """UTF-8 to text. Raises SaslError."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("not UTF-8") from None


def username_of(text: str) -> str:
    """A username fit to look up. Raises SaslError for empty, long or unprintable ones."""
    name = prepare(text)
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise SaslError("not a username")
    return name


def password_of(text: str) -> str:
    """A password fit to verify. Raises SaslError for empty and long ones."""
    password = prepare(text)
    if not password or len(password) > MAX_PASSWORD:
        raise SaslError("not a password")
    return password
