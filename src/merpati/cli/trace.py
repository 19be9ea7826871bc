"""`merpati trace`: what happened to a message, told as a story."""

import click

from merpati.api.operations import REFUSED, STORY, Counter
from merpati.api.questions import AskStory, Story
from merpati.cli.context import Refused, asked, counter_of, json_option, settings_of
from merpati.cli.names import offering, queued, recipients, senders, users
from merpati.cli.output import say_json
from merpati.report.story import tell


@click.command()
@click.argument("what", shell_complete=offering(queued, recipients, senders, users))
@click.option("--limit", type=click.IntRange(1, 1000), default=20, help="At most so many messages.")
@click.option("--lang", type=click.Choice(["en", "id"]), help="The language; else as configured.")
@json_option
@click.pass_context
@asked
async def trace(ctx: click.Context, what: str, limit: int, lang: str | None, as_json: bool) -> None:
    """Tell the story of a message, by its ID or by an address of its sender or a recipient.

    The ID is the one behind `queued as`. An address tells of its newest messages and of refusals;
    `@a.test` means a whole domain.

    \b
    Examples:
      merpati trace 01JD3Q5W8ZK6T2N4R7V9X1Y3A5
      merpati trace ann@a.test --lang id
    """
    settings = settings_of(ctx)
    async with counter_of(settings, only_looks=True) as counter:
        stories = await _stories(counter, what, limit)
        refused = await _refused(counter, what, limit)
    if as_json:
        say_json([*stories, *refused] if "@" in what else stories[0])
        return
    if not stories and not refused:
        raise Refused(f"nothing is known of {what}")
    _tell([*refused, *stories], lang or settings.document.language.value)


async def _stories(counter: Counter, what: str, limit: int) -> list[Story]:
    if "@" in what:
        return await counter.ask(STORY, AskStory(address=what, limit=limit))
    return await counter.ask(STORY, AskStory(id=what))


async def _refused(counter: Counter, what: str, limit: int) -> list[Story]:
    """What we did not take, which has no message to be told with."""
    if "@" not in what:
        return []
    story = await counter.ask(REFUSED, AskStory(address=what, limit=limit))
    return [story] if story.events else []


def _tell(stories: list[Story], language: str) -> None:
    for n, story in enumerate(stories):
        if n:
            click.echo()
        if story.message:
            click.echo(click.style(story.message, bold=True))
        click.echo(tell(story.events, language, story.waiting), nl=False)
