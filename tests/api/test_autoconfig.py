"""Mail programs ask for their settings, and anybody may ask."""

from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from merpati.api.autoconfig import OUTLOOK, THUNDERBIRD, add_autoconfig
from merpati.setup.autoconfig import MAX_QUESTION, MailHosts, thunderbird

HOSTS = MailHosts("a.test", "mx.a.test", 465, 587, "imap.a.test")
QUESTION = """<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
<Request><EMailAddress>{}</EMailAddress><AcceptableResponseSchema>
http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a
</AcceptableResponseSchema></Request></Autodiscover>"""
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async def hosts_of(domain: str) -> MailHosts | None:
        return HOSTS if domain == "a.test" else None

    app = web.Application(client_max_size=1024)
    add_autoconfig(app, hosts_of)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", THUNDERBIRD)
@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("autoconfig.a.test:80", ""),
        ("a.test", ""),
        ("proxy.internal", "?emailaddress=ann%40a.test"),
    ],
)
async def test_thunderbird_is_told_every_server(
    client: Client, path: str, host: str, query: str
) -> None:
    told = await client.get(path + query, headers={"Host": host})
    assert (told.status, told.content_type) == (200, "text/xml")
    provider = ElementTree.fromstring(await told.text()).find("emailProvider")
    assert provider is not None
    servers = [[each.text for each in one] for one in provider if one.tag.endswith("Server")]
    assert servers == [
        ["imap.a.test", "993", "SSL", "%EMAILADDRESS%", "password-cleartext"],
        ["mx.a.test", "465", "SSL", "%EMAILADDRESS%", "password-cleartext"],
        ["mx.a.test", "587", "STARTTLS", "%EMAILADDRESS%", "password-cleartext"],
    ]


@pytest.mark.parametrize("path", OUTLOOK)
async def test_outlook_is_told_one_server_of_each_kind(client: Client, path: str) -> None:
    told = await client.post(path, data=QUESTION.format("a&amp;b@a.test"))
    assert told.status == 200
    root = ElementTree.fromstring(await told.text())
    found = {one.tag.rpartition("}")[2]: one.text for one in root.iter()}
    assert (found["Type"], found["Server"], found["Port"]) == ("SMTP", "mx.a.test", "465")
    assert found["LoginName"] == "a&b@a.test"
    assert [one.text for one in root.iter() if one.tag.endswith("}Type")] == ["IMAP", "SMTP"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 100,
        QUESTION.format("ann@b.test").encode(),
        QUESTION.format("x<!--@").encode(),
    ],
)
async def test_what_is_no_question_about_a_domain_here_is_not_found(
    client: Client, body: bytes
) -> None:
    assert (await client.post(OUTLOOK[0], data=body)).status == 404
    for host in ("autoconfig.b.test", "autoconfig.", "[::1]:80"):
        assert (await client.get(THUNDERBIRD[0], headers={"Host": host})).status == 404


async def test_a_long_question_is_not_read_to_its_end(client: Client) -> None:
    body = b" " * (MAX_QUESTION + 1) + QUESTION.format("ann@a.test").encode()
    assert (await client.post(OUTLOOK[0], data=body)).status == 404


def test_without_a_host_for_mailboxes_only_sending_is_told() -> None:
    assert "incomingServer" not in thunderbird(MailHosts("a.test", "mx.a.test", 465))
