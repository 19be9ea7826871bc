"""Mailboxes on disk (threat: names and links that lead out of the tree)."""

import errno
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merpati.delivery.maildir import Maildirs, MaildirSettings, headers
from merpati.delivery.naming import directory_name
from merpati.mail.address import Address
from tests.cases import each

ANN = Address("ann", "a.test")


@pytest.fixture
def maildirs(tmp_path):
    return Maildirs(MaildirSettings(tmp_path / "mail", tmp_path / "inbox", "mx.a.test"))


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def deliver(incoming, *pieces):
    for piece in pieces:
        incoming.write_lines(piece)
    return incoming.commit()


def test_a_message_appears_whole_in_new_and_nothing_stays_in_tmp(maildirs):
    name = deliver(maildirs.mailbox(ANN, "1.ID"), b"one\r", b"\ntwo\r\n")
    box = maildirs.path(ANN)
    assert (box / "new" / name).read_bytes() == b"one\ntwo\n"
    assert name == "1.ID.mx.a.test,S=8"
    assert not list((box / "tmp").iterdir())
    assert (box / "cur").is_dir()


def test_only_the_owner_may_read(maildirs):
    name = deliver(maildirs.mailbox(ANN, "1.ID"), b"x")
    file = maildirs.path(ANN) / "new" / name
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_is_discarded_leaves_no_trace_and_twice_does_no_harm(maildirs):
    incoming = maildirs.mailbox(ANN, "1.ID")
    incoming.write(b"half")
    incoming.discard()
    incoming.discard()
    box = maildirs.path(ANN)
    assert not list((box / "tmp").iterdir())
    assert not list((box / "new").iterdir())


def test_a_delivery_repeated_after_a_crash_replaces_its_own_copy(maildirs):
    deliver(maildirs.mailbox(ANN, "1.ID"), b"same")
    abandoned = maildirs.mailbox(ANN, "1.ID")
    abandoned.write(b"sa")
    deliver(maildirs.mailbox(ANN, "1.ID"), b"same")
    assert len(list((maildirs.path(ANN) / "new").iterdir())) == 1


def test_no_descriptor_is_left_open(maildirs):
    before = open_descriptors()
    deliver(maildirs.mailbox(ANN, "1.ID"), b"x")
    maildirs.mailbox(ANN, "2.ID").discard()
    assert open_descriptors() == before


@pytest.mark.parametrize("link", ["a.test", "a.test/ann", "a.test/ann/new", "a.test/ann/tmp"])
def test_a_link_is_not_followed(maildirs, tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "mail" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    # ELOOP or ENOTDIR, by the place of the link.
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        maildirs.mailbox(ANN, "1.ID")
    assert not list(outside.iterdir())


@each(
    ("name", "directory"),
    [
        ("ann", "ann"),
        ("ann+news", "ann+news"),
        ("siti.nurhaliza", "siti.nurhaliza"),
        ("josé", "josé"),
        ("用户", "用户"),
        ("..", "%2E."),
        ("../../etc", "%2E.%2F..%2Fetc"),
        (".hidden", "%2Ehidden"),
        ("a/b", "a%2Fb"),
        ("a\0b", "a%00b"),
        ("50%", "50%25"),
        ("", "%"),
        ("a\u202eb", "a%E2%80%AEb"),
        ("[192.0.2.1]", "%5B192.0.2.1%5D"),
    ],
)
def test_names_are_encoded_strictly_and_stay_readable(name, directory):
    assert directory_name(name) == directory


def test_names_that_look_alike_in_other_normal_forms_stay_apart():
    assert directory_name(unicodedata.normalize("NFD", "josé")) == "jose%CC%81"


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_name_leads_out_and_different_ones_stay_different(one, other):
    first, second = directory_name(one), directory_name(other)
    assert "/" not in first
    assert "\0" not in first
    assert first not in {"", ".", ".."}
    assert len(first.encode()) <= 255
    assert (first == second) == (one == other)


def test_a_long_name_that_no_mail_system_could_say_is_a_directory_as_well():
    assert len(directory_name("\udcff" * 300).encode()) <= 255


@given(st.text(max_size=50))
def test_a_value_cannot_begin_another_header_line(value):
    assert headers([("Return-Path", value)]).count(b"\n") == 1
    assert b"\r" not in headers([("Return-Path", value)])


def failing(monkeypatch, call, nth, error):
    """Let the N-th of these calls fail, and no other."""
    made, real = [0], getattr(os, call)

    def fails(*arguments, **named):
        made[0] += 1
        if made[0] == nth:
            raise OSError(error, os.strerror(error))
        return real(*arguments, **named)

    monkeypatch.setattr(os, call, fails)
    return made


def calls_of_a_delivery(maildirs, monkeypatch, call):
    """How many of these calls a message makes on its way into a mailbox that exists."""
    with monkeypatch.context() as counted:
        made = failing(counted, call, 0, errno.EIO)
        deliver(maildirs.mailbox(ANN, "counted"), b"one\r\n", b"two\r\n", b"thr\r")
    return made[0]


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
def test_whatever_fails_is_told_and_nothing_half_is_seen(maildirs, monkeypatch, call):
    seen = {deliver(maildirs.mailbox(ANN, "before"), b"x")}
    calls = calls_of_a_delivery(maildirs, monkeypatch, call)
    box, before = maildirs.path(ANN), open_descriptors()
    seen |= {file.name for file in (box / "new").iterdir()}
    for nth in range(1, calls + 1):
        with monkeypatch.context() as broken:
            failing(broken, call, nth, (errno.EIO, errno.ENOSPC)[nth % 2])
            with pytest.raises(OSError, match=r"error|space"):
                attempt(maildirs, f"{call}{nth}")
        left = {file for file in (box / "new").iterdir() if file.name not in seen}
        # A rename whose directory could not be synced is seen, whole, and replaced by the next try.
        assert all(file.read_bytes() == b"one\ntwo\nthr\r" for file in left)
        assert not left or (call, nth) == ("fsync", calls)
        assert not list((box / "tmp").iterdir())
        assert open_descriptors() == before
        seen.add(attempt(maildirs, f"{call}{nth}"))
        assert (box / "new" / f"{call}{nth}.mx.a.test,S=12").read_bytes() == b"one\ntwo\nthr\r"
    assert calls == {"write": 4, "fsync": 2, "rename": 1, "open": 6}[call]


def attempt(maildirs, unique):
    """As the receiver does it: what was begun and failed is discarded."""
    incoming = maildirs.mailbox(ANN, unique)
    try:
        return deliver(incoming, b"one\r\n", b"two\r\n", b"thr\r")
    except OSError:
        incoming.discard()
        raise


def test_a_short_write_goes_on_with_the_rest(maildirs, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, view: real(file, view[:3]))
    name = deliver(maildirs.mailbox(ANN, "1.ID"), b"one\r\ntwo\r\n")
    assert (maildirs.path(ANN) / "new" / name).read_bytes() == b"one\ntwo\n"
