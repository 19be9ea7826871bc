"""What can be asked about certificates."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from merpati.api import questions as ask
from merpati.api.errors import Mistaken
from merpati.api.moments import moment
from merpati.certificates.cabinet import Rolling
from merpati.certificates.desk import Desk, Kept
from merpati.certificates.errors import IssueError
from merpati.certificates.rolling import hosts_in, line_of, safe_at


@dataclass(frozen=True, slots=True)
class CertificateOffice:
    """All that are shown, or are to be."""

    desk: Desk

    async def certificates(self, _: ask.Nothing) -> list[ask.CertificateLine]:
        """In the order of their precedence."""
        return [certificate_line(one) for one in await asyncio.to_thread(self.desk.all)]

    async def renew(self, question: ask.Named) -> ask.CertificateLine:
        """Have another one got now; how it was before."""
        return await self._done(self.desk.renew, question.name)

    async def roll(self, question: ask.Named) -> ask.CertificateLine:
        """Change its key, a step at a time; how far that is."""
        return await self._done(self.desk.roll, question.name)

    async def _done(self, do: Callable[[str], Kept], name: str) -> ask.CertificateLine:
        try:
            return certificate_line(await asyncio.to_thread(do, name))
        except IssueError as error:
            raise Mistaken(str(error)) from error


def certificate_line(kept: Kept) -> ask.CertificateLine:
    """For people."""
    names = kept.shown.names if kept.shown else ()
    return ask.CertificateLine(
        name=kept.name,
        names=names,
        origin=kept.origin.value,
        file=str(kept.source),
        begins=moment(kept.shown.begins) if kept.shown else None,
        ends=moment(kept.shown.ends) if kept.shown else None,
        renewal=moment(kept.renew_at) if kept.renew_at else None,
        issued=moment(kept.state.issued) if kept.state.issued else None,
        failures=kept.state.failures,
        trouble=kept.trouble,
        suggested=kept.state.window is not None,
        records=tuple(line_of(host, kept.digest) for host in hosts_in(names) if kept.digest),
        rolling=_roll_line(names, kept.state.rolling) if kept.state.rolling else None,
    )


def _roll_line(names: tuple[str, ...], rolling: Rolling) -> ask.RollLine:
    safe = safe_at(rolling)
    return ask.RollLine(
        since=moment(rolling.since),
        records=tuple(line_of(host, rolling.digest) for host in hosts_in(names)),
        seen=moment(rolling.seen) if rolling.seen else None,
        safe=moment(safe) if safe else None,
        switched=moment(rolling.switched) if rolling.switched else None,
        trouble=rolling.trouble,
    )
