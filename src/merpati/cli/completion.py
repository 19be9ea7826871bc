"""`merpati completion`: what to put where, for each shell."""

import click
from click.shell_completion import get_completion_class

from merpati.cli.main import merpati


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete merpati's commands.

    \b
    Examples:
      merpati completion bash > ~/.local/share/bash-completion/completions/merpati
      merpati completion zsh  > ~/.zfunc/_merpati
      merpati completion fish > ~/.config/fish/completions/merpati.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion for {shell}")
    click.echo(kind(merpati, {}, "merpati", "_MERPATI_COMPLETE").source())
