"""What the shell offers: names of services, backends and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import click


def complete_services(ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Services of the spec at hand that begin so; a spec that can't be read offers none."""
    return _beginning(word, _names(ctx, "services"))


def complete_units(ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Services and jobs of the spec at hand that begin so."""
    return _beginning(word, [*_names(ctx, "services"), *_names(ctx, "jobs")])


def complete_backends(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Installed backends that begin so."""
    from orch.backend.discovery import installed

    return _beginning(word, installed().backends)


def complete_flavours(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Flavours of installed backends that begin so."""
    from orch.backend.discovery import installed

    backends = installed().backends.values()
    return _beginning(word, [name for factory in backends for name in factory.flavours])


def complete_candidates(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Backends and their flavours, behind the names with commas that stand there already."""
    from orch.backend.discovery import installed

    before, comma, last = word.rpartition(",")
    known = [
        name
        for backend, factory in installed().backends.items()
        for name in (backend, *(f"{backend}:{flavour}" for flavour in factory.flavours))
    ]
    return [f"{before}{comma}{name}" for name in _beginning(last, known)]


def complete_targets(ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Targets that begin so."""
    from orch.cli.targets import read_targets

    return _beginning(word, read_targets([path.parent for path in _files(ctx)]))


def _beginning(word: str, names: Any) -> list[str]:
    return [name for name in names if name.startswith(word)]


def _names(ctx: click.Context, part: str) -> list[str]:
    """Names under a top-level key, read leniently: a half-written file still completes."""
    from orch.errors import OrchError
    from orch.load.files import parse, read_text

    names: dict[str, None] = {}
    for path in _files(ctx):
        try:
            names.update(dict.fromkeys(parse(read_text(path), str(path))[part]))
        except (OrchError, KeyError, TypeError, RecursionError):
            continue
    return list(names)


def _files(ctx: click.Context) -> list[Path]:
    from pathlib import Path

    from orch.load.defaults import found_files

    return list(ctx.params.get("file") or found_files(Path()))


def complete_fields(_ctx: click.Context, _param: click.Parameter, word: str) -> list[str]:
    """Fields of the model that begin so, one level below what stands there."""
    from orch.cli.fields import all_fields

    depth = word.count(".") + 1
    return _beginning(word, (f.path for f in all_fields() if len(f.pattern) == depth))
