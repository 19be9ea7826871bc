"""The file of a Unix socket has its mode from its first moment, and no path is touched later."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireTaken
from merpati.wire.sockets import bind


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_mode_is_what_was_asked_for_whatever_the_umask_is(
    tmp_path: Path, umask: int, mode: int
) -> None:
    path = tmp_path / "lmtp"
    with bind(Endpoint(path=str(path)), mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.umask(umask) == umask


def test_a_link_that_is_put_in_its_place_leads_nobody_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)

    class Swapped(socket.socket):
        """Whoever owns the folder is quick: the file is a link as soon as it is bound."""

        def bind(self, address: str, /) -> None:  # type: ignore[override]  # of Unix sockets
            super().bind(address)
            Path(address).unlink()
            Path(address).symlink_to(secret)

    monkeypatch.setattr(socket, "socket", Swapped)
    path = tmp_path / "lmtp"
    with bind(Endpoint(path=str(path)), 0o666):
        assert path.is_symlink()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_an_address_of_another_machine_is_called_so() -> None:
    # RFC 5737: no machine has this one.
    with pytest.raises(WireTaken, match="this machine has no such address"):
        bind(Endpoint("192.0.2.1", 2525))
