"""What all tests share.

Where MERPATI_NO_SKIP is set, a test that would be skipped fails. Property tests try 100 examples or
a multiple of it; `--hypothesis-profile quick`, of `make check`, tries an eighth, and does without
what stands in `tests/quick.py`.
"""

import gc
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.quick import begin_databases_as_copies, hash_at_no_cost, is_left_out, is_quick

settings.register_profile("whole", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=12, deadline=None)
settings.load_profile("whole")


gc.disable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if is_quick(config) and is_left_out(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, all in one process while the others compute: each of them
    has a part of the list, and takes from the ends of the others' when its own is done."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish() -> None:
    """The thousands of items stay to the end: the collector need never look at them."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        if is_quick(session.config):
            hash_at_no_cost(patch)
            begin_databases_as_copies(patch, Path(folder))
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """What a server does to the umask of its process ends with the test that ran it here."""
    before = os.umask(0)
    os.umask(before)
    try:
        return (yield)
    finally:
        os.umask(before)


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


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """A quick run prints no dots: nobody reads 90 lines of them."""
    is_success = report.when == "call" and report.passed
    return ("passed", "", "") if is_success and is_quick(config) else None
