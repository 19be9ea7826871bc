"""What is sent on: mail of strangers that an alias of ours leads to another host.

The next host sees it come from us. So it is told a sender in a domain of ours (SRS), for which SPF
passes, and a notice to that sender comes back here and goes on to the true one. Nothing in the
message itself is touched, so that the author's DKIM signature stays good; where the author has
none, the copy fails DMARC at the next host whatever we do, and that is told.

The same rewriting must not make a forgery true: a copy whose From names a domain of ours would pass
DMARC by *our* SPF. Where nothing proves such a From, we do not lend it our name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec
from msgspec import structs

from merpati.authenticity.dmarc.verdict import Method, Result
from merpati.authenticity.judgement import Judgement
from merpati.authenticity.srs import Rewriter, SrsError, is_rewritten
from merpati.clock import Clock
from merpati.directory.directory import Directory
from merpati.directory.expansion import Expansion, NoReturn
from merpati.directory.stamps import StampKey, Stamps
from merpati.journal.events import Forward
from merpati.journal.parties import MAX_RECIPIENTS
from merpati.mail.address import Address
from merpati.mail.envelope import Notify, Recipient
from merpati.mail.sealing import Sealing
from merpati.policy.rule import Facts
from merpati.policy.verdict import Verdict
from merpati.smtp.replies import Reply
from merpati.smtp.status import Status

NAME = "forwarding"
_FORGED = Verdict(
    Reply(550, "From names a domain here, and nothing proves it: not sent on", Status(5, 7, 1)),
    NAME,
)
_UNCLEAR = Verdict(
    Reply(451, "From cannot be proved now, and is not sent on without, try later", Status(4, 7, 1)),
    NAME,
)


@dataclass(frozen=True, slots=True)
class ForwardingSettings:
    """How mail is sent on."""

    hostname: str
    """Whose SPF the null sender is judged by."""
    rewrite: bool = True
    """Tell the next host a sender of ours (SRS)."""
    domain: str = ""
    """Of such senders; a domain here. Empty: that of the alias."""
    seals: bool = False
    """Put a seal of ARC on it."""


class Kept(Enum):
    """Why the sender of a copy stays as it is; the value is what the journal keeps."""

    NULL = "null"
    """Notices have no sender, and get none."""
    OURS = "ours"
    """It is of a domain here already."""
    OFF = "off"
    """Nothing is rewritten, by configuration."""
    UNPROVED = "unproved"
    """From names a domain of ours, and nothing proves it: our name would."""
    TOO_LONG = "too-long"
    """No path has room for the rewritten one."""


class SentOn(msgspec.Struct, frozen=True):
    """How the recipients of a message go on."""

    expansion: Expansion
    recipients: tuple[Recipient, ...]
    """Those of the expansion, with their return paths."""
    told: tuple[Forward, ...] = ()
    sealing: Sealing | None = None


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Chooses the senders of what is sent on, and knows them again. It is `Returns`."""

    settings: ForwardingSettings
    directory: Directory
    stamps: Stamps
    clock: Clock

    def is_one(self, address: Address) -> bool:
        """See `Returns`: also without rewriting, since notices come days later."""
        return is_rewritten(address)

    def original(self, address: Address) -> Address:
        """See `Returns`."""
        known = self.stamps.known()
        if not known:
            raise NoReturn("no sender was rewritten here")
        try:
            return _rewriter(address.domain, known).reverse(address, self.clock.now())
        except SrsError as error:
            raise NoReturn(str(error)) from None

    async def send_on(self, facts: Facts, expansion: Expansion) -> SentOn | Verdict:
        """The recipients with their senders, or why the message is not taken.

        Mail of whoever may send by us is none that is forwarded: its sender stays. StorageError
        when a key cannot be read or made now.
        """
        if not expansion.forwards or facts.trusted or facts.login is not None:
            return SentOn(expansion, expansion.recipients)
        homes = {address: self._home(domain) for address, domain in expansion.forwards}
        paths: dict[str, Address | Kept] = {}
        for home in dict.fromkeys(homes.values()):
            path = await self._path(facts, home)
            if isinstance(path, Verdict):
                return path
            paths[home] = path
        chosen = {address: paths[home] for address, home in homes.items()}
        # A notice would go to somebody who has sent nothing: the next host refuses spam, and who is
        # named in it would hear of each (threats: backscatter).
        forged = facts.judgement is not None and facts.judgement.disproves_sender
        told = [
            Forward(
                address=str(address),
                sender=str(path) if isinstance(path, Address) else "",
                kept=path.value if isinstance(path, Kept) else "",
                lost=_lost(facts.judgement, self._proved_by_us(facts, path)),
                forged=forged,
            )
            for address, path in list(chosen.items())[:MAX_RECIPIENTS]
        ]
        recipients = tuple(_sent_on(one, chosen, forged) for one in expansion.recipients)
        sealing = self._sealing(facts.judgement, next(iter(paths)))
        return SentOn(expansion, recipients, tuple(told), sealing)

    def _sealing(self, judgement: Judgement | None, home: str) -> Sealing | None:
        """Whoever found nothing has nothing to vouch for."""
        if judgement is None or not self.settings.seals:
            return None
        found = judgement.results(self.settings.hostname).value()
        return Sealing(home, found, judgement.chain.result.value)

    def _home(self, domain: str) -> str:
        configured = self.settings.domain
        return configured if configured and self.directory.is_local(configured) else domain

    async def _path(self, facts: Facts, home: str) -> Address | Kept | Verdict:
        """The sender of a copy that `home` sends on, or why it stays, or why there is no copy."""
        sender = facts.envelope.sender if facts.envelope else None
        doubt = _doubt(facts.judgement)
        if sender is None:
            # RFC 7208 §2.4: by the name that we greet with.
            return (
                doubt if doubt and self._would_prove(facts, self.settings.hostname) else Kept.NULL
            )
        if self.directory.is_local(sender.domain):
            return doubt if doubt and self._would_prove(facts, sender.domain) else Kept.OURS
        if not self.settings.rewrite:
            return Kept.OFF
        if doubt and self._would_prove(facts, home):
            return Kept.UNPROVED
        now = self.clock.now()
        try:
            return _rewriter(home, await self.stamps.current(now)).forward(sender, now)
        except SrsError:
            return Kept.TOO_LONG

    def _proved_by_us(self, facts: Facts, path: Address | Kept) -> str:
        """The domain that SPF passes for at the next host; empty: none."""
        if isinstance(path, Address):
            return path.domain
        sender = facts.envelope.sender if facts.envelope else None
        if path is Kept.OURS and sender is not None:
            return sender.domain
        return self.settings.hostname if path is Kept.NULL else ""

    def _would_prove(self, facts: Facts, domain: str) -> bool:
        """Whether SPF of this domain could vouch for the author.

        Two domains of one organization share their last two labels. Some strangers do so, too
        (`co.uk`): they lose a sender that could be rewritten, which their failing DMARC outweighs.
        """
        author = facts.judgement.author.domain if facts.judgement else ""
        return bool(author) and _end(author) == _end(domain)


