"""What this machine lacks is told apart from what the other end does."""

import errno
import os
import resource

import pytest

from merpati.clock import SystemClock
from merpati.wire.dial import SocketDialer
from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireLocal, WireRefused, WireTimeout, from_os_error
from merpati.wire.loop import Wire
from tests.cases import each


async def test_a_process_without_descriptors_blames_no_host():
    dialer = SocketDialer(Wire(SystemClock()))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(WireLocal, match="too many open files"):
            await dialer.dial(Endpoint("127.0.0.1", 9), 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@each(
    ("number", "kind"),
    [
        (errno.ENFILE, WireLocal),
        (errno.ENOBUFS, WireLocal),
        (errno.ENOMEM, WireLocal),
        (errno.ECONNREFUSED, WireRefused),
        (errno.ETIMEDOUT, WireTimeout),
    ],
)
def test_whose_fault_an_errno_is(number, kind):
    assert type(from_os_error(OSError(number, "as the system says"))) is kind
