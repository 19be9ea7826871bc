"""Logins that others vouch for by passwords and tokens, and what happens when nobody answers."""

import asyncio
from base64 import b64encode

import pytest

from merpati.identity.checker import Asked, Bearer, Proof, Unfit
from merpati.identity.errors import IdentityUnavailable
from merpati.journal.events import LoggedIn, LoginFailed
from merpati.mail.address import Address
from merpati.reception.port import Role
from merpati.smtp.sasl.exchange import TokenRefused
from merpati.testing.doors import House, Talker, greeted

OUTSIDE = "outside secret"
PROVIDER = Proof("token", "https://id.a.test", "5f1")


class Outside:
    """Knows one password of everybody, and four tokens."""

    proof = Proof("ldap")

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.asked: list[Asked] = []

    async def is_right(self, asked: Asked) -> bool:
        self.asked.append(asked)
        if not self.answers:
            raise IdentityUnavailable("ldaps://ldap.a.test: refused")
        return asked.password == OUTSIDE

    async def examine(self, token: str) -> Bearer | Unfit:
        if not self.answers:
            raise IdentityUnavailable("https://id.a.test gave no answer")
        if token == "old":
            return Unfit("token out of its time", "", TokenRefused(scope="mail"), PROVIDER)
        return Bearer(f"{token}@a.test", PROVIDER)


async def until(house: House, client: Talker, *lines: str) -> str:
    """The last reply; time passes while a refusal is held back."""
    answer = asyncio.ensure_future(client.say(*lines))
    await house.clock.advance(0)
    while not answer.done():
        await house.clock.advance(1)
    return await answer


async def by_password(house: House, username: str, password: str) -> str:
    async with greeted(house.port(Role.SUBMISSION)) as client:
        await client.start_tls()
        return await client.login(username, password)


async def by_token(house: House, token: str, username: str = "", *more: str) -> str:
    text = f"n,{'a=' + username if username else ''},\x01auth=Bearer {token}\x01\x01"
    async with greeted(house.port(Role.SUBMISSION)) as client:
        await client.start_tls()
        line = b64encode(text.encode()).decode()
        return await until(house, client, f"AUTH OAUTHBEARER {line}", *more)


async def failures(house: House) -> list[tuple[str, str, str]]:
    return [(one.why, one.login, one.detail) for one in await house.events(LoginFailed)]


async def test_a_password_that_others_know_logs_in_a_user_of_ours() -> None:
    house = House(passwords=(outside := Outside()))
    assert (await by_password(house, "ann@a.test", OUTSIDE))[:3] == "235"
    [event] = await house.events(LoggedIn)
    assert (event.login, event.by) == ("ann@a.test", "ldap")
    assert outside.asked == [Asked(Address.parse("ann@a.test"), OUTSIDE, "192.0.2.7")]


async def test_a_password_of_the_directory_is_good_without_asking_anybody() -> None:
    house = House(passwords=(outside := Outside(answers=False)))
    assert (await by_password(house, "ann@a.test", "ann's app secret"))[:3] == "235"
    assert outside.asked == []
    [event] = await house.events(LoggedIn)
    assert (event.program, event.by) == ("app1", "")


@pytest.mark.slow
async def test_who_is_no_user_here_is_let_in_by_nobody() -> None:
    house = House(passwords=(outside := Outside()))
    assert (await by_password(house, "eve@a.test", OUTSIDE))[:3] == "535"
    assert len(outside.asked) == 1  # Asked as for a user: the time does not tell who is one.
    assert (await by_password(house, "ann@else.test", OUTSIDE))[:3] == "535"
    assert len(outside.asked) == 1  # Nobody's password here.


async def test_a_suspended_user_is_let_in_by_nobody() -> None:
    house = House(passwords=Outside())
    house.residents.suspended.add(Address.parse("ann@a.test"))
    assert (await by_password(house, "ann@a.test", OUTSIDE))[:3] == "535"
    assert await failures(house) == [("suspended account", "ann@a.test", "")]


@pytest.mark.parametrize("username", ["ann@a.test", "eve@a.test"])
async def test_no_answer_is_neither_yes_nor_no(username: str) -> None:
    house = House(passwords=Outside(answers=False))
    assert (await by_password(house, username, OUTSIDE)).startswith("454 4.7.0")
    why = ("cannot be checked now", username, "ldaps://ldap.a.test: refused")
    assert await failures(house) == [why]


