"""What operators and programs of this machine hand in: control socket, merpati.toml, sendmail."""

import asyncio
import base64
import io
import json
import sys
import tempfile
from contextlib import AsyncExitStack, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import msgspec
from aiohttp import web

from merpati.api import http, operations
from merpati.api.client import read_answer
from merpati.api.errors import ApiError
from merpati.api.operations import OPERATIONS
from merpati.cli import sendmail as faced
from merpati.cli.context import Refused
from merpati.config.check import check
from merpati.config.errors import ConfigError
from merpati.config.read import read
from merpati.config.settings import load
from merpati.config.values import Domain, Duration, Mailbox, Network, Size
from merpati.config.values import Target as Route
from merpati.dns.key import KeyFileError, read_key
from merpati.mail.address import Address
from merpati.mail.headers import Headers
from merpati.setup.autoconfig import MailHosts, asked_address, outlook
from merpati.system.office import own_counter
from tests.fuzz.target import Target

# `stop` and `reload` have no question; a secret is hashed for 25 ms on purpose.
_ASKED = [one for one in OPERATIONS if one.name not in ("users/add", "passwords/set")]


class Counter:
    """An office over stores of its own, on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._opened = AsyncExitStack()
        self._folder = tempfile.TemporaryDirectory(prefix="merpati-fuzz-")
        self.counter = self.loop.run_until_complete(self._open())

    async def _open(self) -> operations.Counter:
        file = Path(self._folder.name) / "merpati.toml"
        file.write_text('hostname = "mx.a.test"\n')
        counter = await self._opened.enter_async_context(own_counter(load(file)))
        assert counter is not None
        return counter

    def close(self) -> None:
        """Give everything back, or its threads keep the process."""
        self.loop.run_until_complete(self._opened.aclose())
        self.loop.close()
        self._folder.cleanup()


@cache
def _counter() -> Counter:
    return Counter()


def close() -> None:
    """Close what `control` has opened."""
    if _counter.cache_info().currsize:
        _counter().close()
        _counter.cache_clear()


@dataclass(frozen=True, slots=True)
class Asked:
    """As much of a request as the door looks at."""

    octets: bytes

    @property
    def content_length(self) -> int:
        return len(self.octets)

    async def read(self) -> bytes:
        return self.octets


def control(octets: bytes) -> None:
    """First octet: the operation. Any question is answered, or told what is wrong with it."""
    if not octets:
        return
    counter = _counter()
    operation = _ASKED[octets[0] % len(_ASKED)]
    answer = http._answer(counter.counter, operation)
    request = cast(web.Request, Asked(octets[1:]))
    response = counter.loop.run_until_complete(answer(request))
    assert response.status in {200, 400, 404, 409, 413, 422}
    assert isinstance(response.body, bytes)
    told = json.loads(response.body)
    if response.status != 200:
        assert told["error"]
    else:
        msgspec.json.decode(response.body, type=operation.answer)


def control_answer(octets: bytes) -> None:
    """First octet: the operation. What a server's socket says is an answer or an ApiError."""
    if not octets:
        return
    operation = OPERATIONS[octets[0] % len(OPERATIONS)]
    try:
        read_answer(operation, octets[1:])
    except ApiError as error:
        assert str(error)


def toml(octets: bytes) -> None:
    """A merpati.toml is read, or every flaw is said on a line of its own."""
    text = octets[:8192].decode("utf-8", "replace")
    try:
        document, lines = read(text, "merpati.toml")
        flaws = check(document, lines)
    except ConfigError as error:
        flaws = list(error.flaws)
        assert flaws
    for flaw in flaws:
        assert flaw.line <= text.count("\n") + text.count("\r") + 1
        assert "\n" not in flaw.tell("merpati.toml")


_VALUES = (Duration, Size, Network, Mailbox, Domain, Route)


def value(octets: bytes) -> None:
    """A value of merpati.toml that is read is written as what reads the same."""
    if not octets:
        return
    kind = _VALUES[octets[0] % len(_VALUES)]
    text = octets[1:].decode("utf-8", "replace")
    try:
        found = kind.parse(text)
    except ValueError:
        return
    assert kind.parse(str(found)) == found


def update_key(octets: bytes) -> None:
    """A file with a key for changes of a zone is a key, which reads the same written anew, or is
    told to be none without its secret."""
    text = octets[:8192].decode("ascii", "replace")
    try:
        key = read_key(text)
    except KeyFileError as error:
        assert len(str(error)) < 200
        return
    secret = base64.b64encode(key.secret).decode()
    assert secret not in repr(key)
    written = f'key "{key.name}" {{ algorithm {key.algorithm.value}; secret "{secret}"; }};'
    assert read_key(written) == key


def autodiscover(octets: bytes) -> None:
    """Whatever is posted asks for the settings of one address, or of none; the answer is XML that
    has the address and nothing else of the question."""
    address = asked_address(octets)
    if address is None:
        return
    root = ElementTree.fromstring(outlook(MailHosts("a.test", "mx.a.test", 465), address))
    logins = [one.text for one in root.iter() if one.tag.endswith("}LoginName")]
    assert logins == [str(address)]


def sendmail(octets: bytes) -> None:
    """Lines: a recipient, a sender, a name, -N; then the message. It is whole, or refused."""
    to, sender, name, notify, content = (*octets.split(b"\n", 4), *[b""] * 5)[:5]
    words = [one.decode("utf-8", "surrogateescape") for one in (to, sender, name, notify)]
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(content))
    try:
        with redirect_stdout(io.StringIO()):
            _hand_in(words, dot_ends=bool(len(to) % 2))
    except Refused as error:
        assert error.message
    finally:
        sys.stdin = before


