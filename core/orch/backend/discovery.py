"""Finding plugins: every one comes in by the entry-point group `orch`, the built-in ones too."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pluggy

from orch.backend import hooks
from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch.backend.contract import Backend, BackendFactory, Policy, Reader, SecretProvider

GROUP = "orch"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that could not be loaded, and why. It is reported and skipped."""

    name: str
    distribution: str
    fault: str


@dataclass(frozen=True)
class Plugins:
    """Everything that the installed plugins offer, by name."""

    backends: Mapping[str, BackendFactory]
    readers: Mapping[str, Reader]
    secret_providers: Mapping[str, SecretProvider]
    policies: Mapping[str, Policy]
    broken: tuple[BrokenPlugin, ...] = ()
    manager: Any = field(default=None, repr=False)

    def backend(self, name: str, options: Mapping[str, str] | None = None) -> Backend:
        """Make a backend with the target's options.

        Raises UsageFault for an unknown backend or option, and where the SDK is missing.
        """
        factory = self.backends.get(name)
        if factory is None:
            raise UsageFault(f"there is no backend {name!r}", mend=_nearest(name, self.backends))
        missing = missing_modules(factory)
        if missing:
            raise UsageFault(
                f"the backend {name!r} is not installed: {', '.join(missing)} is missing",
                mend=f"run: pip install 'anyorch[{factory.extra}]'",
            )
        for option in (options or {}).keys() - factory.options.keys():
            raise UsageFault(
                f"the backend {name!r} has no option {option!r}",
                mend=_nearest(option, factory.options),
            )
        backend: Backend = factory.create(dict(options or {}))
        return backend


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    choice = ", ".join(known) or "none: it has none"
    return f"did you mean {near[0]}?" if near else f"choose one of {choice}"


def missing_modules(factory: BackendFactory) -> tuple[str, ...]:
    """Modules of the backend's SDK that can't be found; nothing is imported."""
    return tuple(module for module in factory.requires if find_spec(module) is None)


@cache
def installed() -> Plugins:
    """Load every plugin once."""
    return load(metadata.entry_points(group=GROUP))


def load(entry_points: Iterable[metadata.EntryPoint]) -> Plugins:
    """Load the given plugins; one that fails is put aside with its fault."""
    manager = pluggy.PluginManager("orch")
    manager.add_hookspecs(hooks)
    broken = [b for e in sorted(entry_points) if (b := _register(manager, e)) is not None]
    return Plugins(
        backends=_named(manager.hook.orch_register_backend()),
        readers=_named(manager.hook.orch_register_reader()),
        secret_providers=_named(manager.hook.orch_register_secret_provider()),
        policies=_named(manager.hook.orch_register_policy()),
        broken=tuple(broken),
        manager=manager,
    )


def _register(manager: pluggy.PluginManager, entry: metadata.EntryPoint) -> BrokenPlugin | None:
    try:
        manager.register(entry.load(), name=entry.name)
    except Exception as fault:  # noqa: BLE001  (any fault of a plugin is its own)
        owner = entry.dist.name if entry.dist else ""
        return BrokenPlugin(entry.name, owner, f"{type(fault).__name__}: {fault}")
    return None


def _named(offers: Iterable[Any]) -> dict[str, Any]:
    """Offers by name; a plugin may offer one thing or a tuple of things."""
    flat = [x for offer in offers for x in (offer if isinstance(offer, tuple) else (offer,))]
    return {offer.name: offer for offer in sorted(flat, key=lambda o: o.name)}
