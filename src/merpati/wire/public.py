"""Which addresses are the Internet's: what a stranger names must not lead into our own network.

SSRF: a name that strangers chose (a policy host, a report's receiver) may resolve to loopback, to
a private network, or to the metadata service of a cloud.
"""

import ipaddress
from collections.abc import Sequence

_EMBEDDING = tuple(
    ipaddress.ip_network(text)
    for text in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64, local (RFC 8215)
        "2002::/16",  # 6to4 (RFC 3056)
        "2001::/32",  # Teredo (RFC 4380)
        "::/96",  # IPv4-compatible (RFC 4291 §2.5.5.1)
    )
)
"""Networks that lead to an IPv4 address within."""

_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given to anybody (RFC 4291 §2.4): Python takes the sites of old, fec0::/10,
for public."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_public(ip: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether anybody on the Internet could reach it, or it is in an `allowed` network.

    False for text that is no address.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return True
    if any(address in network for network in _EMBEDDING):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
