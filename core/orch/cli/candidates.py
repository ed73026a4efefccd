"""Which backends, and which flavours of them, a command line wants to compare."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from orch.backend.discovery import installed, missing_modules
from orch.errors import UsageFault
from orch.load.hints import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from orch.backend.contract import Backend, BackendFactory
    from orch.cli.render.out import Out
    from orch.compare.prices import PriceTable

ALL = "all"
"""Behind a colon it stands for every flavour."""


def available(out: Out) -> tuple[str, ...]:
    """Every backend that can be used, in each of its flavours; what is missing is told."""
    found: list[str] = []
    by_size = sorted(installed().backends.items(), key=lambda item: len(item[1].flavours))
    for name, factory in by_size:
        if missing_modules(factory):
            out.say(f"{name} is not compared; to do so run: pip install 'anyorch[{factory.extra}]'")
        else:
            found += _flavoured(name, factory)
    return tuple(found)


def expanded(names: Iterable[str]) -> tuple[str, ...]:
    """The names with `kubernetes:all` spelt out, each once.

    Raises UsageFault for a flavour that a backend does not have.
    """
    found: dict[str, None] = {}
    for name in names:
        backend, _, flavour = name.partition(":")
        factory = installed().backends.get(backend)
        if factory is None or not flavour:
            found[name] = None
        elif flavour == ALL:
            found.update(dict.fromkeys(_flavoured(backend, factory)))
        else:
            _check(factory, flavour)
            found[name] = None
    return tuple(found)


def _flavoured(name: str, factory: BackendFactory) -> list[str]:
    return [f"{name}:{flavour}" for flavour in factory.flavours] or [name]


def _check(factory: BackendFactory, flavour: str) -> None:
    if flavour in factory.flavours:
        return
    if not factory.flavours:
        mend = f"write {factory.name} alone"
    elif near := nearest(flavour, factory.flavours):
        mend = f"did you mean {factory.name}:{near}?"
    else:
        mend = f"choose one of {', '.join(factory.flavours)}, or {factory.name}:{ALL}"
    raise UsageFault(f"the backend {factory.name!r} has no flavour {flavour!r}", mend=mend)


@contextmanager
def opened_all(names: Iterable[str]) -> Iterator[Mapping[str, Backend]]:
    """The backends by the names under which they are compared; closed at the end."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(closing(_made(name))) for name in names}


def _made(name: str) -> Backend:
    backend, _, flavour = name.partition(":")
    return installed().backend(backend, {"flavour": flavour} if flavour else None)


def price_tables(names: Iterable[str], files: Iterable[Path]) -> tuple[PriceTable, ...]:
    """The public prices that come with these backends, then the files, of which the last wins."""
    from orch.compare.prices import laid_over, read_prices

    used = dict.fromkeys(name.partition(":")[0] for name in names)
    factories = [installed().backends[name] for name in used if name in installed().backends]
    shipped = [factory.prices for factory in factories if factory.prices]
    return laid_over(read_prices(file) for file in (*shipped, *files))
