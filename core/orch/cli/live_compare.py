"""Reading two deployments from their targets, and telling how they differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orch.cli.choices import TargetChoice
from orch.cli.connect import connected, instance_of
from orch.cli.specfile import folder_of, read_name
from orch.cli.targets import DEFAULT_NAMESPACE, choose, read_targets
from orch.errors import UsageFault
from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orch.cli.choices import SpecChoice
    from orch.cli.connect import Connection
    from orch.cli.root import Settings
    from orch.cli.targets import Target
    from orch.compare.live import Deployed
    from orch.types import Release


def compare_live(
    settings: Settings, app: str | None, spec: SpecChoice, places: tuple[str, str], form: str
) -> bool:
    """Print how two deployments compare; True when something differs."""
    from orch.cli.render.live_compare import live_report, live_shape
    from orch.compare.live import compare_deployed

    name = app or read_name(spec)
    left, right = (_deployed(settings, name, spec, place) for place in places)
    compared = compare_deployed(left, right)
    settings.out.result(lambda: live_report(compared), lambda: live_shape(compared), form)
    return compared.differs


def place_of(text: str, folder: Path) -> Target:
    """What `swarm:prod` means: a target, or a backend with its defaults; then a namespace.

    Behind the colon of a backend a target of that backend may stand, too. Raises UsageFault.
    """
    first, _, second = text.partition(":")
    targets = read_targets([folder, Path()])
    behind = targets.get(second)
    if first in targets:
        target = targets[first]
    elif behind is not None and behind.backend == first:
        return behind
    else:
        target = _of_backend(first, text, targets)
    return replace(target, namespace=second) if second else target


def _of_backend(name: str, text: str, targets: Mapping[str, Target]) -> Target:
    from orch.backend.discovery import installed

    if name not in installed().backends:
        known = ", ".join([*sorted(targets), *installed().backends])
        fault = f"{name!r} is neither a target nor a backend"
        raise UsageFault(fault, place=f"--live {text}", mend=f"choose one of {known}")
    return choose(TargetChoice(backend=name), [])


def _deployed(settings: Settings, name: str, spec: SpecChoice, place: str) -> Deployed:
    target = place_of(place, folder_of(spec))
    placed = replace(target, namespace=target.namespace or DEFAULT_NAMESPACE)
    instance = instance_of(TargetChoice(name=name), placed, spec, name)
    with connected(placed, instance, folder_of(spec), settings.out) as connection:
        return _read(connection)


def _read(connection: Connection) -> Deployed:
    """Raises UsageFault when nothing of the application is there."""
    from orch.compare.live import Deployed

    session = connection.session
    status = session.status()
    release = next((kept for kept in session.releases() if _is_good(kept)), None)
    is_ours = bool(status.services) or release is not None
    return Deployed(
        connection.instance,
        connection.backend.name,
        status,
        (release.document if release else EMPTY) if is_ours else _read_back(connection),
        release,
        session.drift() if release else (),
    )


def _is_good(release: Release) -> bool:
    return bool(release.document) and release.outcome == "done"


def _read_back(connection: Connection) -> Mapping[str, Any]:
    """The spec of what something else deployed, as far as the backend can tell it."""
    from orch.backend.contract import SupportsLiveRead

    if isinstance(connection.backend, SupportsLiveRead):
        instance = connection.instance
        named = instance.namespace if instance.namespace != DEFAULT_NAMESPACE else ""
        return connection.backend.read_live(instance.name, named).document
    raise UsageFault(
        "nothing is deployed here",
        place=str(connection.instance),
        mend="name a place and an application that run",
    )
