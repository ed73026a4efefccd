"""What is done to each object, and why: one step for everything that is wanted or that is ours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orch.errors import Refused
from orch.frozen import EMPTY
from orch.plan.diff import ABSENT, diff_bodies, fits, look_up, patterns_of, values_at
from orch.plan.merge import Merger, last_applied
from orch.types import Action, Change, Observed, Op, Operation, render_path

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orch.backend.capabilities import Capabilities
    from orch.types import Instance, InventoryItem, Resource, Snapshot

AS_WANTED = "it is as wanted"


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything that steps are judged by. `held` are ids that a kept release still names."""

    instance: Instance
    snapshot: Snapshot
    predicted: Snapshot
    capabilities: Capabilities
    inventory: Mapping[str, InventoryItem]
    merger: Merger
    held: Collection[str] = ()


def wanted_step(resource: Resource, basis: Basis) -> Action:
    """What must be done so that an object is as wanted. Raises Refused for one of others."""
    live = basis.snapshot.objects.get(resource.id)
    if live is None:
        return _new_step(resource, basis)
    item = basis.inventory.get(resource.id)
    predicted = basis.predicted.objects[resource.id]
    if is_ours(live, item, basis.instance):
        return _own_step(resource, live, item, predicted, basis)
    return _adoption(resource, live, predicted, basis)


def _new_step(resource: Resource, basis: Basis) -> Action:
    """Create it, or where the platform can, rename what it was before."""
    former = basis.snapshot.objects.get(resource.formerly)
    item = basis.inventory.get(resource.formerly)
    if former is None or not is_ours(former, item, basis.instance):
        return _step(Operation.CREATE, resource, basis, "it is not there")
    if "rename" not in basis.capabilities.features:
        reason = f"it takes the place of {former.id}, which this platform can't rename"
        return _step(Operation.CREATE, resource, basis, reason)
    applied = last_applied(former, item)
    body = basis.merger.merge(former, applied, resource.body)
    changes = diff_bodies(former.body, body, basis.capabilities.list_keys, former.kind)
    renamed = Change(Op.CHANGE, ("name",), former.name, resource.name)
    return replace(
        _step(
            Operation.UPDATE,
            resource,
            basis,
            f"it is renamed from {former.id}",
            former,
            (renamed, *marked(changes, applied, basis.merger, former.kind)),
        ),
        fingerprint=fingerprint(former, applied, resource.body, basis.merger),
    )


def _own_step(
    resource: Resource,
    live: Observed,
    item: InventoryItem | None,
    predicted: Observed,
    basis: Basis,
) -> Action:
    if predicted is live or (predicted.body is live.body and resource.name == live.name):
        return _unchanged_step(resource, live, item, basis)
    applied = last_applied(live, item)
    changes = marked(
        diff_bodies(live.body, predicted.body, basis.capabilities.list_keys, live.kind),
        applied,
        basis.merger,
        live.kind,
    )
    cause = _must_replace(resource, live, changes, basis)
    if not changes and not cause:
        return _unchanged_step(resource, live, item, basis)
    operation = Operation.REPLACE if cause else Operation.UPDATE
    return replace(
        _step(operation, resource, basis, cause or _why(changes), live, changes),
        fingerprint=fingerprint(live, applied, resource.body, basis.merger),
        destroys_data=bool(cause) and resource.stateful,
    )


def _unchanged_step(
    resource: Resource, live: Observed, item: InventoryItem | None, basis: Basis
) -> Action:
    """Nothing, or a fresh attempt where it is as wanted and failed all the same."""
    if not (resource.rollout and live.failed):
        return _step(Operation.NOOP, resource, basis, AS_WANTED, live)
    return replace(
        _step(Operation.RETRY, resource, basis, live.failed, live),
        fingerprint=fingerprint(live, last_applied(live, item), resource.body, basis.merger),
    )


def _adoption(resource: Resource, live: Observed, predicted: Observed, basis: Basis) -> Action:
    if live.owner is not None:
        raise Refused(
            f"{live.kind} {live.name!r} belongs to {live.owner}",
            place=resource.id,
            mend="choose another --name or namespace, or take that deployment down first",
        )
    changes = diff_bodies(live.body, predicted.body, basis.capabilities.list_keys, live.kind)
    cause = _must_replace(resource, live, changes, basis)
    if cause:
        raise Refused(
            f"{live.kind} {live.name!r} was made by hand and can't be taken over: {cause}",
            place=resource.id,
            mend="make the spec agree with it, or remove it, then deploy again",
        )
    return replace(
        _step(
            Operation.ADOPT, resource, basis, "it was made by hand and is taken over", live, changes
        ),
        fingerprint=fingerprint(live, None, resource.body, basis.merger),
    )


