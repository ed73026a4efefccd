"""The native scheduler as a backend: everything goes to its server, over the client.

The server is started by the first call that needs it.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.backend.contract import Lock
from orch.errors import Conflict, Unreachable, UsageFault
from orch.frozen import FrozenDict
from orch.types import (
    Crowded,
    Diagnostic,
    Event,
    EventKind,
    Instance,
    Observed,
    Operation,
    Snapshot,
    parse_path,
)
from orch_native.api import RolloutPhase
from orch_native.capabilities import FIXED, capabilities
from orch_native.compile import BACKEND, compile_native
from orch_native.rules import DOCKER, PROCESS
from orch_native.terminal import join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import LogQuery
    from orch.spec.application import Application
    from orch.types import Action, LogLine, Manifest, Resource, Status
    from orch_native.api import HeldLock, Refusal, Rollout, StoredResource
    from orch_native.client import NativeClient

RECORD_LIMIT = 1 << 20
_STARTABLE = ("docker_host", "labels")
_ROLLED = ("service", "job")
_ENDS = FrozenDict(
    {
        RolloutPhase.HEALTHY: EventKind.HEALTHY,
        RolloutPhase.GONE: EventKind.HEALTHY,
        RolloutPhase.FAILED: EventKind.FAILED,
        RolloutPhase.PAUSED: EventKind.FAILED,
        RolloutPhase.ROLLED_BACK: EventKind.FAILED,
    }
)


class NativeBackend:
    """One native server. Options: `state`, `socket`, `docker_host`, `driver`."""

    name = BACKEND

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self._only_driver = options.get("driver", "")
        if self._only_driver not in ("", DOCKER, PROCESS):
            raise UsageFault(
                f"there is no driver {self._only_driver!r}",
                place="the target's option driver",
                mend=f"choose {DOCKER} or {PROCESS}, or leave it out",
            )
        self._client: NativeClient | None = None
        self._opening = threading.Lock()

    @property
    def client(self) -> NativeClient:
        """A connection to the server, which is started when none runs."""
        with self._opening:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> NativeClient:
        from orch_native import daemon
        from orch_native.client import NativeClient

        if socket := self._options.get("socket"):
            return NativeClient(_existing(Path(socket).absolute()))
        state = Path(self._options["state"]) if "state" in self._options else None
        given = {key: value for key in _STARTABLE if (value := self._options.get(key))}
        return daemon.ensure_running(state, options=given)

    # -- what needs no server ---------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """What native holds, whichever driver runs a task."""
        return capabilities()

    def compile(self, app: Application) -> Manifest:
        """The application in the scheduler's own words."""
        return compile_native(app, self._only_driver)

    # -- observe ----------------------------------------------------------------------------

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        """Everything of the instance; what can't be run here now is told as problems."""
        objects = {
            resource.id: _observed(instance, resource)
            for resource in self.client.resources(instance)
        }
        if manifest is None:
            return Snapshot(instance, FrozenDict(objects))
        found = self._refusals(instance, manifest, objects.values())
        return Snapshot(
            instance,
            FrozenDict(objects),
            tuple(_diagnostic(refusal) for refusal in found if not refusal.freed_by),
            crowded=tuple(
                Crowded(refusal.unit, tuple(refusal.freed_by), _diagnostic(refusal))
                for refusal in found
                if refusal.freed_by
            ),
        )

    def _refusals(
        self, instance: Instance, manifest: Manifest, there: Iterable[Observed]
    ) -> list[Refusal]:
        """What of the manifest can't be run, when whatever it does not name may go."""
        units = [r for r in manifest.resources if r.kind in (*_ROLLED, *FIXED) or _is_theirs(r)]
        staying = {r.id for r in units}
        staying |= {f"{r.kind}/{former}" for r in units if (former := r.body.get("formerly"))}
        leaving = [o.id for o in there if o.kind in _ROLLED and o.id not in staying]
        return self.client.refusals(instance, units, leaving) if units else []

    def status(self, instance: Instance) -> Status:
        """Services and jobs with their replicas."""
        return self.client.status(instance)

    def instances(self) -> Sequence[Instance]:
        """Every instance of this server."""
        return [Instance(BACKEND, space, name) for space, name in self.client.instances()]

    # -- apply ------------------------------------------------------------------------------

    def apply(self, action: Action) -> Iterator[Event]:
        """Write, restart or delete one resource."""
        instance = _instance_of(action)
        if action.operation is Operation.DELETE:
            yield from self._delete(instance, action)
        elif action.operation is Operation.RESTART:
            self.client.restart(instance, action.kind, action.name, revision=action.revision)
        elif action.operation is Operation.RETRY:
            self.client.retry(instance, action.kind, action.name, revision=action.revision)
        elif action.operation is not Operation.NOOP:
            if action.operation is Operation.REPLACE:
                yield from self._delete(instance, action)
            self._put(instance, action)
        yield Event(EventKind.APPLIED, action.id, action.reason)

    def _put(self, instance: Instance, action: Action) -> None:
        replaced = action.operation is Operation.REPLACE
        expected = action.before.version if action.before and not replaced else ""
        body = _written(action)
        try:
            self.client.put_resource(
                instance,
                action.kind,
                action.name,
                body,
                revision=action.revision,
                secrets=dict(action.secrets) if action.kind == "secret" else {},
                expect_version=expected,
                formerly=action.before.name if action.before and action.formerly else "",
            )
        except Conflict:
            if not self._done_already(instance, action, body):
                raise

    def _done_already(self, instance: Instance, action: Action, body: Mapping[str, Any]) -> bool:
        """Whether this very step was taken before its answer got lost."""
        there = self.client.resource(instance, action.kind, action.name)
        return there is not None and not there.deleting and dict(there.body) == body

    def _delete(self, instance: Instance, action: Action) -> Iterator[Event]:
        """Deleting ends when the last replica is gone, so that what they used may go next.

        A volume's ends when its data is gone: a deploy right after it begins with an empty one.
        """
        version = action.before.version if action.before else None
        self.client.delete_resource(instance, action.kind, action.name, expect_version=version)
        if action.kind in (*_ROLLED, "volume"):
            for sight in self.client.rollout(instance, action.kind, action.name):
                if not sight.phase.final:
                    yield _progress(action, sight)

    def rollout(self, action: Action) -> Iterator[Event]:
        """Follow the server's own deployment to its end."""
        instance = _instance_of(action)
        for sight in self.client.rollout(instance, action.kind, action.name):
            yield _progress(action, sight)

    # -- what runs --------------------------------------------------------------------------

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]:
        """Lines of all replicas that the query names."""
        return self.client.logs(
            instance,
            services=query.services,
            replicas=query.replicas,
            follow=query.follow,
            since=query.since,
            tail=query.tail,
        )

    def exec(
        self, instance: Instance, service: str, replica: str, command: Sequence[str], *, tty: bool
    ) -> int:
        """Run a command in a replica, joined to this process's standard streams."""
        return join(self.client.exec(instance, service, replica, command, tty=tty), tty=tty)

    def events(self, instance: Instance, *, follow: bool, since: float | None) -> Iterator[Event]:
        """What happened to the instance, oldest first."""
        return self.client.events(instance, follow=follow, since=since)

    def metrics(self, instance: Instance) -> Mapping[str, Mapping[str, float]]:
        """Cpu (cores) and memory (bytes) by replica."""
        return self.client.stats(instance)

    def why(self, instance: Instance, replica: str) -> Sequence[str]:
        """Why a service or replica is where it is, or nowhere."""
        return self.client.why(instance, replica)

    # -- secrets ----------------------------------------------------------------------------

    def held_secrets(self, instance: Instance) -> Mapping[str, Collection[str]]:
        """The versions of each secret whose values the server keeps, encrypted."""
        return self.client.held_secrets(instance)

    def forget_secrets(self, instance: Instance, keep: Mapping[str, Collection[str]]) -> None:
        """Drop the others, but for those that something runs with."""
        self.client.forget_secrets(instance, keep)

    # -- the store --------------------------------------------------------------------------

    def store(self, instance: Instance) -> NativeStore:
        """Records and the lock, kept by the server beside the instance."""
        return NativeStore(self, instance)

    def close(self) -> None:
        """Give the connection back; the server and what it runs go on."""
        with self._opening:
            if self._client is not None:
                self._client.close()
                self._client = None


