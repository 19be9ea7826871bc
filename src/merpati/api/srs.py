"""What can be asked about the keys that stamp the senders of forwarded mail (SRS)."""

from collections.abc import Sequence
from dataclasses import dataclass

from merpati.api import questions as ask
from merpati.api.errors import Mistaken
from merpati.api.moments import moment
from merpati.api.names import named_address
from merpati.authenticity.srs import Rewriter, SrsError
from merpati.clock import Clock
from merpati.directory.stamps import KEPT, TURN, StampKey, Stamps
from merpati.mail.address import AddressError


@dataclass(frozen=True, slots=True)
class SrsOffice:
    """The keys of all domains here; no answer tells one."""

    stamps: Stamps
    clock: Clock

    async def keys(self, _: ask.Nothing) -> list[ask.StampKeyLine]:
        """The newest first."""
        return _lines(self.stamps.known())

    async def rotate(self, question: ask.NewStampKey) -> list[ask.StampKeyLine]:
        """A new key from now on; those that are known then."""
        return _lines(await self.stamps.turn(self.clock.now(), forget=question.forget))

    async def original(self, question: ask.Named) -> ask.Original:
        """Whose sender an address is."""
        try:
            address = named_address(question.name)
            known = [key.secret for key in self.stamps.known()]
            if not known:
                raise Mistaken("no sender was rewritten here yet")
            found = Rewriter(address.domain, known).reverse(address, self.clock.now())
        except (AddressError, SrsError) as error:
            raise Mistaken(str(error)) from error
        return ask.Original(address=str(found))


def _lines(known: Sequence[StampKey]) -> list[ask.StampKeyLine]:
    # A key is in use until the one in front of it was made, and known for KEPT behind that.
    ends = [key.made + TURN for key in known[:1]] + [key.made for key in known]
    return [
        ask.StampKeyLine(
            number=key.id,
            stamps=key is known[0],
            since=moment(key.made),
            until=moment(end),
            known_until=moment(end + KEPT),
        )
        for key, end in zip(known, ends, strict=False)
    ]
