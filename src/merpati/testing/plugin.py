"""For pytest: the fixture `merpati_inbox`, a mail server that keeps what an application sends.

Loaded by every pytest that runs where Merpati is installed, so it imports nothing until it is used.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from merpati.testing.inbox import Inbox


@pytest.fixture(scope="session")
def _merpati_inbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Inbox"]:
    from merpati.testing.inbox_process import InboxProcess

    process = InboxProcess(tmp_path_factory.mktemp("merpati"))
    yield process.start()
    process.stop()


@pytest.fixture
def merpati_inbox(_merpati_inbox_server: "Inbox") -> "Inbox":
    """A running mail server on loopback, empty: `host`, `port`, `messages()`, `wait()`, `clear()`.

    It takes any login and any recipient and sends nothing anywhere. One server serves the whole
    session. Recipients such as `tempfail@…` and `reject-552@…` are refused on purpose.
    """
    _merpati_inbox_server.clear()
    return _merpati_inbox_server
