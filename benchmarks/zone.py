"""`python -m benchmarks.zone PORT`: the DNS of dA-B.test, a thousand domains with a host each."""

import asyncio
import sys

from merpati.testing.zone import Zone, ZoneServer


def thousand() -> Zone:
    """dA-B.test is served by mx.dA-B.test at 127.1.A.B."""
    lines = []
    for a in range(4):
        for b in range(1, 251):
            lines.append(f"3600 d{a}-{b}.test MX 10 mx.d{a}-{b}.test")
            lines.append(f"3600 mx.d{a}-{b}.test A 127.1.{a}.{b}")
    return Zone("\n".join(lines))


async def serve(port: int) -> None:
    """Over UDP, until a signal ends us."""
    server = ZoneServer(thousand())
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