async def test_an_empty_password_is_malformed_and_nobody_is_asked() -> None:
    house = House(passwords=(outside := Outside()))
    assert (await by_password(house, "ann@a.test", ""))[:3] == "501"
    assert outside.asked == []


async def test_scram_is_not_offered_where_others_know_passwords() -> None:
    async with greeted(House(passwords=Outside()).port(Role.SUBMISSION)) as client:
        await client.start_tls()
        assert "AUTH PLAIN LOGIN\n" in await client.say("EHLO client.test") + "\n"


async def test_guessing_outside_has_the_same_limits() -> None:
    house = House(passwords=(outside := Outside()))
    logins = house.logins()
    for _ in range(10):
        logins.failures.failed("ann@a.test", "192.0.2.7")
    house.logins = lambda: logins  # type: ignore[method-assign]
    assert (await by_password(house, "ann@a.test", OUTSIDE)).startswith("454 4.7.0")
    assert outside.asked == []


@pytest.mark.parametrize("username", ["", "ann@a.test", "ANN@a.test"])
async def test_a_token_logs_in_whom_it_names(username: str) -> None:
    house = House(tokens=Outside())
    assert (await by_token(house, "Ann", username))[:3] == "235"
    [event] = await house.events(LoggedIn)
    assert (event.login, event.mechanism, event.by) == ("ann@a.test", "OAUTHBEARER", "token")
    assert (event.issuer, event.subject) == ("https://id.a.test", "5f1")


@pytest.mark.parametrize(
    ("token", "username", "why", "named"),
    [
        ("bob", "ann@a.test", "of another user", "ann@a.test"),
        ("eve", "", "no user here", "eve@a.test"),
        ("eve", "ann@a.test", "no user here", "ann@a.test"),
        ("old", "", "token out of its time", ""),
    ],
)
async def test_a_token_lets_nobody_else_in(token: str, username: str, why: str, named: str) -> None:
    house = House(tokens=Outside())
    reply = await by_token(house, token, username, "AQ==")
    assert reply == "535 5.7.8 Authentication credentials invalid"
    [event] = await house.events(LoginFailed)
    assert (event.why, event.login, event.subject) == (why, named, "5f1")


async def test_a_refused_token_is_told_what_would_be_good() -> None:
    reply = await by_token(House(tokens=Outside()), "old")
    told = b'{"status": "invalid_token", "schemes": "bearer", "scope": "mail"}'
    assert reply == "334 " + b64encode(told).decode()


async def test_who_hangs_up_behind_the_reason_has_tried_as_well() -> None:
    house = House(tokens=Outside())
    logins = house.logins()
    house.logins = lambda: logins  # type: ignore[method-assign]
    for _ in range(10):
        assert (await by_token(house, "old"))[:3] == "334"
    assert len(await failures(house)) == 10
    assert (await by_token(house, "old")).startswith("454 4.7.0")


async def test_a_provider_that_gives_no_answer_lets_nobody_in() -> None:
    house = House(tokens=Outside(answers=False))
    assert (await by_token(house, "ann")).startswith("454 4.7.0")
    assert (await failures(house))[0][0] == "cannot be checked now"


async def test_tokens_are_offered_only_where_somebody_knows_them_and_never_in_the_clear() -> None:
    port = House(tokens=Outside()).port(Role.SUBMISSION, auth_without_tls=True)
    async with greeted(port) as client:
        assert "OAUTH" not in await client.say("EHLO client.test")
        await client.start_tls()
        assert "OAUTHBEARER XOAUTH2" in await client.say("EHLO client.test")
    async with greeted(House().port(Role.SUBMISSION)) as client:
        await client.start_tls()
        assert "OAUTH" not in await client.say("EHLO client.test")


async def test_a_token_longer_than_a_line_may_be_is_refused_and_the_session_goes_on() -> None:
    house = House(tokens=Outside())
    async with greeted(house.port(Role.SUBMISSION)) as client:
        await client.start_tls()
        assert (await client.say("AUTH OAUTHBEARER " + "A" * 1_000_000)).startswith("500 5.5.2")
        assert (await client.say("NOOP"))[:3] == "250"


@pytest.mark.slow
async def test_neither_password_nor_token_is_in_the_journal() -> None:
    house = House(tokens=Outside(), passwords=Outside())
    await by_password(house, "ann@a.test", OUTSIDE)
    await by_password(house, "ann@a.test", "wrong but secret")
    await by_token(house, "old", "", "AQ==")
    told = repr(await house.journal.follow(0, 1000))
    assert "secret" not in told
    assert "Bearer" not in told
