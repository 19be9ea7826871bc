"""`merpati`: finds the command in a table and loads nothing else, so that help is there at once.

Exit status: 0 done, 1 refused or failed, 2 a mistake on the command line, 75 not now (try again),
78 a mistake in merpati.toml. `sendmail` has those of sysexits.h.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from merpati import __version__

COMMANDS = {
    "serve": "Run the server.",
    "status": "How the server is.",
    "reload": "Read the configuration again without dropping a connection.",
    "restart": "Replace the workers one after the other, without refusing a connection.",
    "send": "Send a message from the command line.",
    "sendmail": "Take mail as sendmail does, for cron, PHP and mail(1).",
    "queue": "Look at the queue, hold, release, retry, cancel.",
    "trace": "Tell the story of a message.",
    "inbox": "Read mailboxes: the developer's inbox or a user's.",
    "domain": "Domains whose mail ends here.",
    "user": "People and programs with a mailbox and a login.",
    "alias": "Addresses that lead to others.",
    "dkim": "Keys that sign mail.",
    "certificate": "Certificates that clients are shown, and the change of their keys.",
    "reports": "What others report of your mail and of your server.",
    "srs": "Senders under which mail is sent on.",
    "verify": "Check that everything stored is whole.",
    "backup": "Copy everything that is stored, while the server runs.",
    "restore": "Put a backup into an empty data directory.",
    "config": "Check, show and explain merpati.toml.",
    "completion": "Make your shell complete merpati's commands.",
}
"""Each command's file in this folder has the name of the command, and so has the function."""


class Commands(click.Group):
    """The table as click sees it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the one that is asked for."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"merpati.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        if isinstance(command, click.Group):
            _show_examples(command, f"merpati {cmd_name}", "")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself: to list commands none is loaded."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest what was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{_suggest(args[0])}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """What the machine lacks is told in words. A server's log has the trace of it as well."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except OSError as error:
            if ctx.invoked_subcommand == "serve":
                raise
            _give_up(error, later=ctx.invoked_subcommand == "sendmail")


def _give_up(error: OSError, *, later: bool) -> NoReturn:
    """`later`: whoever hands mail over keeps it then, and tries again."""
    from merpati.cli.context import NotNow, Refused

    try:
        sys.stdout.flush()
    except OSError:
        # What cannot be said would be tried once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, FileNotFoundError) and not error.filename:
        why = "the directory that this was started in is no more"
    raise (NotNow if later else Refused)(why) from error


def _show_examples(group: click.Group, path: str, above: str) -> None:
    """A command's help has those examples of its groups that are its own, where it has none."""
    examples = f"{above}\n{group.help or ''}"
    for name, command in group.commands.items():
        own, told = f"{path} {name}", command.help or ""
        if isinstance(command, click.Group):
            _show_examples(command, own, examples)
        elif "Examples:" not in told:
            lines = [line.strip() for line in examples.splitlines() if f"{own} " in f"{line} "]
            shown = "\n  ".join(["\b\nExamples:", *dict.fromkeys(lines)])
            command.help = f"{told}\n\n{shown}" if lines else told


def _suggest(name: str) -> str:
    import difflib  # a mistake is rare, and help must be fast

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f" Did you mean {close[0]}?" if close else ""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The merpati.toml; else $MERPATI_CONFIG, ./merpati.toml, /etc/merpati/merpati.toml.",
)
@click.version_option(__version__, prog_name="merpati")
@click.pass_context
def merpati(ctx: click.Context, config: Path | None) -> None:
    """A complete mail system around SMTP.

    Without a merpati.toml, `merpati serve` is a developer's inbox: it takes every message on
    127.0.0.1:1025, sends nothing anywhere, and `merpati inbox` shows what came.

    \b
    Examples:
      merpati serve
      merpati --config merpati.toml serve
      merpati domain add a.test
      merpati queue list
    """
    ctx.obj = config


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: run a command, say errors in words, exit."""
    try:
        # Without its standalone mode click returns the status that a command has ended with.
        status = merpati.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="merpati",
            standalone_mode=False,
        )
    except click.Abort:
        sys.exit(130)
    except click.ClickException as mistake:
        mistake.show()
        if isinstance(mistake, click.NoSuchOption) and mistake.option_name in {"--config", "-c"}:
            click.echo("It stands before the command: merpati --config FILE COMMAND …", err=True)
        sys.exit(mistake.exit_code)
    except BrokenPipeError:
        sys.exit(_hang_up())
    sys.exit(status)


def _hang_up() -> int:
    """Whoever read our output has gone (`| head`): end without a word, as others do."""
    sys.stderr.close()
    return 141


if __name__ == "__main__":
    main()
