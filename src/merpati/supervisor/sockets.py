"""The doors' sockets: bound here before privileges are dropped, or handed to us by systemd."""

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from merpati.api.client import short_path
from merpati.errors import MerpatiError
from merpati.wire.endpoint import Endpoint
from merpati.wire.sockets import bind, bound_to

# sd_listen_fds(3): passed descriptors begin behind standard error.
_FIRST_DESCRIPTOR = 3


def listen(
    wanted: Iterable[Endpoint], base: Path, environment: Mapping[str, str], pid: int
) -> Sequence[socket.socket]:
    """A socket for every endpoint, in their order; those that systemd holds open are taken over.

    Paths of Unix sockets start at `base`. Raises WireError for one that cannot be bound, and
    MerpatiError for one of systemd's that the configuration does not name: it would take
    connections that nobody answers.
    """
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as failed:
        given = {bound_to(one): one for one in _inherited(environment, pid)}
        for endpoint in wanted:
            place = Endpoint(path=str(base / endpoint.path)) if endpoint.path else endpoint
            sockets.append(given.pop(place) if place in given else _bind(place))
            failed.callback(sockets[-1].close)
        if given:
            names = ", ".join(map(str, given))
            raise MerpatiError(f"systemd listens on {names}, which merpati.toml does not name")
        failed.pop_all()
    return sockets


def _bind(place: Endpoint) -> socket.socket:
    if not place.path:
        return bind(place)
    path = Path(place.path)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with short_path(path) as short:
        return bind(Endpoint(path=short))


def _inherited(environment: Mapping[str, str], pid: int) -> Iterator[socket.socket]:
    """The sockets of sd_listen_fds(3), if they were meant for this process."""
    if environment.get("LISTEN_PID") != str(pid):
        return
    for n in range(int(environment.get("LISTEN_FDS", "0"))):
        descriptor = _FIRST_DESCRIPTOR + n
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
        given.setblocking(False)
        yield given
