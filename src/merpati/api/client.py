"""Asks a running server over its control socket.

Commands use it, so it stands on asyncio's streams alone: aiohttp would triple their start-up.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from merpati.api.errors import ApiError, Late, Mistaken, Unknown, Unreachable
from merpati.api.operations import A, Operation, Q

_HEAD_LIMIT = 64 * 1024
# A hash of a password and a commit on a sick disk take their time; nothing takes longer.
_PATIENCE = 120.0
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |$)")


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path to the same file that fits into a socket address.

    A socket's path has room for 107 octets; a data directory can lie deeper than that.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class RemoteCounter:
    """Puts questions to the server that listens on a control socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, operation: Operation[Q, A], question: Q) -> A:
        """The server's answer, or the error it told."""
        try:
            async with asyncio.timeout(_PATIENCE):
                octets = await self._exchange(operation.name, msgspec.json.encode(question))
        except TimeoutError as error:
            raise Late(f"the server gave no answer for {_PATIENCE:g} s") from error
        return read_answer(operation, octets)

    async def answers(self) -> bool:
        """Whether a server listens there now."""
        try:
            _, writer = await self._connect()
        except Unreachable:
            return False
        writer.close()
        return True

    async def _exchange(self, name: str, question: bytes) -> bytes:
        reader, writer = await self._connect()
        try:
            # HTTP/1.0: the answer comes whole and ends with the connection.
            head = f"POST /v1/{name} HTTP/1.0\r\nHost: merpati\r\nContent-Length: {len(question)}"
            writer.write(head.encode() + b"\r\n\r\n" + question)
            await writer.drain()
            return await reader.read()
        except OSError as error:
            raise Unreachable(f"the server broke the connection off: {error}") from error
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            with short_path(self._path) as path:
                return await asyncio.open_unix_connection(path, limit=_HEAD_LIMIT)
        except OSError as error:
            raise Unreachable(f"no server answers at {self._path}: {error.strerror}") from error


def read_answer(operation: Operation[Q, A], octets: bytes) -> A:
    """What a whole HTTP response says. Raises ApiError, as told or for what is no answer."""
    head, _, body = octets.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    if status is None:
        raise Unreachable("the server broke off in the middle of its answer")
    if status[1] != b"200":
        raise _error(int(status[1]), body)
    try:
        answer: A = msgspec.json.decode(body, type=operation.answer)
    except ValueError as error:
        raise Unreachable(f"the server's answer cannot be read: {error}") from error
    return answer


def _error(status: int, body: bytes) -> ApiError:
    try:
        text = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        text = f"the server answered {status}"
    return {404: Unknown, 422: Mistaken}.get(status, ApiError)(text)
