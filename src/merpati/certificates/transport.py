"""HTTP to a CA, that leads to the CA and nowhere else, and ends.

The library follows redirects and reads whatever comes. Here every request goes to the host of the
directory that the operator named, since other hosts in a CA's answers would make us a tool against
our own network (SSRF); no redirect is followed, nothing is decompressed, no proxy or password of
the environment is used, and size and time are bounded.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests

from merpati.certificates.errors import AcmeError

LONGEST = 256 * 1024
"""Octets of an answer: a chain has 10 KB."""
_PIECE = 16 * 1024
_SECONDS = 30.0
"""For one request; an answer that trickles ends there as well."""


class CaSession(requests.Session):
    """What the library sends its requests by."""

    def __init__(self, directory: str, monotonic: Callable[[], float]) -> None:
        """Of the CA with this directory."""
        super().__init__()
        self._place = _place(directory)
        self._monotonic = monotonic
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"
        self.retry_after: float | None = None
        """What the last answer asked for, seconds."""

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """One request, its answer read. AcmeError, or what `requests` raises."""
        if _place(str(url)) != self._place:
            raise AcmeError(f"the CA leads away from its own host, to {url!s:.200}")
        options |= {"allow_redirects": False, "stream": True, "timeout": _SECONDS}
        end = self._monotonic() + _SECONDS
        response = super().request(method, url, *args, **options)
        try:
            if response.is_redirect or 300 <= response.status_code < 400:
                raise AcmeError(f"{url!s:.200} leads elsewhere: redirects are not followed")
            self.retry_after = _seconds(response.headers.get("Retry-After"))
            # What `content` gives back once it has been read.
            response._content = self._body(response, end)
        finally:
            response.close()
        return response

    def _body(self, response: requests.Response, end: float) -> bytes:
        body = bytearray()
        while piece := response.raw.read1(_PIECE, decode_content=False):
            body += piece
            if len(body) > LONGEST:
                raise AcmeError(f"an answer of the CA is longer than {LONGEST} octets")
            if self._monotonic() > end:
                raise AcmeError(f"the CA gave no whole answer within {_SECONDS:g} s")
        return bytes(body)


def _place(url: str) -> tuple[str, str]:
    """Scheme and host with port; AcmeError for what is no https URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError as error:
        raise AcmeError(f"the CA names {url:.200}, which is no URL") from error
    if parts.scheme != "https" or not host or parts.username:
        raise AcmeError(f"the CA names {url:.200}, which is no URL of https")
    return host.lower(), str(port)


def _seconds(text: str | None) -> float | None:
    """Of Retry-After; a date is as if it were not there, and our own waits are long enough."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
