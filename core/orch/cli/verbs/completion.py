"""`orch completion`: the script that makes a shell complete verbs, options and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orch.cli.command import verb

if TYPE_CHECKING:
    from orch.cli.root import Settings


@verb(
    "orch completion bash > /etc/bash_completion.d/orch",
    "echo 'eval \"$(orch completion zsh)\"' >> ~/.zshrc",
    "orch completion fish > ~/.config/fish/completions/orch.fish",
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell: verbs, options, services, backends, targets."""
    from click.shell_completion import get_completion_class

    settings: Settings = ctx.obj
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = kind(ctx.find_root().command, {}, "orch", "_ORCH_COMPLETE")
    settings.out.write(script.source_template % script.source_vars() + "\n")
