"""Where a host is that the operator named: as this machine knows it, `/etc/hosts` included."""

import asyncio
import ipaddress
import socket

from merpati.wire.endpoint import Endpoint
from merpati.wire.errors import WireUnreachable


async def places(host: str, port: int) -> list[Endpoint]:
    """The addresses of a name, or the one address that it is. Raises WireError for a name that has
    none."""
    try:
        return [Endpoint(str(ipaddress.ip_address(host)), port)]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WireUnreachable(f"the name {host} leads nowhere") from error
    return list(dict.fromkeys(Endpoint(str(address[0]), port) for *_, address in found))
