"""One connection to an LDAP server: StartTLS, bind, search (RFC 4511)."""

from dataclasses import dataclass

from merpati.identity.ldap.ber import (
    BOOLEAN,
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    BerError,
    Element,
    encode,
    integer,
    read,
)
from merpati.wire.errors import WireError, WireLost
from merpati.wire.stream import Stream

# RFC 4511 §4.2 to §4.14: tags of the application.
_BIND, _BOUND, _UNBIND = 0x60, 0x61, 0x42
_SEARCH, _ENTRY, _SEARCHED, _REFERENCE = 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_DONE = 0x77, 0x78
_SIMPLE = 0x80
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_WHOLE_TREE, _NEVER = 2, 0
_NO_ATTRIBUTES = b"1.1"  # RFC 4511 §4.5.1.8
_MOST_OCTETS = 64 * 1024
_MOST_MESSAGES = 100
_MOST_ENTRIES = 2
"""Of a search: more than one are as wrong as a hundred."""


class LdapError(WireError):
    """The server's answer is none that can be used."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an operation ended (RFC 4511 §4.1.9)."""

    code: int
    text: str = ""
    """The server's own words."""


class Conversation:
    """One operation after the other. Raises WireError."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unread = b""
        self._number = 0

    async def start_tls(self, context: object, server_name: str) -> None:
        """Encrypt, and see that the server is who it should be."""
        result = _result(
            await self._ask(encode(_EXTENDED, encode(0x80, _START_TLS)), _EXTENDED_DONE)
        )
        if result.code:
            raise LdapError(f"the server does not want StartTLS ({result.code} {result.text})")
        if self._unread or self._stream.pending:
            raise LdapError("the server says something behind StartTLS, in plain text")
        await self._stream.secure(context, server_name)

    async def bind(self, name: str, password: str) -> Result:
        """Say who we are. Neither may be empty: such a bind succeeds and proves nothing
        (RFC 4513 §5.1.2), so that ValueError is raised for it."""
        if not name or not password:
            raise ValueError("a bind without a name or a password proves nothing")
        simple = encode(_SIMPLE, password.encode())
        request = encode(_BIND, integer(3), encode(OCTETS, name.encode()), simple)
        return _result(await self._ask(request, _BOUND))

    async def search(self, base: str, wanted: bytes) -> list[str]:
        """Names of up to two entries below `base` that a filter (BER) fits. Referrals are not
        followed."""
        self._send(
            encode(
                _SEARCH,
                encode(OCTETS, base.encode()),
                integer(_WHOLE_TREE, ENUMERATED),
                integer(_NEVER, ENUMERATED),
                integer(_MOST_ENTRIES),
                integer(0),
                encode(BOOLEAN, b"\x00"),
                wanted,
                encode(SEQUENCE, encode(OCTETS, _NO_ATTRIBUTES)),
            )
        )
        found: list[str] = []
        for _ in range(_MOST_MESSAGES):
            answer = await self._receive()
            if answer.tag == _ENTRY:
                found.append(_entry(answer))
            elif answer.tag == _SEARCHED:
                _check_search(_result(answer))
                return found
            elif answer.tag != _REFERENCE:
                raise LdapError(f"an answer that no search has (tag {answer.tag:#x})")
        raise LdapError("a search without an end")

    def unbind(self) -> None:
        """The end of it; nothing is answered."""
        self._send(bytes((_UNBIND, 0)))

    async def _ask(self, request: bytes, expected: int) -> Element:
        self._send(request)
        answer = await self._receive()
        if answer.tag != expected:
            raise LdapError(f"an answer to something else (tag {answer.tag:#x})")
        return answer

    def _send(self, request: bytes) -> None:
        self._number += 1
        self._stream.write(encode(SEQUENCE, integer(self._number), request))

    async def _receive(self) -> Element:
        """The next answer to the last question."""
        try:
            while (found := read(self._unread, _MOST_OCTETS)) is None:
                octets = await self._stream.read()
                if not octets:
                    raise WireLost("the server closed the connection")
                self._unread += octets
            message, end = found
            self._unread = self._unread[end:]
            number, operation = message.elements()[:2]
            if number.number != self._number:
                # Number 0 is a notice that the server hangs up (RFC 4511 §4.4.1).
                raise LdapError("the server has something else to say")
        except (BerError, ValueError) as error:
            raise LdapError(f"no LDAP: {error}") from error
        return operation


def _result(answer: Element) -> Result:
    try:
        code, _, text = answer.elements()[:3]
        return Result(code.number, text.octets.decode("utf-8", "replace"))
    except (BerError, ValueError) as error:
        raise LdapError(f"no result: {error}") from error


def _entry(answer: Element) -> str:
    try:
        return answer.elements()[0].octets.decode()
    except (BerError, ValueError, IndexError) as error:
        raise LdapError("an entry without a name") from error


def _check_search(result: Result) -> None:
    # 4: there are more than the two that were asked for, which the caller sees. 32: no such base.
    if result.code not in {0, 4}:
        raise LdapError(f"the search failed ({result.code} {result.text})")
