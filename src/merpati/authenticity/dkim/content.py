"""A message's content that comes in parts, split into its header section and its body."""

from collections.abc import Callable

from merpati.mail.headers import MAX_OCTETS, Headers

_BLANK = b"\r\n"
_END = b"\r\n\r\n"


class Content:
    """Feed it parts of any size. Of the body nothing is kept: each part is passed on as it comes.

    `begin` is called with the header section as soon as that is whole, and returns what is to be
    given the body; it is called at the latest by `finish`.
    """

    def __init__(self, begin: Callable[[Headers], Callable[[bytes], object]]) -> None:
        self._begin = begin
        self._head = bytearray()  # grows by any number of small parts without being copied
        self._body: Callable[[bytes], object] | None = None

    def update(self, part: bytes) -> None:
        """The next octets."""
        if self._body is not None:
            self._body(part)
            return
        start = max(0, len(self._head) - len(_END) + 1)
        self._head += part
        is_whole = self._head.find(_END, start) >= 0 or self._head.startswith(_BLANK)
        if is_whole or len(self._head) > MAX_OCTETS:
            self._split()

    def finish(self) -> None:
        """There is no more."""
        if self._body is None:
            self._split()

    def _split(self) -> None:
        head, self._head = bytes(self._head), bytearray()
        headers = Headers.scan(head)
        self._body = self._begin(headers)
        if len(head) > headers.size:
            self._body(head[headers.size :])
