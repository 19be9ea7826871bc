"""Which addresses count as one stranger: an IPv6 customer has a whole /64, often a /48."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def neighbourhoods(ip: str) -> tuple[str, str]:
    """The narrow and the wide network of an address: /32 and /24, or /64 and /48.

    An address that is none (a Unix socket) is its own neighbourhood.
    """
    ip = without_zone(ip)
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return (ip, ip)
    narrow, wide = (32, 24) if address.version == 4 else (64, 48)
    return (_network(ip, narrow), _network(ip, wide))


@lru_cache(maxsize=4096)
def is_this_machine(ip: str) -> bool:
    """Loopback, or a Unix socket, which has no address."""
    return not ip or ipaddress.ip_address(without_zone(ip)).is_loopback


def without_zone(ip: str) -> str:
    """`fe80::1` for `fe80::1%eth0`: the zone is ours, not the peer's (RFC 4007 §11)."""
    return ip.partition("%")[0]


def _network(ip: str, bits: int) -> str:
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False))
