"""What all tests share.

Where MERPATI_NO_SKIP is set, a test that would be skipped fails. Property tests try 100 examples or
a multiple of it; `--hypothesis-profile quick`, of `make check`, tries an eighth.
"""

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("whole", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=12, deadline=None)
settings.load_profile("whole")


gc.disable()


def pytest_collection_finish() -> None:
    """The thousands of items stay to the end: the collector need never look at them."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A guarantee that went untested must not look like one that holds."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("MERPATI_NO_SKIP"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {reason}"
    return report


@pytest.fixture(autouse=True)
def _own_umask() -> Generator[None, None, None]:
    """What a server does to its process ends with the test that ran it here."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)
