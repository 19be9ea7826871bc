"""What every `Directory` with its `Registrar` does."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from merpati.directory.directory import (
    Directory,
    Quotas,
    Registrar,
    Secret,
    Suspension,
    User,
)
from merpati.directory.errors import DirectoryError
from merpati.mail.address import Address


class Engine(Directory, Registrar, Protocol):
    """Both halves in one."""


Check = Callable[[Engine], Awaitable[None]]

ANN, BOB = Address("ann", "a.test"), Address("bob", "a.test")
FAR = Address("far", "else.test")
WHY = Suspension(50.0, "its password is known")


def a_secret(name: str = "") -> Secret:
    """A secret that nobody can guess."""
    return Secret(name, "$argon2id$", b"salt", 4096, b"stored", b"server")


async def _settled(engine: Engine) -> None:
    await engine.add_domain("a.test")
    await engine.add_user(ANN, a_secret())
    await engine.add_user(BOB, a_secret())


async def _refuses(change: Awaitable[None]) -> None:
    try:
        await change
    except DirectoryError:
        return
    raise AssertionError("the directory took what it must refuse")


async def a_user_gets_mail_whatever_the_case_and_the_detail(engine: Engine) -> None:
    await _settled(engine)
    for local in ("ann", "ANN", "Ann+lists"):
        found = engine.resolve(Address(local, "a.test"))
        assert found is not None
        assert found.mailboxes == (ANN,)
        assert found.via == ()


async def nobody_gets_nothing(engine: Engine) -> None:
    await _settled(engine)
    assert engine.resolve(Address("eve", "a.test")) is None
    assert engine.is_local("a.test")
    assert not engine.is_local("else.test")


async def a_change_is_seen_at_once(engine: Engine) -> None:
    await _settled(engine)
    eve = Address("eve", "a.test")
    assert engine.user(eve) is None
    await engine.add_user(eve, a_secret())
    assert engine.user(eve) is not None
    await engine.remove_user(eve)
    assert engine.user(eve) is None
    assert engine.secrets(eve) == ()


async def an_alias_leads_to_mailboxes_and_strangers_once_each(engine: Engine) -> None:
    await _settled(engine)
    team, all_ = Address("team", "a.test"), Address("all", "a.test")
    await engine.add_alias(team, [ANN, FAR])
    await engine.add_alias(all_, [team, BOB, ANN])
    found = engine.resolve(Address("all+x", "a.test"))
    assert found is not None
    assert found.mailboxes == (ANN, BOB)
    assert found.forwards == (FAR,)
    assert ("team@a.test", "far@else.test") in found.via


async def the_catch_all_takes_what_nobody_else_does(engine: Engine) -> None:
    await _settled(engine)
    await engine.add_alias(Address("*", "a.test"), [BOB])
    assert engine.resolve(ANN).mailboxes == (ANN,)  # type: ignore[union-attr]  # ann is there
    found = engine.resolve(Address("whoever", "a.test"))
    assert found is not None
    assert found.mailboxes == (BOB,)


async def a_loop_is_refused_when_it_is_made(engine: Engine) -> None:
    await _settled(engine)
    one, two = Address("one", "a.test"), Address("two", "a.test")
    await _refuses(engine.add_alias(one, [one]))
    await engine.add_alias(one, [ANN])
    await engine.add_alias(two, [one])
    await engine.remove_alias(one)
    await _refuses(engine.add_alias(one, [BOB, two]))
    assert engine.resolve(one) is None


async def an_alias_to_nobody_here_is_refused(engine: Engine) -> None:
    await _settled(engine)
    await _refuses(engine.add_alias(Address("x", "a.test"), [Address("eve", "a.test")]))


async def a_name_is_given_once(engine: Engine) -> None:
    await _settled(engine)
    await _refuses(engine.add_domain("a.test"))
    await _refuses(engine.add_user(Address("ANN", "a.test"), a_secret()))
    await _refuses(engine.add_alias(ANN, [BOB]))
    await _refuses(engine.add_user(Address("x", "else.test"), a_secret()))
    assert len(await engine.users()) == 2


async def a_user_may_have_no_password_and_be_given_one(engine: Engine) -> None:
    await _settled(engine)
    eve = Address("eve", "a.test")
    await engine.add_user(eve, None)
    assert engine.user(eve) is not None
    assert engine.secrets(eve) == ()
    await engine.set_secret(eve, a_secret("phone"))
    assert [secret.name for secret in engine.secrets(eve)] == ["phone"]


async def only_an_empty_domain_goes(engine: Engine) -> None:
    await _settled(engine)
    await _refuses(engine.remove_domain("a.test"))
    await engine.remove_user(ANN)
    await engine.remove_user(BOB)
    await engine.remove_domain("a.test")
    assert await engine.domains() == []


async def the_own_password_comes_first(engine: Engine) -> None:
    await _settled(engine)
    await engine.set_secret(ANN, a_secret("thunderbird"))
    await engine.set_secret(ANN, a_secret("phone"))
    await engine.set_secret(ANN, a_secret("phone"))
    assert [secret.name for secret in engine.secrets(ANN)] == ["", "phone", "thunderbird"]
    await engine.revoke_secret(ANN, "phone")
    await _refuses(engine.revoke_secret(ANN, "phone"))
    assert len(engine.secrets(ANN)) == 2


async def a_suspended_user_has_no_secrets_but_gets_mail(engine: Engine) -> None:
    await _settled(engine)
    assert await engine.suspend(ANN, WHY, login=True)
    assert engine.secrets(ANN) == ()
    assert not engine.may_send_as(ANN, ANN)
    assert engine.resolve(ANN) is not None
    await engine.resume(ANN, 60.0)
    assert len(engine.secrets(ANN)) == 1


async def the_first_user_is_the_oldest_who_is_not_suspended(engine: Engine) -> None:
    assert engine.first_user("") is None
    await _settled(engine)
    await engine.add_domain("b.test")
    for domain, user in (("a.test", ANN), ("b.test", None), ("", ANN)):
        assert engine.first_user(domain) == (User(user) if user else None)
    await engine.suspend(ANN, WHY, login=True)
    assert engine.first_user("a.test") == User(BOB)


async def a_login_sends_as_itself_its_details_and_its_aliases(engine: Engine) -> None:
    await _settled(engine)
    sales = Address("sales", "a.test")
    await engine.add_alias(sales, [ANN])
    assert engine.may_send_as(ANN, Address("ann+x", "a.test"))
    assert engine.may_send_as(ANN, sales)
    assert not engine.may_send_as(BOB, sales)
    assert not engine.may_send_as(ANN, BOB)
    assert not engine.may_send_as(ANN, FAR)


async def a_login_sends_as_what_it_was_granted_until_that_is_taken_away(engine: Engine) -> None:
    await _settled(engine)
    for granted in (FAR, Address("", "shop.test"), FAR):
        await engine.grant(ANN, granted)
    assert await engine.grants(ANN) == [FAR, Address("", "shop.test")]
    for sender in (FAR, Address("FAR+x", "else.test"), Address("any", "shop.test"), ANN):
        assert engine.may_send_as(ANN, sender)
    for sender in (Address("any", "else.test"), Address("x", "sub.shop.test"), BOB):
        assert not engine.may_send_as(ANN, sender)
    assert not engine.may_send_as(BOB, FAR)
    await engine.ungrant(ANN, FAR)
    await _refuses(engine.ungrant(ANN, FAR))
    await _refuses(engine.grant(FAR, ANN))
    assert not engine.may_send_as(ANN, FAR)
    await engine.remove_user(ANN)
    await engine.add_user(ANN, None)
    assert await engine.grants(ANN) == []


async def an_account_knows_since_when_it_is_there(engine: Engine) -> None:
    await _settled(engine)
    await engine.remove_user(ANN)
    await engine.add_user(ANN, None, 70.0)
    ann = engine.user(ANN)
    assert ann is not None
    assert ann.made == 70.0


async def who_may_not_send_logs_in_all_the_same(engine: Engine) -> None:
    await _settled(engine)
    assert await engine.suspend(ANN, WHY, told=False)
    assert not await engine.suspend(ANN, Suspension(51.0, "later"), told=False)
    ann = engine.user(ANN)
    assert ann is not None
    assert (ann.suspended, ann.suspension) == (False, WHY)
    assert engine.secrets(ANN)
    assert engine.first_user("a.test") == ann
    assert await engine.suspensions() == [(ann, False)]
    await engine.owner_told(ANN)
    assert await engine.suspensions() == [(ann, True)]
    assert await engine.suspend(ANN, Suspension(52.0, "an operator"), login=True)
    assert not await engine.suspend(ANN, Suspension(53.0, "by itself"), told=False)
    await engine.resume(ANN, 60.0)
    assert engine.user(ANN) == User(ANN, since=60.0)
    assert await engine.suspensions() == []


async def quotas_are_a_users_own(engine: Engine) -> None:
    await _settled(engine)
    await engine.set_quotas(ANN, Quotas(5, 0))
    assert engine.user(ANN) == User(ANN, quotas=Quotas(5, 0, None))
    assert engine.user(BOB) == User(BOB)


async def lists_are_by_name_and_by_domain(engine: Engine) -> None:
    await _settled(engine)
    await engine.add_domain("b.test")
    await engine.add_alias(Address("hi", "b.test"), [ANN, FAR])
    assert [user.address for user in await engine.users("a.test")] == [ANN, BOB]
    assert await engine.users("b.test") == []
    assert await engine.aliases("b.test") == [(Address("hi", "b.test"), (ANN, FAR))]


async def the_use_of_a_secret_is_noted(engine: Engine) -> None:
    await _settled(engine)
    (secret,) = engine.secrets(ANN)
    engine.used(secret.id, 1000.0)
    await engine.add_domain("later.test")
    assert engine.secrets(ANN)[0].last_used == 1000.0


CHECKS: tuple[Check, ...] = (
    a_user_gets_mail_whatever_the_case_and_the_detail,
    nobody_gets_nothing,
    a_change_is_seen_at_once,
    an_alias_leads_to_mailboxes_and_strangers_once_each,
    the_catch_all_takes_what_nobody_else_does,
    a_loop_is_refused_when_it_is_made,
    an_alias_to_nobody_here_is_refused,
    a_name_is_given_once,
    a_user_may_have_no_password_and_be_given_one,
    only_an_empty_domain_goes,
    the_own_password_comes_first,
    a_suspended_user_has_no_secrets_but_gets_mail,
    the_first_user_is_the_oldest_who_is_not_suspended,
    a_login_sends_as_itself_its_details_and_its_aliases,
    a_login_sends_as_what_it_was_granted_until_that_is_taken_away,
    an_account_knows_since_when_it_is_there,
    who_may_not_send_logs_in_all_the_same,
    quotas_are_a_users_own,
    lists_are_by_name_and_by_domain,
    the_use_of_a_secret_is_noted,
)
