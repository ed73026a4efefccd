"""Options that many verbs share, bundled into one value each."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orch.cli.choices import RolloutChoice, SpecChoice, TargetChoice
from orch.cli.command import option
from orch.cli.complete import complete_backends, complete_flavours, complete_targets
from orch.cli.render.out import FORMS
from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[..., Any]

SPEC, TARGET, OUTPUT, ROLLOUT = "Spec", "Target", "Output", "Rollout"
FILE = click.Path(dir_okay=False, path_type=Path)
FILES = click.Path(path_type=Path)
"""A file, or a folder of files."""


class Pair(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE` as a pair."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


class Seconds(click.ParamType[float]):
    """A duration such as `90s`, `5m` or `1h30m`, as seconds."""

    name = "DURATION"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it as the spec reads durations."""
        from orch.spec.units import Duration

        if isinstance(value, float):
            return value
        try:
            return Duration.parse(int(value) if str(value).isdigit() else value).seconds
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


class Moment(click.ParamType[float]):
    """A time: a duration before now, or ISO 8601; as seconds since the epoch."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read either form; a time without a zone is local."""
        import time
        from datetime import datetime

        if isinstance(value, float):
            return value
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except ValueError:
            return time.time() - Seconds().convert(value, param, ctx)


def spec_options(function: Function) -> Function:
    """Which spec: `spec` becomes a SpecChoice."""

    @wraps(function)
    def bundled(
        file: tuple[Path, ...],
        format_: str | None,
        env: str | None,
        profile: tuple[str, ...],
        setting: tuple[tuple[str, str], ...],
        env_file: tuple[Path, ...],
        **rest: Any,
    ) -> Any:
        spec = SpecChoice(file, format_, env, profile, setting, env_file)
        return function(spec=spec, **rest)

    return _with(
        bundled,
        option(
            "-f",
            "--file",
            multiple=True,
            type=FILES,
            heading=SPEC,
            help="Spec to read, or a folder; later ones are laid over earlier ones. Default:"
            " orch.yaml, then compose.yaml, here.",
        ),
        option(
            "--format",
            "format_",
            metavar="NAME",
            heading=SPEC,
            help="Format of the files, when it can't be told.",
        ),
        option("--env", metavar="NAME", heading=SPEC, help="One of the spec's environments."),
        option(
            "--profile",
            multiple=True,
            metavar="NAME",
            heading=SPEC,
            help="Also run services of this profile.",
        ),
        option(
            "--set",
            "setting",
            multiple=True,
            type=Pair(),
            heading=SPEC,
            help="Fill a variable of the spec.",
        ),
        option(
            "--env-file",
            multiple=True,
            type=FILE,
            heading=SPEC,
            help="Read variables from this file; they win over .env.",
        ),
    )


_TARGET = (
    option(
        "-b",
        "--backend",
        metavar="NAME",
        envvar="ORCH_BACKEND",
        heading=TARGET,
        shell_complete=complete_backends,
        help="Backend to use. Default: native.",
    ),
    option(
        "--target",
        metavar="NAME",
        envvar="ORCH_TARGET",
        heading=TARGET,
        shell_complete=complete_targets,
        help="A target of targets.yaml.",
    ),
    option(
        "--namespace",
        metavar="NAME",
        envvar="ORCH_NAMESPACE",
        heading=TARGET,
        help="Namespace on the target. Default: default.",
    ),
    option(
        "--name",
        metavar="NAME",
        heading=TARGET,
        help="Name of the application there. Default: the spec's.",
    ),
    option(
        "--flavour",
        metavar="NAME",
        heading=TARGET,
        shell_complete=complete_flavours,
        help="Kind of the platform, such as eks, when the target does not tell it.",
    ),
    option(
        "--option",
        "backend_option",
        multiple=True,
        type=Pair(),
        heading=TARGET,
        help="A setting of the backend; see orch backends.",
    ),
)


def target_options(function: Function) -> Function:
    """Where to: `target` becomes a TargetChoice."""

    @wraps(function)
    def bundled(
        backend: str | None,
        target: str | None,
        namespace: str | None,
        name: str | None,
        flavour: str | None,
        backend_option: tuple[tuple[str, str], ...],
        **rest: Any,
    ) -> Any:
        options = (*backend_option, *([("flavour", flavour)] if flavour else []))
        choice = TargetChoice(backend, target, namespace, name, options)
        return function(target=choice, **rest)

    return _with(bundled, *_TARGET)


def rollout_options(function: Function) -> Function:
    """How a change is carried out: `rollout` becomes a RolloutChoice."""

    @wraps(function)
    def bundled(
        timeout: float | None,
        wait: bool,
        rollback: bool,
        lock_wait: float,
        concurrency: int,
        yes: bool,
        **rest: Any,
    ) -> Any:
        choice = RolloutChoice(timeout, wait, rollback, lock_wait, concurrency, yes)
        return function(rollout=choice, **rest)

    return _with(
        bundled,
        option(
            "--timeout",
            type=Seconds(),
            heading=ROLLOUT,
            help="Give up after this time (exit code 7).",
        ),
        option(
            "--wait/--no-wait",
            default=True,
            heading=ROLLOUT,
            help="Watch until everything is healthy, or only hand it over.",
        ),
        option(
            "--rollback/--no-rollback",
            default=True,
            heading=ROLLOUT,
            help="Return to the last good release when the rollout fails.",
        ),
        option(
            "--lock-wait",
            type=Seconds(),
            default=0.0,
            heading=ROLLOUT,
            show_default=False,
            help="Wait this long for another deploy's lock.",
        ),
        option(
            "--concurrency",
            type=click.IntRange(1, 256),
            default=8,
            show_default=True,
            heading=ROLLOUT,
            help="Steps done at the same time.",
        ),
        option(
            "-y",
            "--yes",
            is_flag=True,
            heading=ROLLOUT,
            help="Do not ask before data is destroyed.",
        ),
    )


def output_options(
    *forms: str, stream: bool = False, short: bool = True
) -> Callable[[Function], Function]:
    """In which form: `form` becomes one of FORMS, or `stream` for an event stream."""
    offered = forms or FORMS
    names = ("-o", "--output") if short else ("--output",)

    def decorate(function: Function) -> Function:
        @wraps(function)
        def bundled(output: str, as_json: bool, **rest: Any) -> Any:
            form = ("stream" if stream else "json") if as_json else output
            return function(form=form, **rest)

        told = "Print events as lines of JSON while it goes on." if stream else "As --output json."
        return _with(
            bundled,
            option(
                *names,
                type=click.Choice(offered),
                default="text",
                heading=OUTPUT,
                help="Form of the result.",
            ),
            option("--json", "as_json", is_flag=True, heading=OUTPUT, help=told),
        )

    return decorate


def level_options(function: Function) -> Function:
    """Which losses are borne: `level` becomes a Level's value."""

    @wraps(function)
    def bundled(strict: bool, loose: bool, **rest: Any) -> Any:
        if strict and loose:
            raise UsageFault(
                "--strict refuses any loss and --loose refuses none", mend="leave one of them out"
            )
        level = "strict" if strict else "loose" if loose else "default"
        return function(level=level, **rest)

    return _with(
        bundled,
        option("--strict", is_flag=True, heading="Fidelity", help="Refuse any loss (exit code 4)."),
        option(
            "--loose",
            is_flag=True,
            heading="Fidelity",
            help="Only report losses, also those of data and security.",
        ),
    )


def _with(function: Function, *options: Callable[[Function], Function]) -> Function:
    for add in reversed(options):
        function = add(function)
    return function
