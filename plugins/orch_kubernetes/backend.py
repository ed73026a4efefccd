"""Kubernetes as a backend; compile needs no cluster."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.types import EventKind, Instance, Operation
from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.client import KubernetesClient
from orch_kubernetes.api.kinds import CLAIM
from orch_kubernetes.api.sighting import sighting, storage_classes
from orch_kubernetes.api.watching import Watched
from orch_kubernetes.capabilities import capabilities
from orch_kubernetes.change.absence import Absence
from orch_kubernetes.change.changes import Change, Handover, hand_over
from orch_kubernetes.change.predict import Prediction
from orch_kubernetes.change.runs import remember_run
from orch_kubernetes.change.sights import Cluster, Observer
from orch_kubernetes.change.store import KubernetesStore
from orch_kubernetes.change.versions import collect_configs, forget_secrets, held_secrets
from orch_kubernetes.commands import join
from orch_kubernetes.compile.compile import compile_kubernetes
from orch_kubernetes.facts import facts_of, sighted, yes_or_no
from orch_kubernetes.watch import ways
from orch_kubernetes.watch.admission import Verdicts
from orch_kubernetes.watch.forward import PodTunnel, dial, port_of
from orch_kubernetes.watch.happenings import events
from orch_kubernetes.watch.rollout import Watch
from orch_kubernetes.watch.status import status_of
from orch_kubernetes.watch.streams import logs
from orch_kubernetes.watch.ways_in import SERVICE_NAME, slices_path
from orch_kubernetes.watch.why import why

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import LogQuery, Reading
    from orch.spec.application import Application
    from orch.types import Action, Event, LogLine, Manifest, Snapshot, Status
    from orch_kubernetes.classes import StorageClass
    from orch_kubernetes.facts import ClusterFacts, Sighting

Row = dict[str, Any]


class KubernetesBackend:
    """One cluster, or one flavour of them."""

    name = names.BACKEND

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self._take_over = yes_or_no(self._options, "take_over")
        self.client = KubernetesClient(self._options)
        facts_of(self._options)
        self._is_asked = False
        self._compiled_for: Instance | None = None
        self._watched: dict[str, Watched] = {}
        self._handed_over: dict[str, Handover] = {}
        self._verdicts = Verdicts()
        self._absence = Absence(self.client)
        self._lock = threading.Lock()

    @property
    def facts(self) -> ClusterFacts:
        """A target that names a cluster is asked what it is; else its options tell, see `sight`."""
        is_named = self._options.get("kubeconfig") or self._options.get("context")
        return self._sighted if is_named or self._is_asked else facts_of(self._options)

    @cached_property
    def _sighted(self) -> ClusterFacts:
        return sighted(self._options, self._seen)

    @cached_property
    def _seen(self) -> Sighting:
        return sighting(self.client)

    def sight(self, instance: Instance) -> None:
        """Ask the cluster what it is, also one that is kubectl's own or the one this runs in."""
        self._ask()
        self._compiled_for = instance

    def _ask(self) -> None:
        self._is_asked = bool(self._sighted)

    # -- what needs no cluster -----------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """What this version and flavour hold."""
        return capabilities(self.facts)

    def compile(self, app: Application) -> Manifest:
        """The application in objects of the API."""
        return compile_kubernetes(app, self._facts_for(app))

    def _facts_for(self, app: Application) -> ClusterFacts:
        """The facts; of a cluster that is asked also what is there for its volumes and routes."""
        facts = self.facts
        if facts is not self.__dict__.get("_sighted"):
            return facts
        if app.routes and self._compiled_for is not None:
            standing = ways.standing(self._cluster(self._compiled_for))
            facts = sighted(self._options, replace(self._seen, standing=standing))
        own = any(not volume.external for volume in app.volumes.values())
        return replace(facts, classes=self._classes) if own else facts

    @cached_property
    def _classes(self) -> tuple[StorageClass, ...] | None:
        return storage_classes(self.client)

    # -- observe and apply ---------------------------------------------------------------------

    def _cluster(self, instance: Instance) -> Cluster:
        self._ask()
        return Cluster(self.client, self.facts, instance, self._absence)

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        """Everything of the instance, and whatever bears a name of the manifest."""
        cluster = self._cluster(instance)
        return Observer(cluster, self.capabilities(), manifest).snapshot()

    def predict(self, manifest: Manifest, snapshot: Snapshot) -> Snapshot:
        """What an apply would make of it, by a dry run of what is not evidently as wanted."""
        cluster = self._cluster(snapshot.instance)
        return Prediction(cluster, self.capabilities(), snapshot, self._take_over).of(manifest)

    def apply(self, action: Action) -> Iterator[Event]:
        """Do one step."""
        cluster = self._cluster(_instance_of(action))
        change = Change(
            cluster,
            self.capabilities(),
            action,
            self._take_over,
            self._handed_over,
            self._verdicts,
        )
        return change.make()

    def rollout(self, action: Action) -> Iterator[Event]:
        """Watch a workload to the end; then earlier configs that nothing names go."""
        cluster = self._cluster(_instance_of(action))
        kind = cluster.kinds.of(action.body or {}, action.kind)
        row = self.client.one(kind.path(cluster.space, action.name)) or {"metadata": {}}
        ours = marks.selector_of(cluster.instance)
        watch = Watch(
            cluster,
            action.id,
            action.name,
            self._watch(kind.collection(cluster.space), ours, kind.name),
            self._watch(f"/api/v1/namespaces/{cluster.space}/pods", "orch/service", "Pod"),
            self._watch(f"/api/v1/namespaces/{cluster.space}/services", ours, "Service"),
            self._watch(slices_path(self.facts, cluster.space), SERVICE_NAME, "EndpointSlice"),
            least=int(row["metadata"].get("generation") or 0),
            uid=str(row["metadata"].get("uid", "")),
            body=action.body or {},
            addresses=[d.id for d in action.after if d.id.startswith(names.ADDRESSES)],
        )
        for event in watch.events():
            if event.kind is EventKind.HEALTHY:
                remember_run(cluster, action)
                hand_over(cluster, self._handed_over, {**row, "kind": kind.name})
                if action.operation is not Operation.NOOP:
                    collect_configs(cluster)
            yield event

    def _watch(self, path: str, selector: str, kind: str) -> Watched:
        """One watch of a collection, for all rollouts that look at it."""
        with self._lock:
            key = f"{path}?{selector}"
            if key not in self._watched:
                self._watched[key] = Watched(self.client, path, selector, kind)
            return self._watched[key]

    # -- secrets -------------------------------------------------------------------------------

    def held_secrets(self, instance: Instance) -> Mapping[str, Collection[str]]:
        """The versions of each secret that the cluster holds."""
        return held_secrets(self._cluster(instance))

    def forget_secrets(self, instance: Instance, keep: Mapping[str, Collection[str]]) -> None:
        """Remove every version but those to keep and those that something names."""
        forget_secrets(self._cluster(instance), keep)

    # -- what runs -----------------------------------------------------------------------------

    def status(self, instance: Instance) -> Status:
        """Services and jobs with their replicas."""
        return status_of(self._cluster(instance))

    def instances(self) -> Sequence[Instance]:
        """Every instance that marked an object of this cluster."""
        found: dict[Instance, None] = {}
        for plural in ("serviceaccounts", "persistentvolumeclaims"):
            rows = self.client.listed(
                f"/api/v1/{plural}", metadata=True, labelSelector=marks.INSTANCE
            )
            for row in rows:
                owner = marks.owner_of(row, names.BACKEND) or _of_claim(row, plural)
                if owner is not None:
                    found[owner] = None
        return list(found)

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]:
        """Lines of all replicas that the query names."""
        return logs(self._cluster(instance), query)

    def events(self, instance: Instance, *, follow: bool, since: float | None) -> Iterator[Event]:
        """What the cluster notes of the instance, the oldest first."""
        return events(self._cluster(instance), follow=follow, since=since)

    def why(self, instance: Instance, replica: str) -> Sequence[str]:
        """Why a service or replica is where it is, or nowhere, in the scheduler's words."""
        return why(self._cluster(instance), replica)

    def exec(
        self, instance: Instance, service: str, replica: str, command: Sequence[str], *, tty: bool
    ) -> int:
        """Run a command in a replica's main container."""
        cluster = self._cluster(instance)
        seen = [s for s in status_of(cluster).services if s.name == service]
        running = [r for s in seen for r in s.replicas if r.state == "running"]
        chosen = [r for r in running if replica in ("", r.id)]
        chosen.sort(key=lambda r: not r.ready)
        if not chosen:
            raise UsageFault(
                f"{service} has no running replica {replica}".rstrip(), mend="see `orch ps`"
            )
        path = f"/api/v1/namespaces/{cluster.space}/pods/{chosen[0].id}"
        return join(self.client, path, names.object_name(service), command, tty=tty)

    def port_of(self, instance: Instance, service: str, port: str) -> int:
        """The number of a port of a service, by number or name."""
        return port_of(self._cluster(instance), service, port)

    def dial(self, instance: Instance, service: str, replica: str, port: int) -> PodTunnel:
        """A connection to a port of a replica, of any that is ready when none is named."""
        return dial(self._cluster(instance), service, replica, port)

    def read_live(self, selector: str, namespace: str = "") -> Reading:
        """The spec of what runs, by an application's name or by labels."""
        from orch_kubernetes.adopt.live import LiveRead  # with the whole reader

        return LiveRead(self.client, selector, namespace).read()

    # -- the store -----------------------------------------------------------------------------

    def store(self, instance: Instance) -> KubernetesStore:
        """Records and the lock, kept in the instance's namespace."""
        return KubernetesStore(self._cluster(instance))

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            watched, self._watched = list(self._watched.values()), {}
        for one in watched:
            one.close()
        self.client.close()
        for one in watched:
            one.join()


def _instance_of(action: Action) -> Instance:
    if action.instance is None:
        raise ValueError(f"the action on {action.id} names no instance")
    return action.instance


def _of_claim(row: Row, plural: str) -> Instance | None:
    """Claims that a StatefulSet made have labels alone."""
    name, space = marks.label(row, marks.INSTANCE), marks.label(row, marks.NAMESPACE)
    return Instance(names.BACKEND, space, name) if f"{CLAIM}s".lower() == plural and name else None
