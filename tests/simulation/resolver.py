"""The DNS of a run: what there is, and for how long it fails."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from merpati.dns.errors import DnsFailure, DnsTimeout
from merpati.dns.resolver import Answer, Found, Mx

_TTL = 300.0
T = TypeVar("T")


@dataclass
class SimulatedDns:
    """A `Resolver`."""

    mxs: Mapping[str, Sequence[Mx]]
    hosts: Mapping[str, str]
    failing: dict[str, str] = field(default_factory=dict)
    """How a name fails, or `*` for all."""

    async def mx(self, domain: str) -> Answer[Mx]:
        """MX records."""
        return await self._answer(domain, tuple(self.mxs.get(domain, ())))

    async def ipv4(self, host: str) -> Answer[str]:
        """A records."""
        return await self._answer(host, (self.hosts[host],) if host in self.hosts else ())

    async def ipv6(self, host: str) -> Answer[str]:
        """None, of any name."""
        return await self._answer(host, ())

    async def txt(self, name: str) -> Answer[bytes]:
        """None."""
        return await self._answer(name, ())

    async def ptr(self, ip: str) -> Answer[str]:
        """None."""
        return await self._answer(ip, ())

    async def tlsa(self, port: int, host: str) -> Answer[tuple[int, int, int, bytes]]:
        """None."""
        return await self._answer(host, ())

    async def _answer(self, name: str, records: tuple[T, ...]) -> Answer[T]:
        how = self.failing.get(name, self.failing.get("*"))
        if how == "timeout":
            await asyncio.sleep(20.0)
            raise DnsTimeout("no server answered in time")
        await asyncio.sleep(0.01)
        if how is not None:
            raise DnsFailure("every server says SERVFAIL")
        if records:
            return Answer(Found.RECORDS, records, _TTL)
        known = name in self.mxs or name in self.hosts
        return Answer(Found.NO_DATA if known else Found.NO_NAME, ttl=_TTL)
