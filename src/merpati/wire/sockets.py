"""Listening sockets: bound here once, then handed to the workers that accept on them."""

import errno
import os
import socket
import stat
from pathlib import Path

from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireError, WireTaken, from_os_error

BACKLOG = 1024
"""Connections that wait for us. asyncio's 100 gave one-second stalls at 200 at a time."""


def bind(where: Endpoint, mode: int = 0o660) -> socket.socket:
    """A socket that listens at `where`. Raises WireError; `mode` is for a Unix socket's file."""
    try:
        return _bind_tcp(where) if where.ip else _bind_unix(Path(where.path), mode)
    except OSError as error:
        raise WireTaken(f"cannot listen on {where}: {_cause(error)}") from error


def _cause(error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address (ip address show lists those that it has)"
    known = from_os_error(error)
    return known.cause if type(known) is not WireError else error.strerror or str(error)


def bound_to(listener: socket.socket) -> Endpoint:
    """Where a socket listens; with the port that the system chose when 0 was asked for."""
    return Endpoint.of(listener.getsockname())


def _bind_tcp(where: Endpoint) -> socket.socket:
    listener = socket.socket(where.family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if where.family == socket.AF_INET6:
            # [::] and 0.0.0.0 are two ports: the administrator lists what is to be served.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where.address)
        return _listening(listener)
    except OSError:
        listener.close()
        raise


def _bind_unix(path: Path, mode: int) -> socket.socket:
    """Bind beside the path and rename over it: there is never a moment without a socket there."""
    _refuse_unless_stale(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_with_mode(listener, beside, mode)
        _listening(listener)
        beside.rename(path)
    except OSError:
        listener.close()
        beside.unlink(missing_ok=True)
        raise
    return listener


def _bind_with_mode(listener: socket.socket, path: Path, mode: int) -> None:
    """The file is never open to more than `mode`, and nothing is done to a path afterwards: who
    owns the folder could have put a link there, and root would open up where it leads."""
    # Linux gives the file the mode of the socket, less the umask; that is narrowed for us alone.
    os.fchmod(listener.fileno(), mode)
    before = os.umask(0o077 & ~mode)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def _listening(listener: socket.socket) -> socket.socket:
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _refuse_unless_stale(path: Path) -> None:
    """Replace what a dead server left, never a live server's socket or somebody's file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise WireTaken(f"cannot listen on {path}: a file that is no socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
    raise WireTaken(f"cannot listen on {path}: another server answers there")
