"""File descriptors: every connection takes one, and what systems grant at first is soon used up."""

import resource
from collections.abc import Iterable

# 2,000 connections outward, 3,300 questions to the DNS (1,100 of deliveries, 2,200 of the doors),
# open mailboxes and databases, and what the process itself needs.
_OURS = 5812


def raise_limit() -> int:
    """Take all that the system allows without asking an administrator; how many there are now."""
    granted, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if granted != allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    return allowed


def shortage(limit: int, connections: Iterable[int]) -> str:
    """What an operator should read where ports with so many connections need more; else empty."""
    wanted = sum(connections)
    if limit == resource.RLIM_INFINITY or limit >= wanted + _OURS:
        return ""
    return (
        f"the system allows {limit} open files, and {wanted} connections need about "
        f"{wanted + _OURS}: raise the limit (systemd: LimitNOFILE=, shells: ulimit -Hn) or "
        "lower connections in merpati.toml"
    )
