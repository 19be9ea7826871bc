"""Where operators are served: one plain method for each thing they can ask or do.

The same office answers over the control socket of a running server and inside a command when no
server runs, so that commands work either way.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from merpati.api import questions as ask
from merpati.api.certificates import CertificateOffice
from merpati.api.dkim import DkimOffice
from merpati.api.doors import Doors
from merpati.api.errors import Mistaken, Unknown
from merpati.api.moments import BY, moment, optional_moment
from merpati.api.names import named_address, named_domain
from merpati.api.reports import ReportOffice
from merpati.api.sites import SiteOffice
from merpati.api.srs import SrsOffice
from merpati.clock import Clock
from merpati.directory.directory import Directory, Quotas, Registrar, Secret, Suspension, User
from merpati.directory.usage import DAY, Usage
from merpati.journal.events import AccountResumed, AccountSuspended, Event
from merpati.journal.journal import Journal
from merpati.mail.address import Address
from merpati.queue.entry import Listed, Selection, State
from merpati.queue.queue import Desk, Queue
from merpati.report.waiting import Waits
from merpati.smtp.sasl.exchange import SaslError
from merpati.smtp.sasl.preparation import password_of

# NIST SP 800-63B §5.1.1.2: eight at least, and no rules about their kinds.
_MIN_PASSWORD = 8
_SAID_SO = "an administrator said so"
_MAX_WAITING = 100
"""Recipients of one message that a story tells of as waiting."""

MakeSecret = Callable[[str, str, Secret | None], Awaitable[Secret]]
"""Of a program's name (empty for the own password), a password, and any secret that the account
has already."""


def state_name(state: State) -> str:
    """A state as people write it: `in-hand`."""
    return state.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class QueueOffice:
    """What can be asked of the queue and done to it."""

    queue: Queue
    desk: Desk
    clock: Clock
    knows_route: Callable[[str], bool]
    """Whether a route of this name can be given to a message."""

    def _selection(self, wanted: ask.Filter) -> Selection:
        return Selection(
            ids=wanted.ids,
            domain=wanted.domain and named_domain(wanted.domain),
            sender=wanted.sender,
            recipient=wanted.recipient,
            state=State[wanted.state.upper().replace("-", "_")] if wanted.state else None,
            older_than=None if wanted.older is None else self.clock.now() - wanted.older,
        )

    async def lines(self, question: ask.ListQueue) -> list[ask.QueueLine]:
        """One line a recipient, oldest first."""
        selection = self._selection(question.filter)
        found = await self.desk.search(selection, question.limit, question.after)
        now = self.clock.now()
        return [_line(listed, now) for listed in found]

    async def alter(self, question: ask.AlterQueue) -> ask.Done:
        """Hold, release, retry, cancel, reroute what is selected and not in an attempt's hands."""
        if question.filter == ask.Filter() and not question.everything:
            raise Mistaken("an empty filter means the whole queue: say so with --all")
        if question.action == "reroute" and not self.knows_route(question.route):
            raise Mistaken(
                f"{question.route!r} is no route; write it as in merpati.toml: "
                "smtp://HOST:PORT, lmtp:unix:/PATH or mx:"
            )
        selection = self._selection(question.filter)
        return ask.Done(
            changed=await self.desk.alter(selection, question.action, BY, question.route)
        )

    async def read(self, question: ask.ReadMessage) -> ask.Content:
        """The beginning of a message's content."""
        if not await self.desk.search(Selection(ids=(question.id,)), 1):
            raise Unknown(f"no message {question.id} is in the queue; `merpati trace` remembers")
        octets = b""
        async for piece in self.queue.read(question.id):
            octets += piece
            if len(octets) > question.octets:
                return ask.Content(octets=octets[: question.octets], complete=False)
        return ask.Content(octets=octets, complete=True)


def _line(listed: Listed, now: float) -> ask.QueueLine:
    entry, waiting = listed.entry, listed.waiting
    return ask.QueueLine(
        id=entry.id,
        n=waiting.n,
        sender=str(entry.envelope.sender or ""),
        recipient=str(waiting.recipient.address),
        state=state_name(waiting.state),
        received=moment(entry.received),
        due=moment(waiting.due),
        expires=moment(entry.expires),
        size=entry.size,
        attempts=waiting.attempts,
        reply=waiting.reply,
        route=waiting.route,
        site=listed.site,
        site_held_until=optional_moment(listed.site_hold if listed.site_hold > now else None),
        site_why=listed.site_why,
    )


