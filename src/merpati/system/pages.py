"""What the HTTP doors of a worker answer with."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from socket import socket

from aiohttp.web import Application

from merpati.api import http, operations
from merpati.api import questions as ask
from merpati.api.autoconfig import add_autoconfig
from merpati.api.node import Node
from merpati.api.tls_reports import add_tls_reports
from merpati.config.settings import Settings
from merpati.config.tables.http import HttpTable
from merpati.report.metrics import Series, exposition
from merpati.setup.autoconfig import MailHosts
from merpati.system.publishing import mail_hosts, served_policy
from merpati.system.webdoor import WebDoor, WebParts
from merpati.wire.endpoint import Endpoint
from merpati.wire.listen import ListenSettings
from merpati.wire.tls import TlsContext


@dataclass(frozen=True, slots=True)
class Pages:
    """Of one worker; what it asks of the node, it asks anew each time."""

    node: Node
    settings: Callable[[], Settings]
    """Those in force."""
    challenge: Callable[[str], Awaitable[str]]
    take_posted: Callable[[bytes], Awaitable[None]]

    def doors(
        self,
        web: Sequence[socket],
        challenges: socket | None,
        parts: Callable[[str], WebParts],
        tls: TlsContext,
    ) -> Iterator[tuple[WebDoor, socket]]:
        """All that there are, each with its listening socket; `parts` takes a door's name."""
        table = self.settings().document.http or HttpTable()
        limits = ListenSettings(
            connections=table.connections, connections_per_ip=table.connections_per_address
        )

        def door(name: str, end: Endpoint | None, app: Application) -> WebDoor:
            settings = replace(limits, name=f"{name} {end or ''}")
            return WebDoor(app, parts(name), settings, tls if name == "https" else None)

        for (key, end), listening in zip(table.doors(), web, strict=True):
            is_plain = key == "listen"
            app = self._public() if is_plain else self._strangers()
            yield door("http" if is_plain else "https", end, app), listening
        if challenges is not None:
            yield door("acme", None, http.challenges(self.challenge)), challenges

    def _public(self) -> Application:
        app = http.public(self._health, self._metrics, self._policy, self.challenge)
        return self._with_more(app)

    def _strangers(self) -> Application:
        return self._with_more(http.strangers(self._policy))

    def _with_more(self, app: Application) -> Application:
        table = self.settings().document.http
        if table is not None and table.tls_reports:
            add_tls_reports(app, self.take_posted)
        add_autoconfig(app, self._hosts_of)
        return app

    async def _health(self) -> ask.Health:
        return await self.node.ask(operations.HEALTH, ask.Nothing())

    async def _metrics(self) -> bytes:
        found: list[Series] = await self.node.ask(operations.METRICS, ask.Nothing())
        return exposition(found)

    async def _policy(self, host: str) -> str:
        domains = await self.node.ask(operations.DOMAINS, ask.Nothing())
        return served_policy(self.settings(), host, domains)

    async def _hosts_of(self, domain: str) -> MailHosts | None:
        domains = await self.node.ask(operations.DOMAINS, ask.Nothing())
        return mail_hosts(self.settings(), domain, domains)
