"""A directory in dictionaries: who lives here, for tests of what asks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from merpati.directory.directory import Resolution, Secret, User
from merpati.directory.errors import DirectoryError
from merpati.directory.password import make_secret
from merpati.mail.address import Address


@dataclass
class Residents:
    """`Directory` that a test fills by hand."""

    domains: set[str] = field(default_factory=set)
    passwords: dict[Address, list[Secret]] = field(default_factory=dict)
    aliases: dict[Address, tuple[Address, ...]] = field(default_factory=dict)
    uses: list[tuple[int, float]] = field(default_factory=list)
    suspended: set[Address] = field(default_factory=set)
    damaged: bool = False
    """Every alias leads in a circle."""

    def move_in(self, address: str, *passwords: str) -> None:
        """A user; the first password is their own, more belong to programs `app1`, `app2` …"""
        user = Address.parse(address)
        self.domains.add(user.domain)
        self.passwords[user] = list(_secrets(user, passwords))

    def alias(self, address: str, *targets: str) -> None:
        """An alias; the local part `*` is a catch-all."""
        alias = Address.parse(address)
        self.domains.add(alias.domain)
        self.aliases[alias] = tuple(map(Address.parse, targets))

    def is_local(self, domain: str) -> bool:
        """Domains of users and aliases."""
        return domain in self.domains

    def resolve(self, address: Address) -> Resolution | None:
        """One level of aliases is enough here."""
        if self.damaged:
            raise DirectoryError("an alias leads in a circle")
        if address in self.passwords:
            return Resolution(mailboxes=(address,))
        catch_all = Address("*", address.domain)
        targets = self.aliases.get(address) or self.aliases.get(catch_all)
        if targets is None:
            return None
        return Resolution(
            mailboxes=tuple(target for target in targets if target in self.passwords),
            forwards=tuple(target for target in targets if target not in self.passwords),
            via=tuple((str(address), str(target)) for target in targets),
        )

    def user(self, address: Address) -> User | None:
        """The user with this address, whatever its case."""
        wanted = (address.local.lower(), address.domain)
        for user in self.passwords:
            if (user.local.lower(), user.domain) == wanted:
                return User(user, user in self.suspended)
        return None

    def first_user(self, domain: str) -> User | None:
        """The first who moved in."""
        users = (User(user) for user in self.passwords if domain in ("", user.domain))
        return next(users, None)

    def secrets(self, address: Address) -> Sequence[Secret]:
        """What a login may use."""
        user = self.user(address)
        return () if user is None or user.suspended else self.passwords[user.address]

    def may_send_as(self, login: Address, sender: Address) -> bool:
        """Itself, and aliases that lead to it."""
        return sender == login or login in self.aliases.get(sender, ())

    def used(self, secret: int, at: float) -> None:
        """Kept in `uses`."""
        self.uses.append((secret, at))


@lru_cache
def _secrets(user: Address, passwords: tuple[str, ...]) -> tuple[Secret, ...]:
    """Hashed once in a run of the tests, since hashing is made to take long."""
    kept: list[Secret] = []
    for n, password in enumerate(passwords):
        like = kept[0] if kept else None
        secret = make_secret(f"app{n}" if n else "", password, _salt_of(user), like)
        kept.append(replace(secret, id=n + 1))
    return tuple(kept)


def _salt_of(user: Address) -> Callable[[int], bytes]:
    """Entropy that is different for each user and the same in each run."""
    return lambda size: str(user).encode().ljust(size, b".")[:size]
