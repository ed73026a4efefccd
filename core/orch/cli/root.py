"""The root command: finds the verb, runs it, and turns what it raises into an exit code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from orch.cli.catalogue import SUMMARIES, VERBS, module_of
from orch.cli.faults import guarded
from orch.cli.render.out import Out

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Root(click.Group):
    """A group that imports a verb's file only when the verb is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Every verb, those of plugins too."""
        return [*SUMMARIES, *sorted(set(self._with_plugins()) - set(SUMMARIES))]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """The verb of this name, a built-in one first."""
        if cmd_name in SUMMARIES:
            command: click.Command = import_module(module_of(cmd_name)).command
            return command
        return self._with_every_plugin().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and name the nearest verb for one that there is not."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise click.UsageError(f"there is no command {name!r}{self._nearest(ctx, name)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the verbs under their headings; no file of a built-in one is read."""
        sections = {heading: list(verbs.items()) for heading, verbs in VERBS.items()}
        offered = [
            (name, command.get_short_help_str(80))
            for name, command in sorted(self._with_plugins().items())
            if name not in SUMMARIES and not command.hidden
        ]
        sections["From plugins"] = offered
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs that begin so, without reading their files."""
        from click.shell_completion import CompletionItem

        told = {name: cmd.get_short_help_str() for name, cmd in self._with_plugins().items()}
        told.update(SUMMARIES)
        offered = [CompletionItem(n, help=h) for n, h in told.items() if n.startswith(incomplete)]
        return offered or click.Command.shell_complete(self, ctx, incomplete)

    def _with_plugins(self) -> dict[str, click.Command]:
        from orch.cli.plugin_commands import add_quickly

        add_quickly(self)
        return dict(self.commands)

    def _with_every_plugin(self) -> dict[str, click.Command]:
        from orch.cli.plugin_commands import add_all

        add_all(self)
        return dict(self.commands)

    def _nearest(self, ctx: click.Context, name: str) -> str:
        from difflib import get_close_matches

        near = get_close_matches(name, self.list_commands(ctx), 1)
        return f"; did you mean {near[0]!r}?" if near else "; see orch --help"


class Settings:
    """What holds for every verb: where output goes, and whether faults show their traceback."""

    def __init__(self) -> None:
        self.debug = False
        self.out = Out()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    epilog="`orch VERB --help` tells more of a verb. The reference lists the exit codes.",
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.option("--debug", is_flag=True, envvar="ORCH_DEBUG", help="Show tracebacks.")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
@click.pass_context
def root(ctx: click.Context, *, version: bool, debug: bool, no_color: bool) -> None:
    """Deploy one application spec to any orchestrator, or to a bare host."""
    settings: Settings = ctx.obj
    settings.debug = settings.debug or debug
    if no_color:
        settings.out = Out(color=False)
    if version:
        from orch.version import __version__

        settings.out.write(f"orch {__version__}\n")
    elif ctx.invoked_subcommand is None:
        settings.out.write(ctx.get_help() + "\n")


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; nothing is raised."""
    settings = Settings()

    def invoke() -> Any:
        return root.main(args=arguments, prog_name="orch", standalone_mode=False, obj=settings)

    return guarded(invoke, settings)