class NativeStore:
    """The records and the lock of one instance."""

    limit = RECORD_LIMIT

    def __init__(self, backend: NativeBackend, instance: Instance) -> None:
        self._backend, self._instance = backend, instance

    def create(self, name: str, data: bytes) -> None:
        """Write a record once. Raises Conflict when the name is taken."""
        self._backend.client.create_record(self._instance, name, data)

    def read(self, name: str) -> bytes:
        """Raises KeyError when there is none."""
        return self._backend.client.read_record(self._instance, name)

    def names(self, prefix: str = "") -> Sequence[str]:
        """Names that begin so."""
        return self._backend.client.record_names(self._instance, prefix)

    def delete(self, name: str) -> None:
        """Remove a record."""
        self._backend.client.delete_record(self._instance, name)

    def acquire(self, holder: str, ttl: float) -> Lock:
        """Take the lock. Raises Locked naming the holder."""
        return _lock(self._backend.client.acquire_lock(self._instance, holder, ttl))

    def renew(self, lock: Lock, ttl: float) -> Lock:
        """Raises Locked when it was lost."""
        return _lock(self._backend.client.renew_lock(self._instance, lock.token, ttl))

    def release(self, lock: Lock) -> None:
        """Give it back."""
        self._backend.client.release_lock(self._instance, lock.token)

    def break_lock(self) -> str:
        """Remove it, whoever holds it, and tell who that was."""
        return self._backend.client.break_lock(self._instance)