@dataclass(frozen=True, slots=True)
class JournalOffice:
    """What can be asked about the past, and about what it left waiting."""

    journal: Journal
    desk: Desk
    clock: Clock

    async def story(self, question: ask.AskStory) -> list[ask.Story]:
        """Of one message by its id, or of the newest of an address; the newest first."""
        if question.id:
            if not (events := await self.journal.story(question.id)):
                raise Unknown(f"nothing is known of a message {question.id}")
            return [await self._story(question.id, events)]
        if not question.address:
            raise Mistaken("an id or an address must be given")
        ids = await self.journal.search(question.address, question.limit)
        return [await self._story(one, await self.journal.story(one)) for one in ids]

    async def _story(self, message: str, events: list[Event]) -> ask.Story:
        listed = await self.desk.search(Selection(ids=(message,)), _MAX_WAITING)
        now = self.clock.now()
        return ask.Story(
            message=message, events=events, waiting=[_waits(one, now) for one in listed]
        )

    async def refused(self, question: ask.AskStory) -> ask.Story:
        """The newest refusals that name an address."""
        events = await self.journal.refused(question.address, question.limit)
        return ask.Story(message="", events=events)


def _waits(listed: Listed, now: float) -> Waits:
    entry, waiting = listed.entry, listed.waiting
    return Waits(
        message=entry.id,
        address=str(waiting.recipient.address),
        state=state_name(waiting.state),
        since=entry.received,
        due=waiting.due,
        attempts=waiting.attempts,
        site=listed.site,
        site_until=listed.site_hold if listed.site_hold > now else 0.0,
        site_why=listed.site_why,
        cause=waiting.cause,
    )


def _user_line(user: User) -> ask.UserLine:
    suspension, quotas = user.suspension, user.quotas
    return ask.UserLine(
        address=str(user.address),
        suspended=user.suspended,
        may_send=suspension is None,
        # Earlier versions did not note when.
        since=moment(suspension.at) if suspension and suspension.at else None,
        why=suspension.why if suspension else "",
        messages=quotas.messages,
        recipients=quotas.recipients,
        new_recipients=quotas.strangers,
    )


def sender_text(granted: Address) -> str:
    """An address, or `@domain`."""
    return str(granted) if granted.local else f"@{granted.domain}"


def _sender(text: str) -> Address:
    return Address("", named_domain(text[1:])) if text.startswith("@") else named_address(text)


