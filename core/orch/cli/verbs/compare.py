"""`orch compare`: backends side by side for one spec, or two running deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orch.cli import exits
from orch.cli.command import option, verb
from orch.cli.complete import complete_candidates
from orch.cli.faults import Exit
from orch.cli.options import FILE, OUTPUT, level_options, output_options, spec_options
from orch.errors import UsageFault

if TYPE_CHECKING:
    from pathlib import Path

    from orch.cli.choices import SpecChoice
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
    "orch compare",
    "orch compare --backends native,swarm,kubernetes:eks",
    "orch compare --backends kubernetes:all --prices ours.yaml",
    "orch compare --strict    # exit code 4 for any loss",
    "orch compare --output html > compare.html",
    "orch compare --output markdown --manifests > compare.md",
    "orch compare --live swarm:prod swarm:staging shop",
)
@click.argument("app", required=False)
@spec_options
@option(
    "--backends",
    type=Names(),
    shell_complete=complete_candidates,
    help="Backends to compare, each alone, in a flavour (kubernetes:eks) or in all of them "
    "(kubernetes:all). Default: every one that is installed, in every flavour.",
)
@option(
    "--prices",
    type=FILE,
    multiple=True,
    help="A table of prices; it takes the place of the public ones for the backends it names.",
)
@option(
    "--live",
    nargs=2,
    metavar="WHERE WHERE",
    help="Compare what runs at two places of APP: TARGET, BACKEND, or either with :NAMESPACE.",
)
@level_options
@option("--manifests", is_flag=True, heading=OUTPUT, help="The manifests too, side by side.")
@option("--exit-code", is_flag=True, help="With --live, exit with 3 when something differs.")
@output_options()
@click.pass_obj
def command(
    settings: Settings,
    *,
    app: str | None,
    spec: SpecChoice,
    backends: tuple[str, ...] | None,
    prices: tuple[Path, ...],
    live: tuple[str, str] | None,
    level: str,
    manifests: bool,
    exit_code: bool,
    form: str,
) -> None:
    """Put backends side by side: what each would hold, emulate, change or lose of a spec.

    Nothing is deployed and no platform is asked. Exit code 4 says that a deploy to one of them
    would be refused. With --live two running deployments are compared instead.
    """
    if live:
        from orch.cli.live_compare import compare_live

        if compare_live(settings, app, spec, live, form) and exit_code:
            raise Exit(exits.CHANGES)
        return
    if app:
        raise UsageFault("APP goes with --live", mend=f"write -f {app} for a file")
    _compare_spec(settings, spec, backends, prices, level, form, manifests=manifests)


def _compare_spec(
    settings: Settings,
    spec: SpecChoice,
    backends: tuple[str, ...] | None,
    prices: tuple[Path, ...],
    level: str,
    form: str,
    *,
    manifests: bool,
) -> None:
    from orch.cli.candidates import available, expanded
    from orch.cli.render.compare import comparison_report, refusal_text
    from orch.cli.render.compare_shape import comparison_shape
    from orch.cli.specfile import load_spec

    loaded = load_spec(spec, settings.out)
    names = expanded(backends) if backends else available(settings.out)
    compared = _compared(loaded, names, prices, level)
    if form == "html":
        from orch.cli.render.compare_page import comparison_page

        settings.out.write(comparison_page(compared, loaded))
    else:
        settings.out.result(
            lambda: comparison_report(compared, loaded, manifests=manifests),
            lambda: comparison_shape(compared, loaded, manifests=manifests),
            form,
        )
    if compared.refusing:
        settings.out.say(refusal_text(compared))
        raise Exit(exits.REFUSED)


def _compared(
    loaded: Loaded, names: tuple[str, ...], prices: tuple[Path, ...], level: str
) -> Comparison:
    from orch.cli.candidates import opened_all, price_tables
    from orch.compare.compare import compare
    from orch.compile.levels import Level

    tables = price_tables(names, prices)
    with opened_all(names) as backends:
        return compare(loaded.app, backends, Level(level), loaded.ledger, tables)
