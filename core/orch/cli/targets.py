"""Named targets: a backend with its settings, kept beside the spec or in the user's config."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch.cli.choices import TargetChoice

FILE = "targets.yaml"
KEYS = ("backend", "namespace", "options")
DEFAULT_BACKEND = "native"
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to deploy: the backend, its settings and the namespace, empty when none is set."""

    name: str
    backend: str
    namespace: str = ""
    options: Mapping[str, str] = EMPTY


def choose(choice: TargetChoice, folders: Iterable[Path]) -> Target:
    """The target that the command line names; `--backend` alone is a target of that name.

    Raises UsageFault for a name that no targets.yaml has, or a backend that contradicts it.
    """
    given = dict(choice.options)
    if choice.target is None:
        name = choice.backend or _of_flavour(given.get("flavour")) or DEFAULT_BACKEND
        return Target(name, name, choice.namespace or "", given)
    targets = read_targets(folders)
    found = targets.get(choice.target)
    if found is None:
        raise UsageFault(f"there is no target {choice.target!r}", mend=_known(targets, folders))
    if choice.backend not in (None, found.backend):
        fault = f"the target {found.name!r} has the backend {found.backend!r}"
        raise UsageFault(fault, mend=f"leave out --backend {choice.backend}")
    namespace = choice.namespace or found.namespace
    return Target(found.name, found.backend, namespace, {**found.options, **given})


def _of_flavour(flavour: str | None) -> str:
    """The backend that has a flavour, empty when none is named.

    Raises UsageFault for one that no backend has.
    """
    from orch.backend.discovery import installed

    if flavour is None:
        return ""
    backends = installed().backends
    found = [name for name, factory in backends.items() if flavour in factory.flavours]
    if found:
        return found[0]
    known = [name for factory in backends.values() for name in factory.flavours]
    raise UsageFault(f"there is no flavour {flavour!r}", mend=f"choose one of {', '.join(known)}")


def read_targets(folders: Iterable[Path]) -> dict[str, Target]:
    """Every target by name; one beside the spec hides one of the user's of the same name."""
    targets: dict[str, Target] = {}
    for path in _places(folders):
        for name, target in _read(path).items():
            targets.setdefault(name, target)
    return targets


def user_file() -> Path:
    """The user's own targets."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "orch" / FILE


def _places(folders: Iterable[Path]) -> list[Path]:
    return [*dict.fromkeys(folder / FILE for folder in folders), user_file()]


def _read(path: Path) -> dict[str, Target]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as fault:
        raise UsageFault(f"can't be read: {fault}", place=str(path)) from None
    except (yaml.YAMLError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageFault("is not YAML", place=place, mend="mend the syntax here") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        mend = "write `prod: {backend: native, namespace: prod}`"
        raise UsageFault("is not a mapping of target names", place=str(path), mend=mend)
    return {str(name): _target(path, str(name), body) for name, body in document.items()}


def _target(path: Path, name: str, body: Any) -> Target:
    place = f"{path}: {name}"
    if not isinstance(body, dict) or not isinstance(body.get("backend"), str):
        raise UsageFault("names no backend", place=place, mend=f"write `{name}: {{backend: …}}`")
    for key in body:
        if key not in KEYS:
            fault = f"{key!r} is not a key of a target"
            raise UsageFault(fault, place=place, mend=f"use {', '.join(KEYS)}")
    options = body.get("options") or {}
    if not isinstance(options, dict):
        raise UsageFault("`options` is not a mapping", place=place, mend="write {key: value}")
    texts = {str(key): str(value) for key, value in options.items()}
    return Target(name, body["backend"], str(body.get("namespace") or ""), texts)


def _known(targets: Mapping[str, Target], folders: Iterable[Path]) -> str:
    if targets:
        return f"choose one of {', '.join(sorted(targets))}"
    places = " or ".join(str(path) for path in _places(folders))
    return f"write it to {places}"
