"""What all tests share.

Where MERPATI_NO_SKIP is set, a test that would be skipped fails. Property tests try 100 examples or
a multiple of it. `--hypothesis-profile quick`, of `make check`, tries an eighth, hashes passwords
at no cost and imports no file that is slow or interop as a whole.
"""

import gc
import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from merpati.directory import password

NOT_QUICK = re.compile(r"^pytestmark = (\[\s+)?pytest\.mark\.(slow|interop)\b", re.MULTILINE)

settings.register_profile("whole", max_examples=100, deadline=None)
settings.register_profile("quick", max_examples=12, deadline=None)
settings.load_profile("whole")


gc.disable()


def is_quick(config: pytest.Config) -> bool:
    return bool(config.getoption("--hypothesis-profile") == "quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Half of what a quick run imports was for tests that it does not run."""
    if not is_quick(config) or collection_path.suffix != ".py":
        return None
    return True if NOT_QUICK.search(collection_path.read_text("utf-8")) else None


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


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.TestReport, config: pytest.Config
) -> tuple[str, str, str] | None:
    """A quick run prints no dots: 90 lines of them are read by nobody and cost half a second."""
    return (
        ("passed", "", "") if is_quick(config) and report.when == "call" and report.passed else None
    )


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes(pytestconfig: pytest.Config) -> Generator[None, None, None]:
    """Hashing takes long on purpose: a slow test checks that, and `make test` pays it always."""
    with pytest.MonkeyPatch.context() as patch:
        if is_quick(pytestconfig):
            patch.setattr(password, "_MEMORY_KIB", 8)
            patch.setattr(password, "_PASSES", 1)
        yield


@pytest.fixture(autouse=True)
def _own_umask() -> Generator[None, None, None]:
    """What a server does to its process ends with the test that ran it here."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)
