"""What the control socket and the public door refuse."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from merpati.api import http
from merpati.api.questions import Health
from merpati.config.settings import load
from merpati.setup.sts import PATH
from merpati.system.office import own_counter


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    file = tmp_path / "merpati.toml"
    file.write_text("")
    async with own_counter(load(file)) as counter:
        assert counter is not None
        async with TestClient(TestServer(http.control(counter))) as client:
            yield client


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b'{"filter": {"domain": "\xff"}}', 400),
        (b'{"filter": ' + b"[" * 2000, 422),
        (b"[]", 422),
        (b'{"filtre": {}}', 422),
        (b'{"limit": 0}', 422),
        (b'{"limit": 100000}', 422),
        (b'{"filter": {"state": "gone"}}', 422),
        (b'{"filter": {"domain": "%s"}}' % (b"a" * 2000), 422),
        (b"{}", 200),
    ],
)
async def test_a_question_is_read_strictly(client: TestClient, body: bytes, status: int) -> None:  # type: ignore[type-arg]
    answer = await client.post("/v1/queue/list", data=body)
    assert answer.status == status
    assert ("error" in await answer.json()) == (status != 200)


@pytest.mark.slow
async def test_a_question_has_a_size(client: TestClient) -> None:  # type: ignore[type-arg]
    answer = await client.post("/v1/queue/list", data=io.BytesIO(b" " * (1024 * 1024 + 1)))
    assert answer.status == 413


async def test_what_is_no_operation_is_not_found(client: TestClient) -> None:  # type: ignore[type-arg]
    assert (await client.post("/v1/shell")).status == 404
    assert (await client.get("/v1/queue/list")).status == 405


async def test_health_follows_the_server_and_nothing_else_is_there() -> None:
    why = ""

    async def health() -> Health:
        return Health(trouble=why, notices=("reports were set aside",))

    async def metrics() -> bytes:
        return b"merpati 1\n"

    async def policy(host: str) -> str:
        return "version: STSv1\r\n" if host == "mta-sts.a.test" else ""

    async def challenge(token: str) -> str:
        return f"{token}.print" if token == "t0ken" else ""

    app = http.public(health, metrics, policy, challenge)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/healthz")
        assert (answer.status, await answer.text()) == (200, "ok\nreports were set aside\n")
        assert await (await client.get("/metrics")).read() == b"merpati 1\n"
        assert (await client.post("/v1/stop")).status == 404
        assert (await client.get(PATH, headers={"Host": "a.test"})).status == 404
        told = await client.get(PATH, headers={"Host": "mta-sts.a.test"})
        assert (await told.text(), told.content_type) == ("version: STSv1\r\n", "text/plain")
        answer = await client.get("/.well-known/acme-challenge/t0ken")
        assert await answer.text() == "t0ken.print"
        for path in ("other", "..%2fmetrics", "", "t0ken/more"):
            answer = await client.get(f"/.well-known/acme-challenge/{path}")
            assert answer.status == 404
        why = "the disk is full"
        assert (await client.get("/healthz")).status == 503
