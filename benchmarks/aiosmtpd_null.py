"""`python aiosmtpd_null.py PORT`, with the Python of its own venv: aiosmtpd on uvloop."""

import asyncio
import sys

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session


class Null:
    """A handler that takes every message and keeps none."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Forgotten."""
        return "250 OK"


async def serve(port: int) -> None:
    """Until a signal ends us."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Null(), hostname="mx.example.org", data_size_limit=None, loop=loop),
        "127.0.0.1",
        port,
        backlog=1024,
    )
    await server.serve_forever()


uvloop.install()
asyncio.run(serve(int(sys.argv[1])))
