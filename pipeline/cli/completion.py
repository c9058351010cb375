"""`pipeline completion`: the script that teaches a shell the commands, options and shots."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash    eval "$(pipeline completion bash)"      in ~/.bashrc
    zsh     eval "$(pipeline completion zsh)"       in ~/.zshrc
    fish    pipeline completion fish | source       in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes {shell}"
    click.echo(kind(ctx.find_root().command, {}, "pipeline", "_PIPELINE_COMPLETE").source())
