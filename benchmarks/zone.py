"""`python -m benchmarks.zone PORT`: the DNS of very many domains, each with a host of its own.

dA-B.test is served at 127.1.A.B, where a sink of ours listens; dN.dead.test at 127.0.0.1, or with
`--silent` behind it nobody answers for those.
"""

import asyncio
import sys

import dns.message

from merpati.testing.zone import Zone, ZoneServer


def thousand() -> str:
    """dA-B.test is served by mx.dA-B.test at 127.1.A.B."""
    lines = []
    for a in range(4):
        for b in range(1, 251):
            lines.append(f"3600 d{a}-{b}.test MX 10 mx.d{a}-{b}.test")
            lines.append(f"3600 mx.d{a}-{b}.test A 127.1.{a}.{b}")
    return "\n".join(lines)


class Endless(Zone):
    """Makes the records of a dead domain when it is asked about it."""

    def answer(self, query: dns.message.Message, bare: bool = False) -> dns.message.Message:
        """As of a zone with all of them."""
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        if name.endswith(".dead.test"):
            if name.startswith("mx."):
                self.add(name, "A", "127.0.0.1", 3600)
            else:
                self.add(name, "MX", f"10 mx.{name}", 3600)
        return super().answer(query, bare)


class Silent(ZoneServer):
    """Says nothing of dead domains."""

    def datagram_received(self, octets: bytes, peer: tuple[str, int]) -> None:
        """Answer what is not about one."""
        if b"\x04dead\x04test\x00" not in octets.lower():
            super().datagram_received(octets, peer)


async def serve(port: int, silent: bool) -> None:
    """Over UDP, until a signal ends us."""
    server = Silent(Zone(thousand())) if silent else ZoneServer(Endless(thousand()))
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), "--silent" in sys.argv))
