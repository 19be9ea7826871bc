"""Where an address leads, on any engine that can look up one name at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from merpati.directory.directory import Resolution, User
from merpati.directory.errors import DirectoryError
from merpati.mail.address import Address

MAX_TARGETS = 1_000
CATCH_ALL = "*"


class Names(Protocol):
    """One look at one name; case of the local part does not matter."""

    def is_local(self, domain: str) -> bool:
        """Whether mail for `domain` ends here."""
        ...

    def user(self, address: Address) -> User | None:
        """The user of exactly this name."""
        ...

    def targets(self, alias: Address) -> Sequence[Address]:
        """What exactly this alias stands for; empty when there is none."""
        ...


def bare(address: Address) -> Address:
    """Without its `+detail`."""
    return Address(address.local.partition("+")[0] or address.local, address.domain)


def same(one: Address, other: Address) -> bool:
    """Whether two addresses are one mailbox here."""
    return one.domain == other.domain and one.local.lower() == other.local.lower()


def follow(names: Names, address: Address) -> Resolution | None:
    """Every alias followed; None when nobody is there. DirectoryError for a loop or too many."""
    walk = _Walk(names)
    walk.visit(address, ())
    if not walk.mailboxes and not walk.forwards:
        return None
    return Resolution(tuple(walk.mailboxes), tuple(walk.forwards), tuple(walk.via))


def check_alias(names: Names, alias: Address, targets: Sequence[Address]) -> None:
    """DirectoryError when an alias to these would lead in a circle, nowhere, or too far."""
    planned = _Planned(names, alias, targets)
    for target in targets:
        if follow(planned, target) is None and names.is_local(target.domain):
            raise DirectoryError(f"nobody has the address {target}")
    follow(planned, alias)


class Grants(Names, Protocol):
    """Names, and what was granted besides them."""

    def senders(self, login: Address) -> Sequence[Address]:
        """What a user may send as beside its own; an empty local part is the whole domain."""
        ...


def may_send(names: Grants, login: Address, sender: Address) -> bool:
    """The user's own address, its +details, aliases that lead to it, and what was granted."""
    user = names.user(login)
    if user is None or user.suspended:
        return False
    if names.is_local(sender.domain):
        found = follow(names, sender)
        if found is not None and any(same(user.address, one) for one in found.mailboxes):
            return True
    return any(_covers(granted, sender) for granted in names.senders(login))


def _covers(granted: Address, sender: Address) -> bool:
    """An address with its +details, or all of a domain."""
    if not granted.local:
        return granted.domain == sender.domain
    return same(granted, sender) or same(granted, bare(sender))


@dataclass(slots=True)
class _Walk:
    """One walk from an address to its ends, each kept once, in order."""

    names: Names
    mailboxes: dict[Address, None] = field(default_factory=dict)
    forwards: dict[Address, None] = field(default_factory=dict)
    via: dict[tuple[str, str], None] = field(default_factory=dict)

    def visit(self, address: Address, path: tuple[Address, ...]) -> None:
        """Follow one address; `path` are the aliases that led here."""
        if not self.names.is_local(address.domain):
            self._end(self.forwards, address)
            return
        for name in _candidates(address):
            user = self.names.user(name)
            if user is not None:
                self._end(self.mailboxes, user.address)
                return
            targets = self.names.targets(name)
            if targets:
                self._branch(address, name, targets, path)
                return

    def _branch(
        self,
        address: Address,
        alias: Address,
        targets: Sequence[Address],
        path: tuple[Address, ...],
    ) -> None:
        if any(same(alias, passed) for passed in path):
            raise DirectoryError(f"the alias {alias} leads in a circle")
        for target in targets:
            step = str(address), str(target)
            if step not in self.via:
                self.via[step] = None
                self.visit(target, (*path, alias))
            elif any(same(target, passed) for passed in path):
                raise DirectoryError(f"the alias {target} leads in a circle")

    def _end(self, ends: dict[Address, None], address: Address) -> None:
        ends[address] = None
        if len(self.mailboxes) + len(self.forwards) > MAX_TARGETS:
            raise DirectoryError(f"more than {MAX_TARGETS} addresses at the end of one alias")


@dataclass(frozen=True, slots=True)
class _Planned:
    """The names as they would be with one alias more."""

    names: Names
    alias: Address
    planned: Sequence[Address]

    def is_local(self, domain: str) -> bool:
        return self.names.is_local(domain)

    def user(self, address: Address) -> User | None:
        return self.names.user(address)

    def targets(self, alias: Address) -> Sequence[Address]:
        return self.planned if same(alias, self.alias) else self.names.targets(alias)


def _candidates(address: Address) -> list[Address]:
    """The exact name, the name without its +detail, the domain's catch-all."""
    short = bare(address)
    exact = [address] if short == address else [address, short]
    return [*exact, Address(CATCH_ALL, address.domain)]
