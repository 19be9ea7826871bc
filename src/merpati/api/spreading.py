"""How one question becomes many and many answers one: the shards of a node behind one counter.

A node keeps its queue in one file for each worker. Each shard answers for itself; these functions
say, for each operation, whom to ask and what their answers mean together.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import structs

from merpati.api import questions as ask
from merpati.api.errors import Late, Unknown
from merpati.report.metrics import Series

Q = TypeVar("Q", contravariant=True)
A = TypeVar("A")


class Shards(Protocol[Q, A]):
    """The shards of a node, as one operation asks them."""

    async def any(self, question: Q) -> A:
        """Of the first that can be reached; one's own, if there is one."""
        ...

    async def each(self, question: Q) -> list[A | Exception]:
        """Of every one, in the order of their numbers; an error in the place of an answer.

        One that is just being restarted is waited for; Unreachable when it does not come.
        """
        ...

    @property
    def numbers(self) -> Sequence[int]:
        """Theirs, in the order of their answers."""
        ...

    async def now(self, question: Q, *, waits: bool = False) -> list[A | Exception]:
        """The same of this moment: whoever does not answer within seconds is Late, and nobody is
        waited for who is being restarted, unless it `waits` for that within the same seconds."""
        ...

    def of(self, operation: Any) -> "Shards[Any, Any]":
        """The same shards, asked another operation."""
        ...


Spread = Callable[[Shards[Any, Any], Any], Awaitable[Any]]
Merge = Callable[[Any, list[Any]], Any]


async def any_one(shards: Shards[Q, A], question: Q) -> A:
    """All would answer the same."""
    return await shards.any(question)


async def who_knows(shards: Shards[Q, A], question: Q) -> A:
    """One shard has it; Unknown when none does."""
    return _known(await shards.each(question))[0]


def every(merge: Merge) -> Spread:
    """All answer; `merge` gets the question and their answers. One that fails fails it all."""

    async def spread(shards: Shards[Q, A], question: Q) -> object:
        return merge(question, _whole(await shards.each(question)))

    return spread


def all_who_know(merge: Merge) -> Spread:
    """All that know what is meant; Unknown when none does."""

    async def spread(shards: Shards[Q, A], question: Q) -> object:
        return merge(question, _known(await shards.each(question)))

    return spread


async def story(shards: Shards[ask.AskStory, list[ask.Story]], question: ask.AskStory) -> object:
    """A message lies in one shard, the messages of an address in all."""
    if question.id:
        return await who_knows(shards, question)
    found = [one for answer in _whole(await shards.each(question)) for one in answer]
    # Ids begin with the time.
    return sorted(found, key=lambda one: one.message, reverse=True)[: question.limit]


def _whole(answers: Iterable[A | Exception]) -> list[A]:
    """All answers, or the first error."""
    whole = []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
        whole.append(answer)
    return whole


def _known(answers: list[A | Exception]) -> list[A]:
    """Those that are no Unknown; the first Unknown where none is, and any other error."""
    known = [answer for answer in answers if not isinstance(answer, Unknown)]
    return _whole(known or answers)


def lines(question: ask.ListQueue, answers: list[list[ask.QueueLine]]) -> list[ask.QueueLine]:
    """The oldest first, as each shard gives them."""
    found = [line for answer in answers for line in answer]
    return sorted(found, key=lambda line: (line.id, line.n))[: question.limit]


def changed(_: object, answers: list[ask.Done]) -> ask.Done:
    """All changes together."""
    return ask.Done(changed=sum(answer.changed for answer in answers))


def sites_changed(_: object, answers: list[ask.SitesChanged]) -> ask.SitesChanged:
    """A site may have mail in several shards."""
    return ask.SitesChanged(
        sites=tuple(sorted({site for answer in answers for site in answer.sites})),
        domains=tuple(sorted({domain for answer in answers for domain in answer.domains})),
        changed=sum(answer.changed for answer in answers),
    )


def held(_: object, answers: list[list[ask.HeldSite]]) -> list[ask.HeldSite]:
    """A site once, with its longest hold."""
    longest: dict[str, ask.HeldSite] = {}
    for site in (site for answer in answers for site in answer):
        known = longest.get(site.site)
        if known is None or known.until < site.until:
            longest[site.site] = site
    return [longest[name] for name in sorted(longest)]


