"""Leaving out what belongs to profiles that were not chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict
from orch.load.hints import nearest
from orch.types import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orch.spec.application import Application, Policy

SECTIONS = ("services", "jobs")


def choose(
    app: Application, chosen: Collection[str]
) -> tuple[Application, Mapping[str, tuple[str, ...]], list[Diagnostic]]:
    """The application without the parts of other profiles, and the profiles of what left."""
    left = {
        name: part.profiles
        for section in SECTIONS
        for name, part in getattr(app, section).items()
        if part.profiles and not set(part.profiles) & set(chosen)
    }
    unknown = _unknown(app, chosen)
    return (_without(app, left), left, unknown) if left else (app, left, unknown)


def _unknown(app: Application, chosen: Collection[str]) -> list[Diagnostic]:
    if not chosen:
        return []
    known = {p for s in SECTIONS for part in getattr(app, s).values() for p in part.profiles}
    return [
        Diagnostic(
            f"nothing has the profile {name!r}",
            mend=f"did you mean {near}?" if (near := nearest(name, known)) else "leave it out",
            severity=Severity.WARNING,
        )
        for name in chosen
        if name not in known
    ]


def _without(app: Application, left: Collection[str]) -> Application:
    changed: dict[str, Any] = {
        section: FrozenDict(
            {
                name: _released(part, left)
                for name, part in getattr(app, section).items()
                if name not in left
            }
        )
        for section in SECTIONS
    }
    changed["routes"] = tuple(route for route in app.routes if route.service not in left)
    changed["policies"] = tuple(
        _admitting(policy, left) for policy in app.policies if policy.to.service not in left
    )
    kept = {key: item for key, item in changed.items() if getattr(app, key) != item}
    resolved: Application = _updated(app, kept)
    return resolved


def _updated(model: Any, changed: Mapping[str, Any]) -> Any:
    """A copy with these values; one that became empty counts as not written by the author."""
    copy = model.model_copy(update=changed)
    copy.model_fields_set.difference_update(key for key, item in changed.items() if not item)
    return copy


def _admitting(policy: Policy, left: Collection[str]) -> Policy:
    peers = tuple(peer for peer in policy.from_ if peer.service not in left)
    admitting: Policy = _updated(policy, {"from_": peers})
    return policy if peers == policy.from_ else admitting


def _released(part: Any, left: Collection[str]) -> Any:
    """A service or job that no longer waits for what left where it need not, nor stays near it."""
    changed: dict[str, Any] = {}
    waits = {n: d for n, d in part.depends_on.items() if d.required or n not in left}
    if len(waits) != len(part.depends_on):
        changed["depends_on"] = FrozenDict(waits)
    if hasattr(part, "deploy"):
        placed = _placed(part.deploy, left)
        changed |= {"deploy": placed} if placed is not part.deploy else {}
    else:
        placed = _placed(part, left)
        changed |= {"placement": placed.placement} if placed is not part else {}
    return _updated(part, changed) if changed else part


def _placed(owner: Any, left: Collection[str]) -> Any:
    """What has a placement, without affinities to what left."""
    if owner.placement is None:
        return owner
    changed = {
        name: kept
        for name in ("affinity", "anti_affinity")
        if (kept := tuple(a for a in getattr(owner.placement, name) if a.service not in left))
        != getattr(owner.placement, name)
    }
    if not changed:
        return owner
    return owner.model_copy(update={"placement": _updated(owner.placement, changed)})