def _existing(socket: Path) -> Path:
    if not socket.exists():
        raise Unreachable(
            "no native server listens there",
            place=str(socket),
            mend="start it with `orch server`, or leave the target's option socket out",
        )
    return socket


def _lock(held: HeldLock) -> Lock:
    return Lock(held.holder, held.token, held.expires)


def _is_theirs(resource: Resource) -> bool:
    """A config or secret that another app has to have."""
    return resource.kind in ("config", "secret") and bool(resource.body.get("external"))


def _instance_of(action: Action) -> Instance:
    if action.instance is None:
        raise ValueError(f"the action on {action.id} names no instance")
    return action.instance


def _written(action: Action) -> Mapping[str, Any]:
    """The body to write: a size that something else has moved since the first one stays."""
    body = action.body or {}
    if action.before is None or action.operation is Operation.REPLACE:
        return body
    from orch.plan.merge import Merger

    return Merger(capabilities()).without_initial(action.kind, body, action.before.body)


def _observed(instance: Instance, resource: StoredResource) -> Observed:
    if resource.deleting:
        # Its removal is stuck and goes on: nobody may take it for what is wanted.
        mark = {"being_removed": True}
        body, applied = {**resource.body, **mark}, {**(resource.applied or {}), **mark}
        resource = replace(resource, body=body, applied=applied, version="")
    return Observed(
        resource.id,
        resource.kind,
        resource.name,
        resource.body,
        applied=resource.applied,
        owner=instance,
        revision=resource.revision,
        uid=resource.uid,
        version=resource.version,
        failed=resource.failed,
    )


def _diagnostic(refusal: Refusal) -> Diagnostic:
    kind, _, name = refusal.unit.partition("/")
    path = (f"{kind}s", name, *parse_path(refusal.path))
    return Diagnostic(refusal.reason, path, mend=refusal.mend, unreachable=refusal.unreachable)


def _progress(action: Action, sight: Rollout) -> Event:
    data: dict[str, object] = {
        "wanted": sight.wanted,
        "ready": sight.ready,
        "updated": sight.updated,
    }
    if sight.reason:
        data |= {"reason": sight.reason}
    if sight.failed:
        data |= {"replicas": tuple(sight.failed)}
    if sight.phase is RolloutPhase.ROLLED_BACK:
        data |= {"rolled_back": True}
    kind = _ENDS.get(sight.phase, EventKind.PROGRESS)
    return Event(kind, action.id, sight.message, data=FrozenDict(data))