def _step(
    operation: Operation,
    resource: Resource,
    basis: Basis,
    reason: str,
    before: Observed | None = None,
    changes: tuple[Change, ...] = (),
) -> Action:
    return Action(
        operation,
        resource.id,
        resource.kind,
        resource.name,
        reason,
        body=resource.body,
        before=before,
        changes=changes,
        after=resource.depends_on,
        rollout=resource.rollout,
        instance=basis.instance,
        stateful=resource.stateful,
        sends=sent_by(resource),
    )


def sent_by(resource: Resource) -> tuple[str, ...]:
    """The secrets whose values go out with an object."""
    return resource.sends or (() if resource.rollout else resource.secrets)


def is_ours(live: Observed, item: InventoryItem | None, instance: Instance) -> bool:
    """Whether an object carries our marker, or a release of ours names it and nobody marked it."""
    if live.owner is not None:
        return live.owner == instance
    return item is not None and item.uid != "" and item.uid == live.uid


def marked(
    changes: tuple[Change, ...], applied: Mapping[str, Any] | None, merger: Merger, kind: str
) -> tuple[Change, ...]:
    """Changes, each told whether the live side is somebody else's doing since we applied."""
    if applied is None:
        return changes
    return tuple(
        replace(change, drift=True) if _drifted(change, applied, merger, kind) else change
        for change in changes
    )


def _drifted(change: Change, applied: Mapping[str, Any], merger: Merger, kind: str) -> bool:
    ours = look_up(applied, change.path, merger.keys(kind))
    live = ABSENT if change.op == "add" else change.old
    return (ours is ABSENT) is not (live is ABSENT) or (ours is not ABSENT and ours != live)


def _why(changes: tuple[Change, ...]) -> str:
    count = "1 field changes" if len(changes) == 1 else f"{len(changes)} fields change"
    drifted = sum(change.drift for change in changes)
    return f"{count}, {drifted} of them drifted" if drifted else count


def _must_replace(
    resource: Resource, live: Observed, changes: tuple[Change, ...], basis: Basis
) -> str:
    """Why an object can't be changed in place, empty when it can."""
    if resource.name != live.name:
        return f"its name changes from {live.name!r}"
    if resource.id in basis.predicted.facts.get("replace", ()):
        return "the platform can't change it in place"
    patterns = patterns_of(basis.capabilities.limits.get("immutable", ()), resource.kind)
    for change in changes:
        if any(_touches(change, pattern) for _, pattern in patterns):
            return f"{render_path(change.path)} can't be changed in place"
    return ""


def _touches(change: Change, pattern: tuple[str, ...]) -> bool:
    """Whether a change is of the field that a pattern names, below it, or of a part around it."""
    length = min(len(change.path), len(pattern))
    if not fits(pattern[:length], change.path[:length]):
        return False
    sides = [list(values_at(side, pattern[length:])) for side in (change.old, change.new)]
    return sides[0] != sides[1]


def orphan_step(
    live: Observed, basis: Basis, *, prune: bool, destroy: bool, runs: bool
) -> Action | None:
    """What becomes of an object that is ours and not wanted; None when it is not ours.

    What holds data stays unless `destroy`; what a kept release names by its content stays too.
    """
    item = basis.inventory.get(live.id)
    if not is_ours(live, item, basis.instance):
        return None
    kept = _kept(live, item, basis, prune=prune, destroy=destroy)
    stateful = _holds_data(live, item, basis)
    body = item.body if item else (live.applied if live.applied is not None else live.body)
    return Action(
        Operation.NOOP if kept else Operation.DELETE,
        live.id,
        live.kind,
        live.name,
        kept or "it is no longer wanted",
        body=body if kept else None,
        before=live,
        after=item.depends_on if item and kept else (),
        rollout=item.rollout if item else runs,
        stateful=stateful,
        sends=item.sends if item and kept else (),
        destroys_data=stateful and not kept,
        fingerprint="" if kept else fingerprint(live, body, EMPTY, basis.merger),
        instance=basis.instance,
    )


def _kept(
    live: Observed, item: InventoryItem | None, basis: Basis, *, prune: bool, destroy: bool
) -> str:
    if not prune:
        return "kept: nothing is pruned now"
    if _holds_data(live, item, basis) and not destroy:
        return "kept: holds data"
    if live.kind in basis.capabilities.limits.get("content_named", ()) and live.id in basis.held:
        return "kept: an earlier release names it"
    return ""


def _holds_data(live: Observed, item: InventoryItem | None, basis: Basis) -> bool:
    if item is not None:
        return item.stateful
    return live.kind in basis.capabilities.limits.get("stateful", ("volume",))


def fingerprint(
    live: Observed, applied: Mapping[str, Any] | None, wanted: Mapping[str, Any], merger: Merger
) -> str:
    """A digest of the owned fields of a live object: what a step on it rests on."""
    return digest(merger.owned(live, applied, wanted))


def digest(value: Any) -> str:
    """A short digest of a JSON-shaped value, the same however its mappings are ordered."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
