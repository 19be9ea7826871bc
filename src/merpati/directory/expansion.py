"""From the recipients that a client named to those that mail really goes to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec
from msgspec import structs

from merpati.directory.directory import Directory, Resolution
from merpati.directory.errors import DirectoryError
from merpati.directory.following import bare
from merpati.mail.address import Address
from merpati.mail.envelope import Notify, Recipient

_OF_THE_MACHINE = ("postmaster", "root")


class Expansion(msgspec.Struct, frozen=True):
    """Recipients with every alias followed, each address once."""

    recipients: tuple[Recipient, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    """(alias, target) steps that were taken, in order."""
    expanded: tuple[Recipient, ...] = ()
    """Aliases of several targets whose success is to be told: it ended here."""
    forwards: tuple[tuple[Address, str], ...] = ()
    """Recipients that an alias leads to elsewhere, and the domain here that sends them on."""


class NoReturn(DirectoryError):
    """An address in the form of those that notices come back to, which none may come back to."""


class Returns(Protocol):
    """The senders under which this host has sent mail on: notices about it come back to them."""

    def is_one(self, address: Address) -> bool:
        """Whether an address of a domain here has that form."""
        ...

    def original(self, address: Address) -> Address:
        """Whom a notice to such an address is for. Raises NoReturn; the message says why."""
        ...


@dataclass(frozen=True, slots=True)
class Expander:
    """Follows addresses through the directory, with a home for every postmaster.

    RFC 5321 §4.5.1: mail for the postmaster of every domain here is taken. Where nobody has that
    name it goes to the configured reader, else to the first user of the domain or of this host.
    So does the mail of root at this host's own name, which need not be a domain here.
    """

    directory: Directory
    hostname: str
    """The domain of a bare `<postmaster>` (RFC 5321 §4.1.1.3)."""
    postmaster: Address | None = None
    """Who reads the postmaster's mail of domains here that name nobody."""
    reports: tuple[str, ...] = ()
    """The local parts, in lower case, at every domain here to which others send reports."""
    returns: Returns | None = None
    """None: an address of that form is a name like any other."""

    def is_report(self, address: Address) -> bool:
        """Whether mail for it is a report to be read by us. A user of that name keeps his mail."""
        # Asked of every recipient: nearly all of them end here.
        if not address.local.lower().startswith(self.reports):
            return False
        name = bare(address)
        return (
            name.local.lower() in self.reports
            and self.directory.is_local(name.domain)
            and self.directory.user(name) is None
        )

    def is_return(self, address: Address) -> bool:
        """Whether it has the form of an address that notices about forwarded mail come back to. A
        user of that name keeps his mail."""
        return (
            self.returns is not None
            and self.returns.is_one(address)
            # What root at this host's own name has sent on comes back to that name.
            and (self.directory.is_local(address.domain) or self._is_of_this_host(address))
            and self.directory.user(address) is None
        )

    def is_here(self, address: Address) -> bool:
        """Whether mail for this address ends here or is sent on by an alias of ours."""
        return (
            not address.domain
            or self.directory.is_local(address.domain)
            or (self._is_of_this_machine(address) and self._reader(address.domain) is not None)
            or self.is_return(address)
        )

    def find(self, address: Address) -> Resolution | None:
        """Where an address that is here leads; None: nobody.

        Raises DirectoryError for damage, and NoReturn.
        """
        named = address if address.domain else Address(address.local, self.hostname)
        # This host's own name need not be a domain with users; it is ours all the same.
        if self.is_report(named):
            return Resolution(mailboxes=(Address(bare(named).local.lower(), named.domain),))
        if self.returns is not None and self.is_return(named):
            return self._returned(named, self.returns.original(named))
        is_local = self.directory.is_local(named.domain)
        found = self.directory.resolve(named) if is_local else None
        if found is not None or not self._has_stand_in(named):
            return found
        reader = self._reader(named.domain)
        return self._stand_in(named, reader) if reader else None

    def expand(self, recipients: Iterable[Recipient]) -> Expansion:
        """Every alias followed. Someone who has left since RCPT is kept: delivery says so."""
        merged: dict[Address, Recipient] = {}
        steps: list[tuple[str, str]] = []
        expanded: list[Recipient] = []
        forwards: dict[Address, str] = {}
        for recipient in recipients:
            found = self._find_still(recipient.address)
            if found is None:
                _merge(merged, recipient)
                continue
            steps += found.via
            if found.via and len(found.targets) > 1 and Notify.SUCCESS in recipient.notify:
                expanded.append(recipient)
                # RFC 3461 §5.2.7.3 (c): told as expanded here, and asked of nobody behind it.
                recipient = structs.replace(recipient, notify=recipient.notify & ~Notify.SUCCESS)
            for target in found.targets:
                _merge(merged, _sent_on(recipient, target, named=bool(found.via)))
            for target in found.forwards:
                forwards.setdefault(target, recipient.address.domain or self.hostname)
        return Expansion(
            tuple(merged.values()), tuple(steps), tuple(expanded), tuple(forwards.items())
        )

    def _find_still(self, address: Address) -> Resolution | None:
        try:
            return self.find(address) if self.is_here(address) else None
        except NoReturn:
            return None

    def _returned(self, named: Address, original: Address) -> Resolution:
        """To the sender of what we had sent on, who may live here by now."""
        step = (str(named), str(original))
        found = (
            self.directory.resolve(original) if self.directory.is_local(original.domain) else None
        )
        if found is None:
            return Resolution(forwards=(original,), via=(step,))
        return replace(found, via=(step, *found.via))

    def _has_stand_in(self, address: Address) -> bool:
        return address.local.lower() == "postmaster" or self._is_of_this_machine(address)

    def _is_of_this_machine(self, address: Address) -> bool:
        """Whether the machine's own programs write to it, as cron does to root@HOSTNAME."""
        return self._is_of_this_host(address) and address.local.lower() in _OF_THE_MACHINE

    def _is_of_this_host(self, address: Address) -> bool:
        return address.domain.lower() == self.hostname.lower()

    def _reader(self, domain: str) -> Address | None:
        return self.postmaster or self._first_user(domain)

    def _first_user(self, domain: str) -> Address | None:
        user = self.directory.first_user(domain) or self.directory.first_user("")
        return user.address if user else None

    def _stand_in(self, named: Address, postmaster: Address) -> Resolution:
        step = (str(named), str(postmaster))
        if not self.is_here(postmaster):
            return Resolution(forwards=(postmaster,), via=(step,))
        found = self.directory.resolve(postmaster) or Resolution(mailboxes=(postmaster,))
        return replace(found, via=(step, *found.via))


def _sent_on(recipient: Recipient, target: Address, *, named: bool) -> Recipient:
    if not named and recipient.address == target:
        return recipient
    # RFC 3461 §5.2.7: the wishes go along, and ORCPT keeps the address that the sender knows.
    original = recipient.original
    if original is None and named:
        address = str(recipient.address)
        original = f"{'rfc822' if address.isascii() else 'utf-8'};{address}"
    return structs.replace(recipient, address=target, original=original)


def _merge(merged: dict[Address, Recipient], recipient: Recipient) -> None:
    known = merged.get(recipient.address)
    if known is not None:
        # RFC 3461 §4.1: who said no NOTIFY means failures and delays; it has to be said now, or
        # the next host would not hear of what the other one wished.
        recipient = structs.replace(
            known,
            notify=known.notify | recipient.notify,
            named_notify=known.named_notify or recipient.named_notify,
        )
    merged[recipient.address] = recipient
