"""A verb of the command line: its options stand in groups, and its help ends with examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")
OWN = "Options"


class GroupedOption(click.Option):
    """An option under a heading of its own in the help."""

    def __init__(self, *args: Any, heading: str = OWN, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Verb(click.Command):
    """A command with grouped options and examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group of options, the verb's own first, then the examples."""
        groups: dict[str, list[tuple[str, str]]] = {OWN: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                groups.setdefault(getattr(parameter, "heading", OWN), []).append(record)
        for heading, records in groups.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
        self._format_examples(formatter)

    def _format_examples(self, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{' ' * formatter.current_indent}{example}\n")


def verb(*examples: str) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a verb: named as its file, its docstring the help, examples at the end."""

    def decorate(function: Callable[..., Any]) -> Verb:
        return click.command(
            name=function.__module__.rpartition(".")[2].rstrip("_").replace("_", "-"),
            cls=Verb,
            examples=examples,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        )(function)

    return decorate


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option; `heading` names the group in which the help shows it."""
    return click.option(*names, cls=GroupedOption, **settings)
