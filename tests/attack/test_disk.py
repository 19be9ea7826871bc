"""A disk that fills, and one that cannot be written: never a false 250, and no restart to recover.

A real file system of a few megabytes; only root can mount one.
"""

import contextlib
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.caller import Caller, greeted
from tests.attack.conftest import Fortress, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk"),
]
CONFIG = """\
hostname = "mx.a.test"
data = "disk/var"
[[port]]
role = "mx"
listen = "127.0.0.1:{mx}"
[http]
listen = "127.0.0.1:{http}"
[limits]
free_space = 0  # The store itself is what is tested here.
[queue]
retry = ["1s"]
"""


class Small(Fortress):
    """An installation whose data lies on a disk of twelve megabytes."""

    def files(self, user: str = "ann", domain: str = "a.test") -> list[Path]:
        return sorted((self.folder / "disk/var/mail" / domain / user / "new").glob("*"))

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.http}{path}", timeout=60
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    server = Small(tmp_path, config=CONFIG)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        server.populate()
        server.start()
        with greeted(server.mx) as caller:  # The port is open before the store is.
            assert caller.say("NOOP").startswith("250")
        yield server
    finally:
        server.stop()
        subprocess.run(["umount", "-l", disk], check=True)


def _send(caller: Caller, name: str, size: int = 300_000) -> str:
    if not (reply := caller.say("MAIL FROM:<x@b.test>")).startswith("250"):
        return reply
    if not (reply := caller.say("RCPT TO:<ann@a.test>")).startswith("250"):
        return reply
    caller.say("DATA")
    caller.send(f"Subject: {name}\r\n\r\n".encode() + b"x" * 998 + b"\r\n")
    with contextlib.suppress(OSError):
        caller.send((b"y" * 998 + b"\r\n") * (size // 1000))
    return caller.say(".")


def _fill(folder: Path) -> Callable[[], None]:
    ballast = folder / "disk/ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)
            file.flush()
    return ballast.unlink


def test_a_full_disk_is_never_a_false_250_and_heals_by_itself(small: Small) -> None:
    free = _fill(small.folder)
    said: dict[str, str] = {}
    for n in range(6):
        with greeted(small.mx) as caller:
            said[f"full-{n}"] = _send(caller, f"full-{n}", 300_000 if n % 2 else 1000)
    assert all(reply[:3] in ("250", "452", "451", "421") for reply in said.values()), said
    refused = [reply for reply in said.values() if not reply.startswith("250")]
    assert refused, said
    assert any(reply.startswith("452 4.3.1") for reply in refused), said
    free()
    with greeted(small.mx) as caller:
        wait_for(lambda: _send(caller, "after").startswith("250"))
    taken = {name for name, reply in said.items() if reply.startswith("250")} | {"after"}
    wait_for(lambda: _subjects(small) >= taken, 90, f"{_subjects(small)} of {said}")
    assert _subjects(small) == taken


def _subjects(server: Small) -> set[str]:
    mails = server.mails()
    found = {mail.partition(b"Subject: ")[2].partition(b"\n")[0].decode() for mail in mails}
    assert len(found) == len(mails), "a message came twice"
    return found


def test_a_disk_that_fills_in_mid_message_takes_none_of_it(small: Small) -> None:
    with greeted(small.mx) as caller:
        caller.say("MAIL FROM:<x@b.test>")
        caller.say("RCPT TO:<ann@a.test>")
        caller.say("DATA")
        caller.send(b"Subject: half\r\n\r\n" + (b"y" * 998 + b"\r\n") * 1000)
        free = _fill(small.folder)
        caller.send((b"y" * 998 + b"\r\n") * 2000)
        assert caller.say(".").startswith("452 4.3.1")
        assert caller.say("NOOP").startswith("250")
        free()
        wait_for(lambda: _send(caller, "after").startswith("250"))
    wait_for(lambda: _subjects(small) == {"after"})


def test_a_read_only_disk_is_a_refusal_at_the_start_and_a_tempfail_while_running(
    small: Small,
) -> None:
    disk = small.folder / "disk"
    small.stop()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    said = small.run("serve")
    assert said.returncode != 0
    assert "Traceback" not in said.stdout + said.stderr
    assert "disk" in said.stdout + said.stderr
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    small.start()
    with greeted(small.mx) as caller:
        assert _send(caller, "before", 1000).startswith("250")


def test_below_the_free_space_nothing_begins_and_with_it_all_goes_on(small: Small) -> None:
    small.stop()
    config = small.config.read_text().replace("free_space = 0 ", 'free_space = "4MiB" ')
    small.config.write_text(config)
    small.start()
    ballast = small.folder / "disk" / "ballast"
    assert _try(small, "before").startswith("250")
    wait_for(lambda: len(small.files()) == 1)
    room = os.statvfs(small.folder / "disk")
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - 3 * 1024**2))
    wait_for(lambda: _try(small, "too many").startswith("452 4.3.1 No space"))
    _is_told_of(small)
    ballast.unlink()
    wait_for(lambda: _try(small, "after").startswith("250"))
    wait_for(lambda: small.page("/healthz") == (200, "ok\n"))
    wait_for(lambda: "the disk has room again" in small.output())
    wait_for(lambda: any(b"Subject: after" in one.read_bytes() for one in small.files()))
    wait_for(lambda: small.ask_json("queue", "list") == [])


def _is_told_of(small: Small) -> None:
    wait_for(lambda: small.page("/healthz")[0] == 503)
    assert "4MiB are kept" in small.page("/healthz")[1]
    told = small.run("status").stdout
    assert "no mail is taken: the disk is nearly full" in told
    assert " x mx: free_space\n" in told
    # The worker that speaks for all tells it, and no other; each looks for itself.
    wait_for(lambda: '"event":"space"' in small.output())
    assert small.page("/metrics")[1].count('merpati_disk_octets{what="kept"') == 1


def _try(small: Small, name: str) -> str:
    with greeted(small.mx) as caller:
        return _send(caller, name, 1000)
