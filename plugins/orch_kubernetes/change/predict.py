"""What an apply would make of a manifest, by the word of the cluster itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch.errors import Refused
from orch.frozen import FrozenDict
from orch.plan.merge import Merger
from orch.types import Diagnostic, Observed, Severity, Snapshot, render_path
from orch_kubernetes.adopt import helm
from orch_kubernetes.api.faults import FieldConflict, Invalid, Missing, NoDryRun
from orch_kubernetes.api.kinds import CLAIM, CONTENT_NAMED, WORKLOADS, part
from orch_kubernetes.api.managed import FIXED, adopted
from orch_kubernetes.api.wire import body_of, filled, kept_selector
from orch_kubernetes.change.applying import Applying
from orch_kubernetes.change.namespaces import goes_with_it, is_going
from orch_kubernetes.change.origins import SIZE, origin, positions
from orch_kubernetes.change.sights import unverified
from orch_kubernetes.compile.objects import ONLY_LOOKED_FOR
from orch_kubernetes.watch import ways

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.types import LedgerEntry, Manifest, Resource
    from orch_kubernetes.change.sights import Cluster

Row = dict[str, Any]
AT_ONCE = 16
GROWS = "keep the size, or use a storage class with allowVolumeExpansion; no claim ever shrinks"


@dataclass
class Prediction:
    """Asks for each object that is not evidently as wanted what a dry run makes of it."""

    cluster: Cluster
    capabilities: Capabilities
    snapshot: Snapshot
    take_over: bool = False
    _replace: set[str] = field(default_factory=set)
    _unverified: dict[str, Diagnostic] = field(default_factory=dict)
    _refused: list[Diagnostic] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._merger = Merger(self.capabilities)
        self._rows: Iterable[LedgerEntry] = ()

    def of(self, manifest: Manifest) -> Snapshot:
        """The manifest's objects as they would be. Raises Refused for what the API can't take."""
        self._rows = manifest.ledger
        if not manifest.resources:
            self._tell_end()
            return replace(self.snapshot, objects=FrozenDict({}), facts=self._facts())
        wanted = {resource.id for resource in manifest.resources}
        made = self._is_there()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda r: self._one(r, asked=made), manifest.resources))
        if self._refused:
            raise Refused(
                "\n".join(str(one) for one in self._refused),
                diagnostics=tuple(self._refused),
            )
        theirs = (live.body for id_, live in self.snapshot.objects.items() if id_ in wanted)
        for warning in helm.warnings(self.cluster, theirs):
            self._unverified[warning.fault] = warning
        for warning in ways.moves(self.snapshot.objects, wanted):
            self._unverified[warning.fault] = warning
        objects = FrozenDict({one.id: one for one in found})
        return replace(self.snapshot, objects=objects, facts=self._facts())

    def _facts(self) -> Mapping[str, Any]:
        return FrozenDict(
            {
                "replace": frozenset(self._replace),
                "unverified": tuple(self._unverified.values()),
            }
        )

    def _tell_end(self) -> None:
        """What is taken down leaves nothing: not the namespace that was made for it, either."""
        if goes_with_it(self.cluster) is not None:
            self._unverified[""] = Diagnostic(
                f"the namespace {self.cluster.space}, which orch made, goes too once it is empty",
                mend="keep something in it to keep it: claims stay unless --volumes is said",
                severity=Severity.WARNING,
            )

    def _is_there(self) -> bool:
        """Whether there is a namespace to ask in: the API tries nothing in one to be made."""
        if self.snapshot.objects:
            return True
        space = self.cluster.space
        row = self.cluster.client.one(f"/api/v1/namespaces/{space}")
        if row is not None and not is_going(row):
            return True
        self._unverified[""] = unverified(f"the namespace {space} is made by the deploy")
        return False

    def _one(self, resource: Resource, *, asked: bool) -> Observed:
        instance = self.snapshot.instance
        live = self.snapshot.objects.get(resource.id)
        fresh = Observed(resource.id, resource.kind, resource.name, resource.body, owner=instance)
        if resource.kind == ONLY_LOOKED_FOR:
            return live or fresh
        if live is None or live.name != resource.name or live.kind != resource.kind:
            if live is not None and live.kind != resource.kind:
                self._replace.add(resource.id)
            if asked and live is None:
                self._asked(resource, None)
            return fresh if live is None else self._merged(live, resource)
        merged = self._merged(live, resource)
        as_wanted = merged is live or live.owner not in (None, instance)
        if as_wanted or resource.kind in CONTENT_NAMED:
            return merged
        return self._dry_run(resource, live, merged)

    def _merged(self, live: Observed, resource: Resource) -> Observed:
        body = self._merger.merge(live, live.applied, resource.body)
        instance = self.snapshot.instance
        if body is live.body and live.owner == instance and live.name == resource.name:
            return live
        return replace(live, name=resource.name, body=body, owner=instance)

    def _dry_run(self, resource: Resource, live: Observed, merged: Observed) -> Observed:
        row = self._asked(resource, live)
        if row is None:
            return merged
        if live.owner is None and resource.kind not in FIXED:
            row = adopted(row)
        keys = self._merger.keys(resource.kind)
        body: Mapping[str, Any] = body_of(row, self.cluster.space, resource.body, keys)
        if body == live.body:
            body = live.body
        if body is live.body and live.owner == self.snapshot.instance:
            return live
        return replace(merged, body=body)

    def _asked(self, resource: Resource, live: Observed | None) -> Row | None:
        """What a dry run says, None when there is none to be had."""
        applying = Applying(
            self.cluster.client,
            self.cluster.kinds.of(resource.body),
            self.snapshot.instance,
            resource.id,
            live.revision if live else 0,
            resource.body,
            applied=live.applied if live else None,
            adopting=live is not None and live.owner is None,
            take_over=self.take_over,
        )
        made = filled(applying.request(_sized(live)), dict.fromkeys(resource.secrets, b""))
        try:
            return self._sent(applying, made)
        except Invalid as fault:
            self._invalid(resource, live, fault)
        except FieldConflict as fault:
            fields = [positions(resource.body, owner.path) for owner in fault.owners]
            self._refuse(resource, fault.fault, fault.mend, fields[0] if fields else ())
        except NoDryRun as fault:
            self._unverified[resource.id] = unverified(
                f"{resource.id}: {fault.fault}", "changes are shown as they are sent"
            )
        except Missing as fault:
            self._unverified[resource.id] = unverified(f"{resource.id}: {fault.fault}")
        except Refused as fault:
            if resource.kind == CLAIM:
                self._refuse(resource, fault.fault, GROWS, SIZE)
            else:
                self._refuse(resource, fault.fault, fault.mend)
        return None

    def _sent(self, applying: Applying, made: Row) -> Row:
        """The answer of a dry run; once more where a selector of others is to be kept."""
        try:
            return applying.send(made, dry_run=True)
        except Invalid as fault:
            row = self.cluster.client.one(applying.path()) if fault.immutable else None
            if row is None or kept_selector(made, row) is None:
                raise
            return applying.send(applying.request(row), dry_run=True)

    def _refuse(self, resource: Resource, fault: str, mend: str, field: Sequence[str] = ()) -> None:
        """Note what stands against a resource, at the field of the spec that it comes from."""
        path = origin(self._rows, resource.id, field)
        self._refused.append(Diagnostic(f"{resource.id}: {fault}", path, mend=mend))

    def _invalid(self, resource: Resource, live: Observed | None, fault: Invalid) -> None:
        if live is not None and live.owner is None and fault.immutable and _selects(live):
            labels = part(live.body, ("spec", "selector", "matchLabels"))
            said = ", ".join(f"{key}: {text}" for key, text in labels.items())
            self._refuse(
                resource,
                f"{live.kind} {live.name!r} was made by hand and finds its pods by labels that "
                "the spec does not have",
                f"to take it over as it is write `labels: {{{said}}}` there; or remove it",
            )
        elif live is not None and fault.immutable:
            self._replace.add(resource.id)
            self._tell_sizes(resource, live)
        if live is not None and fault.immutable:
            return
        mend = GROWS if resource.kind == CLAIM else ""
        for one in fault.diagnostics or (Diagnostic(fault.fault),):
            keys = [str(key) for key in one.path[1:]]
            field = f"{render_path(one.path[1:])}: " if keys else ""
            self._refuse(resource, f"{field}{one.fault}", mend, keys)

    def _tell_sizes(self, resource: Resource, live: Observed) -> None:
        """A StatefulSet that is made anew finds the claims of the one before, as they are."""
        before, after = _sizes(live.body), _sizes(resource.body)
        both = sorted(before.keys() & after.keys())
        kept = [f"{name} ({before[name]})" for name in both if before[name] != after[name]]
        if kept:
            self._unverified[f"{resource.id} sizes"] = Diagnostic(
                f"{resource.id}: claims that are there keep their size: {', '.join(kept)}",
                origin(self._rows, resource.id, ()),
                mend="resize them by `kubectl patch pvc`; only further replicas get the new size",
                severity=Severity.WARNING,
            )


def _selects(live: Observed) -> bool:
    """Whether it finds its pods by plain labels of its own."""
    selector = part(live.body, ("spec", "selector"))
    return bool(selector) and set(selector) == {"matchLabels"} and live.kind in WORKLOADS


def _sizes(body: Mapping[str, Any]) -> dict[str, str]:
    """What each template of claims asks for."""
    return {
        claim["metadata"]["name"]: str(part(claim, SIZE))
        for claim in part(body, ("spec", "volumeClaimTemplates")) or ()
    }


def _sized(live: Observed | None) -> Row | None:
    """As much of an object that is there as its request rests on."""
    return {"spec": live.body.get("spec", {})} if live is not None else None
