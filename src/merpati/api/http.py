"""The HTTP doors: the control socket with every operation, and the public ones with some pages.

On the control socket each operation of the table is `POST /v1/{name}`; an error is
`{"error": "what is wrong and what to do"}` with 404, 409 or 422. Who may open the socket's file
may do everything, so it lies in a directory of our own with mode 0600.
"""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from merpati.api.errors import Mistaken, Unknown
from merpati.api.operations import OPERATIONS, Counter, Operation
from merpati.api.questions import Health, Question
from merpati.errors import MerpatiError
from merpati.setup.sts import PATH

PREFIX = "/v1/"
_JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.Response]]


def control(counter: Counter) -> web.Application:
    """The application behind a control socket: of a shard, or of the whole node."""
    app = web.Application(client_max_size=max(one.max_octets for one in OPERATIONS))
    for operation in OPERATIONS:
        app.router.add_post(PREFIX + operation.name, _answer(counter, operation))
    return app


def _answer(counter: Counter, operation: Operation[Question, object]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        if (request.content_length or 0) > operation.max_octets:
            return _error(413, f"at most {operation.max_octets} octets")
        try:
            question = msgspec.json.decode(await request.read(), type=operation.question)
            return _json(200, await counter.ask(operation, question))
        except msgspec.ValidationError as error:
            return _error(422, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _error(400, f"this is not JSON: {error}")
        except MerpatiError as error:
            return _error(_code(error), str(error))

    return answer


def _code(error: MerpatiError) -> int:
    if isinstance(error, Unknown):
        return 404
    return 422 if isinstance(error, Mistaken) else 409


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type=_JSON)


def _error(status: int, text: str) -> web.Response:
    return _json(status, {"error": text})


def public(
    health: Callable[[], Awaitable[Health]],
    metrics: Callable[[], Awaitable[bytes]],
    policy: Callable[[str], Awaitable[str]],
    challenge: Callable[[str], Awaitable[str]],
) -> web.Application:
    """The application on `[http] listen`: some pages, and nothing that changes anything.

    `/healthz` is 200 while mail is accepted, and 503 with the trouble otherwise, so that a
    balancer can tell; notices follow, a line each.
    """

    async def healthz(_: web.Request) -> web.Response:
        told = await health()
        lines = [told.trouble or "ok", *told.notices]
        return web.Response(status=503 if told.trouble else 200, text="\n".join([*lines, ""]))

    async def exposition(_: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=await metrics(), headers=headers)

    app = challenges(challenge)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", exposition)
    _add_policy(app, policy)
    return app


def strangers(policy: Callable[[str], Awaitable[str]]) -> web.Application:
    """The application on `[http] https`: what everybody may ask, and nothing about ourselves."""
    app = web.Application(client_max_size=1024)
    _add_policy(app, policy)
    return app


def _add_policy(app: web.Application, policy: Callable[[str], Awaitable[str]]) -> None:
    """`policy` takes the host that was asked and gives its text of MTA-STS."""

    async def sts(request: web.Request) -> web.Response:
        if text := await policy(request.host):
            # RFC 8461 §3.2: the media type is text/plain.
            return web.Response(text=text)
        return web.Response(status=404, text="no policy of MTA-STS here\n")

    app.router.add_get(PATH, sts)


def challenges(answer: Callable[[str], Awaitable[str]]) -> web.Application:
    """The application that proves to a CA that this host's names are ours (RFC 8555 §8.3).

    `answer` takes the token that the CA asks for.
    """

    async def prove(request: web.Request) -> web.Response:
        if text := await answer(request.match_info["token"]):
            return web.Response(text=text, content_type="application/octet-stream")
        return web.Response(status=404, text="no challenge here\n")

    app = web.Application(client_max_size=1024)
    app.router.add_get("/.well-known/acme-challenge/{token}", prove)
    return app
