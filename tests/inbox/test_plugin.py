"""The plugin in a pytest of its own, as in the project of somebody who installed Merpati."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

APPLICATION_TEST = """\
import smtplib
import pytest

@pytest.fixture
def shop(merpati_inbox, monkeypatch):
    monkeypatch.setenv("EMAIL_HOST", merpati_inbox.host)
    monkeypatch.setenv("EMAIL_PORT", str(merpati_inbox.port))

def order(to):
    import os
    with smtplib.SMTP(os.environ["EMAIL_HOST"], int(os.environ["EMAIL_PORT"])) as client:
        client.login("shop", "secret")
        client.sendmail("shop@a.test", [to], b"Subject: Your order\\r\\n\\r\\nThanks!\\r\\n")

def test_an_order_is_confirmed(shop, merpati_inbox):
    order("ann@b.test")
    (message,) = merpati_inbox.messages()
    assert message.recipients == ("ann@b.test",)
    assert message.text == "Thanks!\\n"

def test_every_test_begins_with_an_empty_inbox(shop, merpati_inbox):
    assert merpati_inbox.messages() == []

def test_a_full_mailbox_is_reported(shop):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        order("reject-552@b.test")
"""
UNUSED_TEST = """\
import sys

def test_nothing_of_the_server_was_loaded():
    assert sorted(name for name in sys.modules if name.startswith("merpati")) == [
        "merpati", "merpati.testing", "merpati.testing.plugin"
    ]
    assert not {"aiohttp", "uvloop", "apsw", "msgspec", "click"} & set(sys.modules)
"""


def pytest_in(folder: Path, test: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run a pytest that knows nothing of this repository over one file of tests."""
    (folder / "test_shop.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -W error\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:asyncio"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def test_an_application_is_tested_with_the_fixture(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, APPLICATION_TEST)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_files_beside_the_tests_do_not_get_in_the_way(tmp_path: Path) -> None:
    stray = {"merpati.toml": "nonsense", "apsw.py": "raise ImportError('not this one')\n"}
    done = pytest_in(tmp_path, APPLICATION_TEST, **stray)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_who_does_not_use_it_loads_nothing(tmp_path: Path) -> None:
    done = pytest_in(tmp_path, UNUSED_TEST)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
