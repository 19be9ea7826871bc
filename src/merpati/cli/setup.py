"""`merpati domain setup`: what to publish in the DNS, how what is published differs, and how to
publish it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from merpati.cli.context import Refused, asked, settings_of
from merpati.cli.names import domains, offering


@click.command()
@click.argument("name", metavar="DOMAIN", shell_complete=offering(domains))
@click.option("--zone", "form", flag_value="zone", help="Lines for a zone file.")
@click.option("--json", "form", flag_value="json", help="JSON for programs.")
@click.option("--check", "is_compared", is_flag=True, help="Compare with what the DNS says now.")
@click.option("--apply", "is_applied", is_flag=True, help="Write what differs into the DNS.")
@click.option("--dry-run", is_flag=True, help="With --apply: show what would be written.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@click.option("--server", default="", help="With --apply: the zone's primary, ADDRESS[:PORT].")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --apply: the file with the key; else as [[dns.update]] says.",
)
@click.option("--lang", type=click.Choice(["en", "id"]), help="The language; else as configured.")
@click.pass_context
@asked
async def setup(ctx: click.Context, /, name: str, **options: Any) -> None:  # click's values
    """Every record to publish for DOMAIN, and why.

    With --check each is compared with what the servers of the zone say, all of them, and what the
    records lead people to is asked for by HTTPS: the policy of MTA-STS, settings for mail programs.
    The status is 1 if something is wrong, and 75 if nothing is known to be wrong but not every
    question was answered.

    With --apply what is missing or wrong is shown, and written into the zone when you say yes (DNS
    UPDATE, signed by a key): in one change, which is refused if somebody else was quicker. Then all
    is checked as by --check.

    \b
    Examples:
      merpati domain setup a.test
      merpati domain setup a.test --zone >> a.test.zone
      merpati domain setup a.test --check
      merpati domain setup a.test --apply --server 192.0.2.53 --key update.key
    """
    wish = Wish(**options)
    wish.check()
    from merpati.cli.surveying import run  # what follows opens the network

    await run(settings_of(ctx), name, wish)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say, by their names."""

    form: str | None
    is_compared: bool
    is_applied: bool
    dry_run: bool
    yes: bool
    server: str
    key: Path | None
    lang: str | None

    def check(self) -> None:
        """Raises Refused for what does not go together."""
        if self.form == "zone" and (self.is_compared or self.is_applied):
            raise Refused("--zone is for records alone: leave out --check and --apply")
        if not self.is_applied and (self.dry_run or self.yes or self.server or self.key):
            raise Refused("--dry-run, --yes, --server and --key go with --apply")
        if self.form == "json" and self.dry_run:
            raise Refused("--dry-run shows what would be written to people: leave out --json")
        if self.form == "json" and self.is_applied and not self.yes:
            raise Refused("--json asks nobody: give --yes, too")
