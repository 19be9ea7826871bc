"""The ways in which cron, PHP and mail(1) call sendmail."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.conftest import Install, Installation, needs, wait_for

pytestmark = pytest.mark.interop


def sendmail(server: Installation) -> Path:
    """A /usr/sbin/sendmail as a package would install it: a two-line script."""
    script = server.folder / "sendmail"
    command = [sys.executable, "-m", "merpati.cli.main", "--config", str(server.config), "sendmail"]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    return script


def run(*command: str | Path, text: str = "") -> None:
    done = subprocess.run(
        [str(part) for part in command],
        input=text, text=True, capture_output=True, timeout=60,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def arrived(server: Installation, user: str = "budi") -> bytes:
    wait_for(lambda: len(server.mails(user)) == 1)
    return server.mails(user)[0]


def test_as_cron_calls_it(install: Install) -> None:
    server = install()
    text = "From: root (Cron Daemon)\nTo: budi@a.test\nSubject: Cron job\n\nout\n.\nput\n"
    run(sendmail(server), "-i", "-FCronDaemon", "-oem", "budi@a.test", text=text)
    assert arrived(server).replace(b"\r\n", b"\n").endswith(b"\n\nout\n.\nput\n")


def test_as_php_calls_it(install: Install) -> None:
    needs("php", "php-cli")
    server = install()
    code = (
        'exit(mail("budi@a.test", "Pesanan ✓ ☕", "Terima kasih\\r\\n.\\r\\n",'
        ' "From: toko@a.test\\r\\nBcc: ann@a.test") ? 0 : 1);'
    )
    run("php", "-d", f"sendmail_path={sendmail(server)} -t -i", "-r", code)
    assert b"Bcc" not in arrived(server)
    assert b"Terima kasih" in arrived(server, "ann")


def test_as_mail_calls_it(install: Install) -> None:
    needs("bsd-mailx", "bsd-mailx")
    server = install()
    script = sendmail(server)
    rc = server.folder / "mailrc"
    rc.write_text(f"set sendmail={script}\n")
    done = subprocess.run(
        ["bsd-mailx", "-s", "halo", "budi@a.test"],
        input="selamat pagi\n", text=True, capture_output=True, timeout=60,
        env={**os.environ, "MAILRC": str(rc), "HOME": str(server.folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"selamat pagi" in arrived(server)


def test_with_the_server_down_mail_waits_for_it(install: Install) -> None:
    server = install()
    server.stop()
    run(sendmail(server), "-t", text="From: ann@a.test\nTo: budi@a.test\nSubject: x\n\nlater\n")
    assert len(server.ask_json("queue", "list")) == 1
    server.start()
    assert b"later" in arrived(server)


def test_smtp_on_standard_input(install: Install) -> None:
    server = install()
    dialogue = (
        "EHLO localhost\r\nMAIL FROM:<ann@a.test>\r\nRCPT TO:<budi@a.test>\r\nDATA\r\n"
        "Subject: bs\r\n\r\nhello\r\n.\r\nQUIT\r\n"
    )
    run(sendmail(server), "-bs", text=dialogue)
    assert b"hello" in arrived(server)


def test_standard_input_has_the_limits_of_the_configuration(install: Install) -> None:
    server = install("[limits]\nmessage_size = 2000\n")
    done = subprocess.run(
        [str(sendmail(server)), "-bs"],
        input="EHLO localhost\r\nQUIT\r\n", text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert "250-SIZE 2000" in done.stdout
