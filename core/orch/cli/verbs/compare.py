"""`orch compare`: several backends side by side for one spec; no platform is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.complete import complete_backends
from orch.cli.faults import Exit
from orch.cli.options import level_options, output_options, spec_options
from orch.cli.render.compare import comparison_report, comparison_shape, refusal_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.backend.contract import Backend
    from orch.cli.choices import SpecChoice
    from orch.cli.render.out import Out
    from orch.cli.root import Settings
    from orch.compare.compare import Comparison
    from orch.load.source import Loaded


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "NAME,NAME…"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, ...]:
        """Each name once, in the order in which they are given."""
        if isinstance(value, tuple):
            return value
        names = dict.fromkeys(name for part in value.split(",") if (name := part.strip()))
        return tuple(names) or self.fail(f"{value!r} names no backend", param, ctx)


@verb(
    "orch compare --backends native,swarm",
    "orch compare -f compose.yaml",
    "orch compare --strict    # exit code 4 for any loss",
    "orch compare --json | jq '.backends[] | {backend, accepted, held}'",
    "orch compare --output html > compare.html",
)
@spec_options
@option(
    "--backends",
    type=Names(),
    shell_complete=complete_backends,
    help="Backends to compare. Default: every one that is installed.",
)
@level_options
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    spec: SpecChoice,
    backends: tuple[str, ...] | None,
    level: str,
    form: str,
) -> None:
    """Put backends side by side: what each would hold, emulate, change or lose of a spec.

    Nothing is deployed and no platform is asked. Exit code 4 says that a deploy to one of them
    would be refused.
    """
    from orch.cli.specfile import load_spec

    loaded = load_spec(spec, settings.out)
    compared = _compared(loaded, backends or _available(settings.out), level)
    settings.out.result(
        lambda: comparison_report(compared, loaded),
        lambda: comparison_shape(compared, loaded),
        form,
    )
    if compared.refusing:
        settings.out.say(refusal_text(compared))
        raise Exit(exits.REFUSED)


def _compared(loaded: Loaded, names: tuple[str, ...], level: str) -> Comparison:
    from contextlib import ExitStack, closing

    from orch.backend.discovery import installed
    from orch.compare.compare import compare
    from orch.compile.levels import Level

    with ExitStack() as stack:

        def opened() -> Iterator[Backend]:
            for name in names:
                yield stack.enter_context(closing(installed().backend(name)))

        return compare(loaded.app, tuple(opened()), Level(level), loaded.ledger)


def _available(out: Out) -> tuple[str, ...]:
    """Every backend that can be used; what is missing is told."""
    from orch.backend.discovery import installed, missing_modules

    found = []
    for name, factory in installed().backends.items():
        if missing_modules(factory):
            out.say(f"{name} is not compared; to do so run: pip install 'anyorch[{factory.extra}]'")
        else:
            found.append(name)
    return tuple(found)
