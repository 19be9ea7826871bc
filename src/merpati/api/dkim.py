"""What can be asked about the keys that sign mail."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from merpati.api import questions as ask
from merpati.api.errors import Mistaken, Unknown
from merpati.api.moments import moment, optional_moment
from merpati.api.names import named_domain
from merpati.authenticity.dkim.keypair import KeyKind, KeyPair, KeyPairError
from merpati.clock import Clock
from merpati.directory.keys import DkimKey, KeyKeeper, KeyState
from merpati.directory.rotation import check_removal, removable_from

# RFC 6376 §3.1: sub-domain *("." sub-domain)
_is_selector = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
).fullmatch


@dataclass(frozen=True, slots=True)
class DkimOffice:
    """The keys of all domains."""

    keeper: KeyKeeper
    clock: Clock
    tried: Callable[[], float]
    """Seconds for which the queue may try a message now, holds included: by a key that has retired
    somebody may have to verify for longer."""

    async def keys(self, question: ask.Within) -> list[ask.DkimKeyLine]:
        """Of one domain or all."""
        found = await self.keeper.keys(question.domain and _domain(question.domain))
        return [self._line(key) for key in found]

    async def add(self, question: ask.NewDkimKey) -> ask.DkimKeyLine:
        """A key that signs from the next rotation on."""
        domain = _domain(question.domain)
        pair = await asyncio.to_thread(_pair, question)
        selector = question.selector.lower() or await self._free_selector(domain, pair)
        if not _is_selector(selector) or len(f"{selector}._domainkey.{domain}") > 253:
            raise Mistaken(f"{selector!r} cannot be a selector: letters, digits, hyphens, dots")
        key = DkimKey(
            domain=domain,
            selector=selector,
            kind=pair.kind,
            state=KeyState.NEXT,
            since=self.clock.now(),
            record=pair.record.decode(),
            private=pair.pem,
        )
        await self.keeper.add_key(key)
        return self._line(key)

    async def rotate(self, question: ask.Named) -> list[ask.DkimKeyLine]:
        """The next keys sign from now on; those that changed."""
        domain = _domain(question.name)
        return [self._line(key) for key in await self.keeper.rotate_keys(domain, self.clock.now())]

    async def export(self, question: ask.DkimKeyOf) -> ask.DkimSecret:
        """The private key."""
        domain, selector = _domain(question.domain), question.selector.lower()
        for key in await self.keeper.keys(domain):
            if key.selector == selector:
                return ask.DkimSecret(pem=key.private.decode())
        raise Unknown(f"{domain} has no key {selector}")

    async def remove(self, question: ask.DkimKeyOf) -> ask.Done:
        """For good."""
        domain, selector, now = (
            _domain(question.domain),
            question.selector.lower(),
            self.clock.now(),
        )
        if not question.force:
            for key in await self.keeper.keys(domain):
                if key.selector == selector:
                    check_removal(key, now, self.tried())
        await self.keeper.remove_key(domain, selector, now, force=question.force)
        return ask.Done()

    def _line(self, key: DkimKey) -> ask.DkimKeyLine:
        return ask.DkimKeyLine(
            domain=key.domain,
            selector=key.selector,
            kind=key.kind,
            state=key.state.value,
            since=moment(key.since),
            name=f"{key.selector}._domainkey.{key.domain}",
            record=key.record,
            removable=optional_moment(removable_from(key, self.tried())),
        )

    async def _free_selector(self, domain: str, pair: KeyPair) -> str:
        """By the month: whoever looks at the DNS sees which key is old."""
        month = datetime.fromtimestamp(self.clock.now(), UTC).strftime("%Y%m")
        name = f"{month}-{pair.kind.partition('-')[0]}"
        taken = {key.selector for key in await self.keeper.keys(domain)}
        number = 1
        while (selector := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        return selector


def _pair(question: ask.NewDkimKey) -> KeyPair:
    if not question.pem:
        return KeyPair.generate(KeyKind(question.kind))
    try:
        return KeyPair.from_pem(question.pem.encode())
    except KeyPairError as error:
        raise Mistaken(str(error)) from error


def _domain(text: str) -> str:
    domain = named_domain(text)
    if "." not in domain or domain.startswith("["):
        raise Mistaken(f"{text!r}: keys are for domain names of two labels or more")
    return domain