def refused(question: ask.AskStory, answers: list[ask.Story]) -> ask.Story:
    """The newest first."""
    events = [event for answer in answers for event in answer.events]
    events.sort(key=lambda event: event.at, reverse=True)
    return ask.Story(message="", events=events[: question.limit])


def status(sites_held: Any) -> Spread:
    """The node's: its workers in a row, also those that do not answer.

    `sites_held` is the operation that lists the sites on hold.
    """

    async def spread(shards: Shards[ask.Nothing, ask.Status], question: ask.Nothing) -> ask.Status:
        answers = await shards.now(question, waits=True)
        told = [answer for answer in answers if isinstance(answer, ask.Status)]
        if not told:
            _whole(answers)
        sites = {
            site.site
            for answer in await shards.of(sites_held).now(question)
            if not isinstance(answer, Exception)
            for site in answer
        }
        queue, limits = Counter[str](), Counter[str]()
        for answer in told:
            queue.update(answer.queue)
            limits.update(answer.limits)
        return structs.replace(
            told[0],
            queue=dict(queue),
            held_sites=len(sites),
            held_senders=tuple(_held_senders(told)),
            limits=dict(limits),
            workers=tuple(map(_line, shards.numbers, answers)),
        )

    return spread


def _held_senders(told: list[ask.Status]) -> list[ask.HeldSender]:
    """Each once, with its longest hold: every worker counts for itself."""
    held = sorted(
        (one for answer in told for one in answer.held_senders), key=lambda one: one.until
    )
    longest = {(one.site, one.sender): one for one in held}
    return [longest[key] for key in sorted(longest)]


def _line(shard: int, answer: ask.Status | Exception) -> ask.WorkerLine:
    if isinstance(answer, Exception) or not answer.workers:
        return ask.WorkerLine(shard=shard, running=False)
    return answer.workers[0]


async def first_trouble(shards: Shards[ask.Nothing, ask.Health], question: ask.Nothing) -> object:
    """One worker that cannot store mail, or hangs, is trouble; one that is being restarted is not,
    as long as another serves."""
    answers = await shards.now(question)
    told = [answer for answer in answers if isinstance(answer, ask.Health)]
    told += [ask.Health(trouble=str(answer)) for answer in answers if isinstance(answer, Late)]
    if not told:
        _whole(answers)
    serving = [answer for answer in told if not answer.stopping]
    return next((answer for answer in serving if answer.trouble), (serving or told)[0])


async def metrics(shards: Shards[ask.Nothing, list[Series]], question: ask.Nothing) -> object:
    """Of all that answer, and who does: it is when a worker is ill that somebody looks."""
    answers = await shards.now(question)
    found = [one for answer in answers if not isinstance(answer, Exception) for one in answer]
    return [*found, *map(_up, shards.numbers, answers)] if len(answers) > 1 else _whole(answers)[0]


def _up(shard: int, answer: object) -> Series:
    up = 0.0 if isinstance(answer, Exception) else 1.0
    text = "Whether a worker answers (1) or not (0)."
    return Series("merpati_worker_up", text, "gauge", [("", {}, up)], str(shard))


async def reload(shards: Shards[ask.Reload, ask.Done], question: ask.Reload) -> ask.Done:
    """All or none: each looks at it first."""
    _whole(await shards.each(ask.Reload(only_look=True)))
    return changed(question, _whole(await shards.each(question)))


async def send_reports(
    shards: Shards[ask.SendReports, ask.Done], question: ask.SendReports
) -> ask.Done:
    """All write down first what they have counted: each report is of all of them."""
    _whole(await shards.each(structs.replace(question, only_gather=True)))
    return await shards.any(question)


def change_of_directory(refresh: Any) -> Spread:
    """One makes the change; then the others forget what they remember of before.

    `refresh` is the operation for that. Who cannot be reached has no memory that could be wrong,
    and who is late finds the question when it moves again, or is killed before.
    """

    async def spread(shards: Shards[Q, A], question: Q) -> A:
        answer = await shards.any(question)
        await shards.of(refresh).each(ask.Nothing())
        return answer

    return spread