@dataclass(frozen=True, slots=True)
class DirectoryOffice:
    """Who lives here."""

    directory: Directory
    registrar: Registrar
    make_secret: MakeSecret
    usage: Usage
    journal: Journal
    clock: Clock

    async def domains(self, _: ask.Nothing) -> list[str]:
        """Every domain that is ours."""
        return await self.registrar.domains()

    async def _domain(self, question: ask.Within) -> str:
        """Empty for all. Raises Unknown: of a name that is misspelt there is never anything."""
        domain = question.domain and named_domain(question.domain)
        if domain and domain not in await self.registrar.domains():
            raise Unknown(f"{domain} is no domain here: merpati domain list")
        return domain

    async def add_domain(self, question: ask.Named) -> ask.Done:
        """From now on mail for it ends here."""
        await self.registrar.add_domain(named_domain(question.name))
        return ask.Done()

    async def remove_domain(self, question: ask.Named) -> ask.Done:
        """Only an empty one."""
        await self.registrar.remove_domain(named_domain(question.name))
        return ask.Done()

    async def users(self, question: ask.Within) -> list[ask.UserLine]:
        """Users of a domain, or all."""
        found = await self.registrar.users(await self._domain(question))
        return [_user_line(one) for one in found]

    async def user(self, question: ask.Named) -> ask.UserShown:
        """One, with what it sent today as far as it is counted."""
        address = named_address(question.name)
        user = self.directory.user(address)
        if user is None:
            raise Unknown(f"there is no user {address}")
        used = self.usage.used(address, int(self.clock.now() // DAY))
        return ask.UserShown(
            user=_user_line(user),
            messages=used.messages,
            recipients=used.recipients,
            new_recipients=used.strangers,
            senders=tuple(map(sender_text, await self.registrar.grants(address))),
        )

    async def set_quotas(self, question: ask.NewQuotas) -> ask.Done:
        """All of them; what is null is as usual."""
        quotas = Quotas(question.messages, question.recipients, question.new_recipients)
        await self.registrar.set_quotas(named_address(question.address), quotas)
        return ask.Done()

    async def grant(self, question: ask.SenderOf) -> ask.Done:
        """An address or a whole domain more."""
        await self.registrar.grant(named_address(question.address), _sender(question.sender))
        return ask.Done()

    async def ungrant(self, question: ask.SenderOf) -> ask.Done:
        """Take it away."""
        await self.registrar.ungrant(named_address(question.address), _sender(question.sender))
        return ask.Done()

    async def add_user(self, question: ask.NewUser) -> ask.Done:
        """A mailbox and a login."""
        address = named_address(question.address)
        secret = None
        if not question.elsewhere:
            secret = await self._secret(address, "", question.password)
        await self.registrar.add_user(address, secret, self.clock.now())
        return ask.Done()

    async def remove_user(self, question: ask.Named) -> ask.Done:
        """The mailbox stays on disk."""
        await self.registrar.remove_user(named_address(question.name))
        return ask.Done()

    async def suspend(self, question: ask.Suspension) -> ask.Done:
        """A suspended user cannot log in; resumed, whatever suspended it, it can, and send."""
        address, now = named_address(question.address), self.clock.now()
        login = str(address)
        if question.suspended:
            why = question.reason or _SAID_SO
            new = await self.registrar.suspend(address, Suspension(now, why), login=True)
            event: Event = AccountSuspended(at=now, login=login, why=why, by=BY)
        else:
            # Another worker may have suspended it a moment ago, and this one remember it as it was.
            self.registrar.forget()
            user = self.directory.user(address)
            new = user is not None and user.suspension is not None
            if user is None or new:
                await self.registrar.resume(address, now)
            event = AccountResumed(at=now, login=login, by=BY)
        if new:
            await self.journal.append([event])
        return ask.Done(changed=int(new))

    async def set_password(self, question: ask.NewPassword) -> ask.Done:
        """The own password, or that of a program."""
        address = named_address(question.address)
        programs = {one.name for one in self.directory.secrets(address)} - {""}
        if question.program in programs and not question.replace:
            raise Mistaken(
                f"{address} has a password for {question.program!r} already, which a program may "
                "be using: choose another name, or say --replace"
            )
        secret = await self._secret(address, question.program, question.password)
        await self.registrar.set_secret(address, secret)
        return ask.Done()

    async def revoke_password(self, question: ask.Program) -> ask.Done:
        """Take an app password away."""
        await self.registrar.revoke_secret(named_address(question.address), question.program)
        return ask.Done()

    async def passwords(self, question: ask.Named) -> list[ask.PasswordLine]:
        """App passwords of a user."""
        address = named_address(question.name)
        if self.directory.user(address) is None:
            raise Unknown(f"there is no user {address}")
        return [
            ask.PasswordLine(program=one.name, last_used=optional_moment(one.last_used))
            for one in self.directory.secrets(address)
            if one.name
        ]

    async def aliases(self, question: ask.Within) -> list[ask.AliasLine]:
        """Aliases of a domain, or all."""
        found = await self.registrar.aliases(await self._domain(question))
        return [
            ask.AliasLine(alias=str(alias), targets=tuple(map(str, targets)))
            for alias, targets in found
        ]

    async def add_alias(self, question: ask.NewAlias) -> ask.Done:
        """An address that leads to others."""
        targets = [named_address(target) for target in question.targets]
        await self.registrar.add_alias(named_address(question.alias), targets)
        return ask.Done()

    async def remove_alias(self, question: ask.Named) -> ask.Done:
        """Mail for it is refused from now on."""
        await self.registrar.remove_alias(named_address(question.name))
        return ask.Done()

    async def _secret(self, address: Address, program: str, password: str) -> Secret:
        if not password:
            raise Mistaken("the password is empty")
        try:
            prepared = password_of(password)
        except SaslError as error:
            raise Mistaken(
                "the password is too long or has characters that nobody can type"
            ) from error
        if len(prepared) < _MIN_PASSWORD:
            raise Mistaken(f"a password has at least {_MIN_PASSWORD} characters")
        known = self.directory.secrets(address)
        return await self.make_secret(program, prepared, known[0] if known else None)


@dataclass(frozen=True, slots=True)
class Office:
    """All counters of one server."""

    queue: QueueOffice
    sites: SiteOffice
    journal: JournalOffice
    directory: DirectoryOffice
    dkim: DkimOffice
    certificates: CertificateOffice
    reports: ReportOffice
    srs: SrsOffice
    doors: Doors

    async def refresh(self, _: ask.Nothing) -> ask.Done:
        """Another worker has changed the directory: forget what is remembered."""
        self.directory.registrar.forget()
        self.dkim.keeper.forget()
        return ask.Done()