def _hand_in(words: list[str], *, dot_ends: bool) -> None:
    to, sender, name, notify = words
    message = faced.Message(faced._read(dot_ends))
    named = [*faced._recipients([to], "mx.test"), *message.recipients()]
    for one in named:
        assert Address.parse(str(one)) == one
    complete = message.complete(faced._sender(sender, "mx.test"), name)
    faced._notify(notify)
    headers = Headers.scan(complete)
    assert headers.count("bcc") == headers.count("resent-bcc") == 0
    assert headers.count("from") >= 1 or headers.truncated
    lines = complete.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(b"\r" in line or b"\n" in line for line in lines)


_JSON = (
    b'{"filter":{"ids":["01J"]}}', b'{"filter":{},"limit":1}', b'{"name":"a.test"}', b"{}", b"{",
    b"}", b'{"message":"01J"}', b'"address":"ann@a.test"', b'"after":["x",1]', b'"older":1e308',
    b":", b",",
    b'{"sender":"ann@a.test","recipients":["b@b.test"],"content":"U3ViamVjdDogeA0KDQo="}', b"[",
    b"]", b'{"alias":"x@a.test","targets":["b@b.test"]}', b'{"site":"b.test","seconds":5}', b'"',
    b"null", b'"domain":"', b'"\\ud800"', b'"\\u0000"', b"\xff", b"9" * 400, b"-1", b"1.5",
    b"true", b"[" * 500, b'"state":"held"', b'"id":"', b'"octets":5', b'"envelope_id":"\xc3\xa9"',
    b'"action":"hold"',
)  # fmt: skip
_HTTP = (
    b"HTTP/1.0 200 OK\r\n", b"\r\n\r\n", b"HTTP/1.1 422 x\r\n\r\n", b'{"error":"x"}', *_JSON,
    b"HTTP/1.0 404 x\r\n\r\n", b"HTTP/1.0 " + b"9" * 5000,
)  # fmt: skip
_TOML = (
    b'hostname = "mx.a.test"\n', b"[[port]]\n", b'role = "mx"\n', b'listen = "127.0.0.1:25"\n',
    b"[tls]\n", b'trusted = ["10.0.0.0/8"]\n', b"[[route]]\n", b'match = ["*"]\n',
    b'to = "smtp://a.test:25"\n', b"[limits]\n", b"[queue]\n", b'retry = ["1m"]\n', b"inf",
    b"nan", b"1979-05-27", b'"""\n', b"'''", b"=", b" = ", b"[", b"]", b"{", b"}", b"a.b.c", b'"',
    b"\n", b"#", b'max_size = "9999999999g"\n', b'to = "lmtp:unix:/x"\n', b"[http]\n", b"[dns]\n",
    b'servers = ["[::1]:53"]\n', b"\xff", b"\r", b"9" * 5000,
)  # fmt: skip
_TEXTS = (
    b"15m", b"1e400s", b"64KiB", b"10.0.0.0/8", b"2001:db8::/32", b"ann@a.test", b"*.a.test",
    b"*", b"smtp://a.test:25", b"lmtp:unix:/run/x", b"mx:", b"smtps://[::1]:465", b"9" * 5000,
    b".5", b"s", b"%", "٣".encode(), "ü".encode(), b"/", b":", b"@", b" ", b"unix:", b"?", b"#",
    b"\0", b"[", b"]",
)  # fmt: skip
_MAIL = (
    b"ann@a.test", b"\n", b"Ann <ann@a.test>", b",", b"<>", b"never", b"success,failure",
    b"Subject: x\n", b"From: a@a.test\n", b"Bcc: b@b.test\n", b"Resent-Bcc: b\n", b"From x Mon\n",
    b"\n\n", b".\n", b"\r", b"\0", b"To: c@c.test\n", b" ", b"\xff", "é".encode(), b'"', b"(",
    b"BCC : x@y.test\n", b"\r\n", b"\n .",
)  # fmt: skip

_QUESTION = (
    *(b"<EMailAddress>", b"</EMailAddress>", b"<Request>", b"ann@a.test", b"@", b'"', b"&amp;"),
    b"<!DOCTYPE x [<!ENTITY e 'x'>]>",
    b"<EMailAddress>ann@a.test</EMailAddress>",
    b'<EMailAddress>"a&b"@a.test</EMailAddress>',
)
_KEY = (
    *(b'key "', b'"k"', b"{", b"}", b";", b"algorithm ", b"hmac-sha256", b'secret "'),
    *(b"MTIzNDU2Nzg5MDEyMzQ1Ng==", b"//", b"#", b"/*", b"*/", b"\n", b'"', b" "),
    b'key "k" { algorithm hmac-sha512; secret "MTIzNDU2Nzg5MDEyMzQ1Ng=="; };',
)
TARGETS = (
    Target("control", control, _JSON, longest=4096, head=b"\x00"),
    Target("control_answer", control_answer, _HTTP, head=b"\x00"),
    # Nine octets, `[[route]]`, are a table of all its settings; the file is the operator's own.
    Target("toml", toml, _TOML, longest=8192, room=6 * 1024 * 1024),
    Target("value", value, _TEXTS, head=b"\x00"),
    Target("update_key", update_key, _KEY, longest=8192),
    Target("autodiscover", autodiscover, _QUESTION, longest=8192),
    Target("sendmail", sendmail, _MAIL, head=b"\n\n\n\n"),
)