def _sent_on(
    recipient: Recipient, chosen: Mapping[Address, Address | Kept], forged: bool
) -> Recipient:
    path = chosen.get(recipient.address)
    if path is None:
        return recipient
    return structs.replace(
        recipient,
        return_path=path if isinstance(path, Address) else None,
        notify=Notify.NEVER if forged else recipient.notify,
    )


def _rewriter(domain: str, known: Sequence[StampKey]) -> Rewriter:
    return Rewriter(domain, [key.secret for key in known])


def _end(domain: str) -> list[str]:
    return domain.split(".")[-2:]


def _doubt(judgement: Judgement | None) -> Verdict | None:
    """How a message is refused whose author may be a lie; without a judgement it is believed."""
    dmarc = judgement.dmarc if judgement and not judgement.is_vouched_for else None
    if dmarc is None or dmarc.result not in (Result.FAIL, Result.TEMPERROR):
        return None
    return _FORGED if dmarc.result is Result.FAIL else _UNCLEAR


def _lost(judgement: Judgement | None, proved: str) -> str:
    """What the author's domain asks for the copy, which fails DMARC though the message passed:
    none, quarantine, reject; empty where it does not fail. SPF passes there for `proved`."""
    dmarc = judgement.dmarc if judgement else None
    if dmarc is None or dmarc.published is None or dmarc.result is not Result.PASS:
        return ""
    record = dmarc.published.record
    if dmarc.aligned(Method.DKIM) or _is_aligned(proved, dmarc.author, strict=record.strict_spf):
        return ""
    return (dmarc.policy.below if record.testing else dmarc.policy).value


def _is_aligned(one: str, other: str, *, strict: bool) -> bool:
    """Of siblings nobody knows without asking whether they are of one organization."""
    if strict or not one:
        return one == other
    return f".{one}".endswith(f".{other}") or f".{other}".endswith(f".{one}")
