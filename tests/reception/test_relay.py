"""Open relay: what scanners try against every server, and what they get here (threats 11)."""

import pytest

from merpati.journal.events import Accepted, Refused
from merpati.reception.port import Role
from merpati.testing.doors import House, greeted, networks

# The sixteen combinations that public scanners send. HOST is ours, ip is our address.
SENDERS = ("antispam@a.test", "antispam@[192.0.2.1]", "relaytest%x.test@a.test", "")
RECIPIENTS = (
    "relaytest%nmap.test@[192.0.2.1]",
    "relaytest%nmap.test@a.test",
    '"relaytest@nmap.test"',
    '"relaytest%nmap.test"',
    "relaytest@nmap.test@[192.0.2.1]",
    '"relaytest@nmap.test"@[192.0.2.1]',
    "relaytest@nmap.test@a.test",
    "@[192.0.2.1]:relaytest@nmap.test",
    "@a.test:relaytest@nmap.test",
    "nmap.test!relaytest",
    "nmap.test!relaytest@[192.0.2.1]",
    "nmap.test!relaytest@a.test",
    "relaytest@nmap.test",
    '"relaytest@nmap.test"@a.test',
    "relaytest%nmap.test%a.test@a.test",
    "@a.test,@b.test:relaytest@nmap.test",
)


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("recipient", RECIPIENTS)
async def test_no_combination_relays_for_a_stranger(sender: str, recipient: str) -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.say(f"MAIL FROM:<{sender}>")
        reply = await client.say(f"RCPT TO:<{recipient}>")
        assert reply.startswith("5"), reply
        assert (await client.say("DATA")).startswith("503")
    assert await house.events(Accepted) == []
    assert await house.events(Refused) != []


@pytest.mark.parametrize("recipient", RECIPIENTS)
async def test_nor_does_a_submission_port_without_a_login(recipient: str) -> None:
    async with greeted(House().port(Role.SUBMISSION)) as client:
        assert (await client.say("MAIL FROM:<antispam@a.test>")).startswith("530 5.7.0")
        assert (await client.say(f"RCPT TO:<{recipient}>")).startswith("5")


async def test_a_catch_all_does_not_turn_a_percent_into_a_route() -> None:
    house = House()
    house.residents.alias("*@a.test", "ann@a.test")
    async with greeted(house.port()) as client:
        await client.send(b"Subject: Hi\r\n\r\n", "victim%elsewhere.test@a.test")
    [accepted] = await house.events(Accepted)
    assert accepted.recipients == ("ann@a.test",)


async def test_a_source_route_leads_to_its_last_domain_alone() -> None:
    house = House()
    async with greeted(house.port()) as client:
        await client.send(b"Subject: Hi\r\n\r\n", "@elsewhere.test:ann@a.test")
    [accepted] = await house.events(Accepted)
    assert accepted.recipients == ("ann@a.test",)


async def test_a_listed_network_relays_and_its_neighbour_does_not() -> None:
    port = House().port(trusted=networks("192.0.2.0/28"))
    async with greeted(port, "192.0.2.15") as client:
        assert (await client.send(b"Subject: Hi\r\n\r\n", "x@c.test")).startswith("250")
    async with greeted(port, "192.0.2.16") as client:
        assert (await client.send(b"Subject: Hi\r\n\r\n", "x@c.test")).startswith("550 5.7.1")


async def test_xclient_is_only_for_listed_peers() -> None:
    port = House().port(trusted=networks("10.0.0.0/8"), xclient=networks("192.0.2.7/32"))
    async with greeted(port, "192.0.2.8") as client:
        assert (await client.say("XCLIENT ADDR=10.0.0.1")).startswith("550")
        assert (await client.send(b"Subject: Hi\r\n\r\n", "x@c.test")).startswith("550 5.7.1")


async def test_trust_is_that_of_the_address_which_xclient_names() -> None:
    house = House()
    port = house.port(trusted=networks("192.0.2.7/32"), xclient=networks("192.0.2.7/32"))
    async with greeted(port, "192.0.2.7") as client:
        said = "XCLIENT ADDR=198.51.100.9 NAME=far.test PORT=[UNAVAILABLE]"
        assert (await client.say(said)).startswith("220")
        assert (await client.say("EHLO far.test")).startswith("250")
        assert (await client.send(b"Subject: Hi\r\n\r\n", "x@c.test")).startswith("550 5.7.1")
        assert (await client.say("RSET")).startswith("250")
        await client.send(b"Subject: Hi\r\n\r\n", "ann@a.test")
    [accepted] = await house.events(Accepted)
    assert (accepted.ip, accepted.client, accepted.helo) == ("198.51.100.9", "far.test", "far.test")


async def test_xclient_may_log_somebody_in_who_then_sends_as_itself() -> None:
    house = House()
    port = house.port(xclient=networks("192.0.2.7/32"))
    async with greeted(port, "192.0.2.7") as client:
        said = "XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=ann@a.test"
        assert (await client.say(said)).startswith("220")
        await client.say("EHLO far.test")
        assert (await client.say("MAIL FROM:<bob@a.test>")).startswith("553")
        reply = await client.send(b"Subject: Hi\r\n\r\n", "x@c.test", sender="ann@a.test")
        assert reply.startswith("250")
    [accepted] = await house.events(Accepted)
    assert (accepted.ip, accepted.login) == ("2001:db8::1", "ann@a.test")


@pytest.mark.parametrize("attributes", ["ADDR=not-an-ip", "PORT=many", "LOGIN=nobody"])
async def test_xclient_nonsense_is_refused(attributes: str) -> None:
    port = House().port(xclient=networks("192.0.2.7/32"))
    async with greeted(port, "192.0.2.7") as client:
        assert (await client.say(f"XCLIENT {attributes}")).startswith("501")


async def test_a_refused_xclient_brings_no_trust() -> None:
    port = House().port(trusted=networks("10.0.0.0/8"), xclient=networks("192.0.2.7/32"))
    async with greeted(port, "192.0.2.7") as client:
        assert (await client.say("XCLIENT ADDR=10.0.0.1 LOGIN=nobody")).startswith("501")
        assert (await client.send(b"Subject: Hi\r\n\r\n", "x@c.test")).startswith("550 5.7.1")
