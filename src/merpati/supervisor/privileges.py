"""Becoming an ordinary user once the ports are open, and making sure that it cannot be undone."""

import os
import pwd
from pathlib import Path

from merpati.errors import MerpatiError


class PrivilegeError(MerpatiError):
    """The process could not become the user that it was told to be."""


def find_user(name: str) -> pwd.struct_passwd:
    """The account of that name."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"user = {name!r}: there is no such user on this machine") from None


def give(made: Path, name: str) -> None:
    """Hand what root has just made to the user who will work with it.

    A link in its place is not followed: it would be the user's, and lead to a file that is not.
    """
    if name and os.geteuid() == 0:
        account = find_user(name)
        os.chown(made, account.pw_uid, account.pw_gid, follow_symlinks=False)


def drop(name: str) -> None:
    """Become `name` for good. Every step is checked: a failed setuid must never go unseen."""
    if not name:
        return
    account = find_user(name)
    if os.geteuid() != 0:
        if os.geteuid() != account.pw_uid:
            raise PrivilegeError(f"user = {name!r}: only root can become another user")
        return
    try:
        os.initgroups(name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as error:
        raise PrivilegeError(f"cannot become {name}: {error.strerror}") from error
    _check(account)


def _check(account: pwd.struct_passwd) -> None:
    """CVE-2011-0017 was a result that nobody looked at."""
    if account.pw_uid == 0:
        return
    if {*os.getresuid()} != {account.pw_uid} or {*os.getresgid()} != {account.pw_gid}:
        raise PrivilegeError(f"still not {account.pw_name} after becoming it")
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise PrivilegeError(f"could become root again after becoming {account.pw_name}")
