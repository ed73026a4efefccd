"""What is on the cluster, as bodies that can be compared with a manifest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from orch.errors import Denied
from orch.frozen import FrozenDict
from orch.plan.merge import Merger
from orch.types import Diagnostic, Instance, Observed, Severity, Snapshot
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import CLAIM, CONTENT_NAMED, WORKLOADS, Kinds
from orch_kubernetes.api.nodes import homeless
from orch_kubernetes.api.wire import body_of, real_name, short_name
from orch_kubernetes.change.runs import has_run
from orch_kubernetes.compile.objects import ONLY_LOOKED_FOR
from orch_kubernetes.watch.health import trouble_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.backend.capabilities import Capabilities
    from orch.types import Manifest, Resource
    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.api.kinds import Kind
    from orch_kubernetes.change.absence import Absence
    from orch_kubernetes.facts import ClusterFacts

Row = dict[str, Any]
AT_ONCE = 12
FEW = 8
"""Objects that are asked for one by one; of more, the whole kind is listed."""
_PODS = "/api/v1/namespaces/{}/pods"


class Cluster:
    """What one instance has on a cluster, read when it is asked for."""

    def __init__(
        self,
        client: KubernetesClient,
        facts: ClusterFacts,
        instance: Instance,
        absence: Absence,
    ) -> None:
        self.client, self.facts, self.instance = client, facts, instance
        self.space = marks.space_of(instance)
        self.kinds, self.absence = Kinds(facts), absence

    def ours(self, kinds: Iterable[str], *, needed: Iterable[str] = ()) -> dict[str, list[Row]]:
        """All objects of these kinds that bear our marks.

        Kinds that are not there or may not be seen are left out. Raises Denied for one that is
        needed and may not be seen.
        """
        wanted, must = list(kinds), frozenset(needed)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda name: self._ours(name, must=name in must), wanted)
            rows = dict(zip(wanted, found, strict=True))
        return {name: held for name, held in rows.items() if held is not None}

    def _ours(self, name: str, *, must: bool) -> list[Row] | None:
        kind = self.kinds.all[name]
        try:
            rows = self.client.of_kind(
                kind, self.space, labelSelector=marks.selector_of(self.instance)
            )
        except Denied:
            if must:
                raise
            return None
        if rows is None:
            return None
        # What a controller makes of an object of ours may bear a copy of its marks.
        return _typed([row for row in rows if name == CLAIM or not marks.is_derived(row)], kind)

    def named(self, kind: Kind, real: list[str]) -> list[Row]:
        """Objects of a kind by their real names, whoever made them."""
        if len(real) > FEW and kind.name != "Secret":
            rows = self.client.of_kind(kind, self.space) or []
            wanted = frozenset(real)
            return _typed([row for row in rows if marks.name_of(row) in wanted], kind)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            paths = [kind.path(self.space, name) for name in real]
            found = list(pool.map(self.client.one, paths))
        return _typed([row for row in found if row is not None], kind)

    def pods(self) -> list[Row]:
        """Every pod of the namespace that a service or job of ours made."""
        return self.client.listed(_PODS.format(self.space), labelSelector="orch/service")

    def replica_sets(self, *, every: bool = False) -> list[Row]:
        """Versions of Deployments that still run something, or every one."""
        path = f"/apis/apps/v1/namespaces/{self.space}/replicasets"
        rows = self.client.listed(path, labelSelector="orch/service")
        return [row for row in rows if every or row["spec"].get("replicas")]


def _typed(rows: list[Row], kind: Kind) -> list[Row]:
    """Items of a list do not say themselves what they are."""
    return [{"apiVersion": kind.api, "kind": kind.name, **row} for row in rows]


class Observer:
    """Looks at one instance. `manifest` tells what is wanted, None for everything of ours."""

    def __init__(
        self, cluster: Cluster, capabilities: Capabilities, manifest: Manifest | None
    ) -> None:
        self._cluster, self._instance = cluster, cluster.instance
        self._merger = Merger(capabilities)
        self._wanted = {r.id: r for r in manifest.resources} if manifest else {}
        self._problems: list[Diagnostic] = []

    def snapshot(self) -> Snapshot:
        """The objects by id, and what stands against the manifest."""
        made = [r for r in self._wanted.values() if r.kind != ONLY_LOOKED_FOR]
        needed = {r.kind for r in made}
        rows = self._cluster.ours(self._cluster.kinds.all, needed=needed)
        self._unknown_kinds(made, rows)
        self._problems += homeless(self._cluster.client, self._cluster.facts, made)
        self._add_by_name(made, rows)
        chosen = self._chosen(rows)
        pods = self._pods(rows)
        objects = {id_: self.observed(id_, row, pods) for id_, row in chosen.items()}
        objects |= dict(self._external())
        for resource in made:
            if resource.id not in objects and (ran := has_run(self._cluster, resource)):
                objects[resource.id] = ran
        return Snapshot(self._instance, FrozenDict(objects), tuple(self._problems))

    def _pods(self, rows: Mapping[str, list[Row]]) -> list[Row]:
        """Pods tell why a workload stands still; where all is well, none are asked for."""
        suspect = any(trouble_of(row, None) for name in WORKLOADS for row in rows.get(name, ()))
        return self._cluster.pods() if suspect else []

    def _add_by_name(self, made: list[Resource], rows: dict[str, list[Row]]) -> None:
        """Whatever bears a wanted name stands in its way, though it has no marks of ours."""
        space = self._cluster.space
        held = {name: {marks.name_of(row) for row in found} for name, found in rows.items()}
        missing: dict[Kind, list[str]] = {}
        for resource in made:
            real = real_name(resource.kind, resource.name, space)
            if real not in held.get(resource.kind, (real,)):
                kind = self._cluster.kinds.of(resource.body)
                missing.setdefault(kind, []).append(real)
        for kind, real_names in missing.items():
            rows[kind.name] = rows[kind.name] + self._cluster.named(kind, real_names)

    def _unknown_kinds(self, made: list[Resource], rows: Mapping[str, list[Row]]) -> None:
        for resource in made:
            if resource.kind not in rows:
                api = resource.body["apiVersion"]
                self._problems.append(
                    Diagnostic(
                        f"the cluster has no {resource.kind} of {api}",
                        (resource.id,),
                        mend="install what brings it, or name the cluster's version and routes "
                        "in the target's options",
                    )
                )

    def _chosen(self, rows: Mapping[str, list[Row]]) -> dict[str, Row]:
        """One object an id: the wanted one, else the newest."""
        space, found = self._cluster.space, dict[str, tuple[tuple[bool, int, str], Row]]()
        by_name = {(r.kind, real_name(r.kind, r.name, space)): r.id for r in self._wanted.values()}
        for kind, held in rows.items():
            for row in held:
                if marks.label(row, marks.STORE):
                    continue
                wanted = by_name.get((kind, marks.name_of(row)))
                id_ = wanted or _id_of(row)
                rank = (wanted is not None, *marks.age_of(row))
                if id_ and (id_ not in found or rank > found[id_][0]):
                    found[id_] = (rank, row)
        return {id_: row for id_, (_, row) in found.items()}

    def observed(
        self, id_: str, row: Row, pods: list[Row], asked: Mapping[str, Any] | None = None
    ) -> Observed:
        """One object, in the words of the body that is asked for where one is."""
        wanted, kind = self._wanted.get(id_), str(row["kind"])
        applied = marks.unpack(marks.annotation(row, marks.APPLIED))
        if asked is None:
            asked = wanted.body if wanted and wanted.kind == kind else applied
        space, keys = self._cluster.space, self._merger.keys(kind)
        body = body_of(row, space, asked, keys)
        owner = marks.owner_of(row, self._instance.target)
        if (
            kind == CLAIM
            and marks.label(row, marks.INSTANCE)
            and not marks.annotation(row, "orch/id")
        ):
            owner = self._instance
        if applied is None and owner == self._instance and kind in CONTENT_NAMED:
            applied = body
        metadata = row["metadata"]
        return Observed(
            id_,
            kind,
            short_name(kind, marks.name_of(row), space),
            body,
            applied=applied,
            owner=owner,
            revision=marks.revision_of(row),
            uid=str(metadata.get("uid", "")),
            version=str(metadata.get("resourceVersion", "")),
            failed=trouble_of(row, pods) if kind in WORKLOADS else "",
        )

    def _external(self) -> Iterator[tuple[str, Observed]]:
        """What is only looked for has to be there."""
        for resource in self._wanted.values():
            if resource.kind != ONLY_LOOKED_FOR:
                continue
            kind = self._cluster.kinds.of(resource.body)
            if not self._cluster.named(kind, [resource.name]):
                noun, _, name = resource.id.partition("/")
                self._problems.append(
                    Diagnostic(
                        f"the namespace {self._cluster.space} has no {kind.name} {resource.name!r}",
                        (f"{noun}s", name),
                        mend="make it first, or remove `external`",
                    )
                )
            yield (
                resource.id,
                Observed(
                    resource.id,
                    ONLY_LOOKED_FOR,
                    resource.name,
                    resource.body,
                    owner=self._instance,
                ),
            )


def _id_of(row: Row) -> str:
    """The id that an object's marks name; claims that a StatefulSet made are volumes, too."""
    said = marks.annotation(row, marks.ID)
    if not said and row["kind"] == CLAIM and marks.label(row, marks.INSTANCE):
        return f"volume/{marks.name_of(row)}"
    return said


def unverified(reason: str, mend: str = "") -> Diagnostic:
    """A warning that the plan was made without the cluster's own word."""
    said = f"not verified by the cluster: {reason}"
    return Diagnostic(said, mend=mend, severity=Severity.WARNING)
