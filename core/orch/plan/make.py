"""Making a plan: a step for each object, in an order that honours every dependency."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orch.backend.capabilities import Capabilities
from orch.frozen import EMPTY
from orch.load.source import document_of
from orch.plan.exclusive import free_first
from orch.plan.graph import deletions_in_reverse, in_order
from orch.plan.merge import Merger, inventory_of
from orch.plan.only import merged_document, narrowed
from orch.plan.steps import Basis, digest, orphan_step, wanted_step
from orch.types import Operation, Plan, Severity, render_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orch.spec.application import Application
    from orch.types import Action, Diagnostic, Instance, Manifest, Release, Snapshot

NO_LIMITS = Capabilities(EMPTY)


def make_plan(
    instance: Instance,
    backend_name: str,
    app: Application | None,
    manifest: Manifest,
    snapshot: Snapshot,
    predicted: Snapshot,
    last: Release | None,
    versions: Mapping[str, str],
    *,
    only: Collection[str] = (),
    prune: bool = True,
    destroy_volumes: bool = False,
    capabilities: Capabilities = NO_LIMITS,
    held: Collection[str] = (),
    by_hand: Sequence[Release] = (),
    reason: str = "deploy",
) -> Plan:
    """Everything that must be done so that what is wanted is there, and nothing else of ours.

    `last` is the newest release, its inventory widened by those of cut-off ones. Without an app
    the plan's document is empty: everything goes. `only` narrows it to these services and jobs
    and what they need, and prunes nothing. `by_hand` are the releases, newest first, whose sizes
    this plan may take back. Raises Refused for an object that is not ours.
    """
    basis = Basis(
        instance, snapshot, predicted, capabilities, inventory_of(last), Merger(capabilities), held
    )
    actions = [wanted_step(resource, basis) for resource in manifest.resources]
    document: Mapping[str, Any] = document_of(app) if app is not None else {}
    if only:
        actions = narrowed(actions, only, basis.inventory)
        document = merged_document(document, last.document if last else {}, actions, only)
    renamed = {action.formerly for action in actions}
    wanted = renamed | {resource.id for resource in manifest.resources}
    running = {resource.kind for resource in manifest.resources if resource.rollout}
    actions += orphans(wanted, running, basis, prune=prune and not only, destroy=destroy_volumes)
    base = last.number if last else 0
    return finished(
        Plan(
            instance,
            backend_name,
            in_order(free_first(actions, capabilities, snapshot.crowded)),
            document,
            base + 1,
            "",
            versions,
            warnings=_warnings(snapshot.problems, predicted),
            notes=(*manifest.notes, *_notes(actions, by_hand, reason)),
            base_revision=base,
            reason=reason,
        )
    )


def orphans(
    wanted: Collection[str], running: Collection[str], basis: Basis, *, prune: bool, destroy: bool
) -> list[Action]:
    """Steps for what is ours and wanted no more; `running` are the kinds that are rollouts."""
    found = [
        orphan_step(live, basis, prune=prune, destroy=destroy, runs=live.kind in running)
        for id_, live in basis.snapshot.objects.items()
        if id_ not in wanted
    ]
    steps = [step for step in found if step is not None]
    going = [step for step in steps if step.operation is Operation.DELETE]
    kept = [step for step in steps if step.operation is not Operation.DELETE]
    return kept + deletions_in_reverse(going, basis.inventory)


def finished(plan: Plan) -> Plan:
    """A plan with its revision, its summary and its digest written where they belong."""
    actions = tuple(
        replace(action, revision=plan.revision)
        if action.operation is not Operation.NOOP
        else action
        for action in plan.actions
    )
    return replace(
        plan, actions=actions, summary=summarised(actions), fingerprint=_fingerprint(plan, actions)
    )


def _fingerprint(plan: Plan, actions: Sequence[Action]) -> str:
    steps = [
        (a.operation, a.id, a.name, a.fingerprint, digest(a.body))
        for a in actions
        if a.operation is not Operation.NOOP
    ]
    return digest(
        (str(plan.instance), plan.backend, plan.base_revision, plan.reason, plan.versions, steps)
    )


def summarised(actions: Iterable[Action]) -> str:
    """How many objects each operation touches, in one line."""
    counts = Counter(action.operation for action in actions)
    unchanged = counts.pop(Operation.NOOP, 0)
    parts = [f"{counts[operation]} to {operation}" for operation in Operation if counts[operation]]
    return ", ".join((*parts, f"{unchanged} unchanged")) if parts else "nothing to do"


def _warnings(problems: Iterable[Diagnostic], predicted: Snapshot) -> tuple[Diagnostic, ...]:
    mild = [problem for problem in problems if problem.severity is Severity.WARNING]
    return (*mild, *predicted.facts.get("unverified", ()))


def _notes(actions: Iterable[Action], by_hand: Sequence[Release], reason: str) -> list[str]:
    if reason != "deploy":
        return []
    scaled = {
        name: (size, release)
        for release in reversed(by_hand)
        for name, _, size in (said.partition("=") for said in release.reason.split()[1:])
    }
    told = (
        _taken_back(action, *scaled[name])
        for action in actions
        if action.operation is Operation.UPDATE and (name := action.id.rpartition("/")[2]) in scaled
    )
    return [note for note in told if note]


def _taken_back(action: Action, size: str, release: Release) -> str:
    """What a step takes back of a size; what somebody else changed is drift, and told as that."""
    changes = [c for c in action.changes if not c.drift and str(c.old) == size]
    fields = ", ".join(render_path(change.path) for change in changes)
    return fields and (
        f"{action.id} was scaled by hand ({release.reason}, release {release.number}); "
        f"this takes back: {fields}"
    )
