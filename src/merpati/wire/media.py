"""Media types of what comes over HTTP."""

_LONGEST = 200
"""Characters that are looked at: no type is longer (RFC 6838 §4.2)."""


def media_type(field: str) -> str:
    """The type of a Content-Type field, such as "text/plain", without its parameters (RFC 9110
    §8.3.1).

    Instead of the library's own reading, which takes half a second for what a stranger can write
    into the field, or does not come back from it.
    """
    return field[:_LONGEST].partition(";")[0].strip().lower()
