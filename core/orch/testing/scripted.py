"""A backend whose platform is a table in memory, and whose faults are scripted by a test.

It keeps the whole contract: it merges as a server does, refuses writes on a moved object, keeps
records and a lock, and judges rollouts. An image with the tag `broken` never gets healthy, one
with the tag `stuck` makes no progress. Give its `Platform` a path and several processes share it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch.backend.capabilities import Capabilities, NameRule
from orch.backend.contract import Lock
from orch.compile.builder import ManifestBuilder
from orch.compile.tokens import with_values
from orch.errors import Conflict, Locked
from orch.frozen import FrozenDict
from orch.plan.merge import Merger
from orch.testing.platform import Platform, Script
from orch.types import (
    Event,
    EventKind,
    Fidelity,
    Instance,
    Observed,
    Operation,
    Replica,
    ServiceStatus,
    Snapshot,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch.backend.contract import LogQuery
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.spec.application import Application, Job, Service
    from orch.types import Action, LogLine, Manifest

CAPABILITIES = Capabilities(
    fields=FrozenDict(
        {
            f"{section}.**": Fidelity.NATIVE
            for section in ("services", "jobs", "routes", "volumes", "networks", "configs")
        }
        | {
            f"{section}.**": Fidelity.NATIVE
            for section in ("secrets", "registries", "labels", "fidelity", "name", "apiVersion")
        }
    ),
    features=frozenset({"adopt", "drift", "events", "jobs", "restart", "scale", "volumes"}),
    names=NameRule(max_length=63, allowed="[A-Za-z0-9._-]", lower=False),
    limits=FrozenDict(
        {
            "immutable": ("service:deploy.mode", "volume:driver"),
            "initial": FrozenDict({"service:deploy.replicas": "autoscale"}),
            "exclusive": ("service:ports.*.published",),
            "secret_bytes": (0, 1 << 20),
        }
    ),
    list_keys=FrozenDict(
        {
            "service:ports": ("target", "protocol"),
            "service:volumes": ("target",),
            "service:configs": ("target",),
            "service:secrets": ("target",),
        }
    ),
)


class ScriptedBackend:
    """One client of a `Platform`; `script` says which of its calls fail, wait or kill it."""

    name = "scripted"

    def __init__(self, platform: Platform | None = None, script: Script | None = None) -> None:
        self.platform = platform or Platform()
        self.script = script or Script()

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def compile(self, app: Application) -> Manifest:
        return _Compiler(app).manifest()

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        with self.script.call("observe"), self.platform.state() as state:
            rows = state.objects(instance)
            named = {r.id for r in manifest.resources} if manifest else set()
            objects = {
                id_: _observed(id_, row)
                for id_, row in rows.items()
                if row["owner"] == _owner(instance) or id_ in named
            }
        return Snapshot(instance, objects, tuple(self.platform.problems))

    def apply(self, action: Action) -> Iterator[Event]:
        with self.script.call("apply", action.id):
            with self.platform.state() as state:
                _Change(action, state.objects(_instance(action)), state).make()
            self.platform.sent.append((action.id, dict(action.secrets)))
            yield Event(EventKind.APPLIED, action.id)

    def rollout(self, action: Action) -> Iterator[Event]:
        with self.script.call("rollout", action.id):
            yield self._event(EventKind.PROGRESS, action, ready=0)
            tag = self._tag(action)
            if tag == "broken" and not self.platform.mended:
                yield self._failure(action)
            elif tag == "stuck":
                yield self._event(EventKind.TIMED_OUT, action, ready=0, reason="no progress")
            else:
                with self.platform.state() as state:
                    state.objects(_instance(action))[action.id] |= {"healthy": True, "failed": ""}
                yield self._event(EventKind.HEALTHY, action, ready=1)

    def status(self, instance: Instance) -> Status:
        with self.script.call("status"), self.platform.state() as state:
            rows = state.objects(instance)
            found = [_status(id_, row) for id_, row in rows.items() if row["rollout"]]
            revision = max((row["revision"] for row in rows.values()), default=0)
        healthy = all(service.healthy for service in found)
        return Status(instance.name, instance.target, revision, healthy, tuple(found))

    def instances(self) -> Sequence[Instance]:
        with self.platform.state() as state:
            return tuple(Instance(*key.split("/")) for key in state.instances())

    def store(self, instance: Instance) -> ScriptedStore:
        return ScriptedStore(self.platform, self.script, str(instance))

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]:  # noqa: ARG002
        chosen = query.services or tuple(self.platform.logs)
        for service in chosen:
            yield from self.platform.logs.get(service, ())

    def events(
        self,
        instance: Instance,
        *,
        follow: bool,  # noqa: ARG002
        since: float | None,
    ) -> Iterator[Event]:
        with self.platform.state() as state:
            rows = state.happened(instance)
        for kind, id_, message, time in rows:
            if since is None or time >= since:
                yield Event(EventKind(kind), id_, message, time)

    def close(self) -> None:
        self.platform.closed += 1

    def _tag(self, action: Action) -> str:
        with self.platform.state() as state:
            row = state.objects(_instance(action)).get(action.id)
        image = str(row["body"].get("image", "")) if row else ""
        return image.rpartition(":")[2]

    def _failure(self, action: Action) -> Event:
        if not self.platform.rolls_back or action.before is None:
            with self.platform.state() as state:
                row = state.objects(_instance(action))[action.id]
                row["failed"] = "" if row["healthy"] else "its last rollout failed"
            return self._event(EventKind.FAILED, action, ready=0, reason="exited with code 1")
        with self.platform.state() as state:
            row = state.objects(_instance(action))[action.id]
            row["body"], row["healthy"] = dict(action.before.body), True
        return self._event(
            EventKind.FAILED, action, ready=0, reason="exited with code 1", rolled_back=True
        )

    def _event(self, kind: EventKind, action: Action, **data: Any) -> Event:
        counts = {"wanted": 1, "updated": data["ready"]}
        return Event(kind, action.id, str(data.get("reason", "")), data={**counts, **data})


@dataclass(slots=True)
class _Change:
    """One action on a table of objects."""

    action: Action
    rows: dict[str, Any]
    state: Any
    merger: Merger = field(default_factory=lambda: Merger(CAPABILITIES))

    def make(self) -> None:
        row = self.rows.get(self.action.id)
        operation = self.action.operation
        if operation is Operation.DELETE:
            self.rows.pop(self.action.id, None)
        elif operation is Operation.RESTART and row is not None:
            row["restarts"] += 1
            row["healthy"] = False
        elif operation is Operation.RETRY and row is not None:
            row["restarts"] += not row["healthy"]
            row["failed"] = ""
        elif row is None:
            self.rows[self.action.id] = self._fresh()
        else:
            self._change(row)
        self.state.note(_instance(self.action), "applied", self.action.id, str(operation))

    def _fresh(self) -> dict[str, Any]:
        action = self.action
        body = dict(action.body or {})
        with_values(body, action.secrets)
        return {
            "kind": action.kind,
            "name": action.name,
            "body": body,
            "applied": body,
            "owner": _owner(_instance(action)),
            "uid": f"u{self.state.next()}",
            "version": f"v{self.state.next()}",
            "revision": action.revision,
            "rollout": action.rollout,
            "healthy": not action.rollout,
            "failed": "",
            "restarts": 0,
            "runs": 1,
        }

    def _change(self, row: dict[str, Any]) -> None:
        action = self.action
        live = _observed(action.id, row)
        body = dict(self.merger.merge(live, live.applied, action.body or {}))
        moved = action.before is None or action.before.version != live.version
        owned = row["owner"] == _owner(_instance(action))
        if body == row["body"] and owned and action.operation is not Operation.REPLACE:
            row["applied"] = dict(action.body or {})
            return
        if moved:
            raise Conflict(f"{action.kind} {action.name!r} was changed meanwhile", place=action.id)
        fresh = self._fresh()
        if action.operation is not Operation.REPLACE:
            anew = _without_size(body) != _without_size(row["body"])
            fresh |= {"uid": row["uid"], "body": body, "restarts": row["restarts"] + anew}
        self.rows[action.id] = fresh | {"runs": row["runs"] + 1}


class ScriptedStore:
    """Records and a lock in the platform's table."""

    def __init__(self, platform: Platform, script: Script, key: str) -> None:
        self.limit = platform.limit
        self._platform, self._script, self._key = platform, script, key

    def create(self, name: str, data: bytes) -> None:
        with self._script.call("store.create", name), self._platform.state() as state:
            assert len(data) <= self.limit, f"{name} holds {len(data)} bytes"
            if name in state.records(self._key):
                raise Conflict(f"the record {name!r} is there already")
            state.records(self._key)[name] = data.hex()

    def read(self, name: str) -> bytes:
        with self._script.call("store.read", name), self._platform.state() as state:
            return bytes.fromhex(state.records(self._key)[name])

    def names(self, prefix: str = "") -> Sequence[str]:
        with self._script.call("store.names", prefix), self._platform.state() as state:
            return [name for name in state.records(self._key) if name.startswith(prefix)]

    def delete(self, name: str) -> None:
        with self._script.call("store.delete", name), self._platform.state() as state:
            state.records(self._key).pop(name, None)

    def acquire(self, holder: str, ttl: float) -> Lock:
        with self._script.call("store.acquire", holder), self._platform.state() as state:
            held = state.locks().get(self._key)
            if held and held["expires"] > self._platform.clock():
                raise Locked(f"{held['holder']} deploys here now", mend="wait, or `orch unlock`")
            token = f"t{state.next()}"
            expires = self._platform.clock() + ttl
            state.locks()[self._key] = {"holder": holder, "token": token, "expires": expires}
        return Lock(holder, token, expires)

    def renew(self, lock: Lock, ttl: float) -> Lock:
        with self._script.call("store.renew", lock.holder), self._platform.state() as state:
            held = state.locks().get(self._key)
            if not held or held["token"] != lock.token:
                raise Locked("the lock is lost", mend="deploy again")
            held["expires"] = self._platform.clock() + ttl
        return replace(lock, expires=held["expires"])

    def release(self, lock: Lock) -> None:
        with self._script.call("store.release", lock.holder), self._platform.state() as state:
            held = state.locks().get(self._key)
            if held and held["token"] == lock.token:
                del state.locks()[self._key]

    def break_lock(self) -> str:
        with self._platform.state() as state:
            held = state.locks().pop(self._key, None)
        return str(held["holder"]) if held else ""


class _Compiler:
    """Everything is carried as it is; services hold versions of what they mount."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.make = ManifestBuilder(app, ScriptedBackend.name, CAPABILITIES)

    def manifest(self) -> Manifest:
        view = self.make.app
        for kind, nodes in (
            ("config", view.configs),
            ("secret", view.secrets),
            ("network", view.networks),
            ("volume", view.volumes),
            ("registry", view.registries),
        ):
            for name, node in nodes.items():
                self._part(kind, name, node)
        for name, node in view.jobs.items():
            self._unit("job", name, node)
        for name, node in view.services.items():
            self._unit("service", name, node)
        for route in view.routes if self.app.routes else ():
            service = route.value.service
            made = self.make.resource("route", f"route/{route.key}", f"route-{route.key}")
            made.put_all(route)
            made.depend(f"service/{service}")
        self.make.core(self.make.app.fidelity)
        return self.make.build()

    def _part(self, kind: str, name: str, node: View) -> None:
        made = self.make.resource(kind, f"{kind}/{name}", name, stateful=kind == "volume")
        made.put_all(node)
        if kind == "secret" and not node.value.external:
            made.set("x_version", made.secret_version(name))
            made.secret_value(name)

    def _unit(self, kind: str, name: str, node: View) -> None:
        made = self.make.resource(kind, f"{kind}/{name}", name, rollout=True)
        made.put_all(node)
        unit: Service | Job = node.value
        for mount in unit.configs:
            made.depend(f"config/{mount.source}")
            content = self.app.configs[mount.source].content
            made.set(("x_configs", mount.source), content)
        for secret in _secrets_of(unit):
            made.depend(f"secret/{secret}")
            made.set(("x_secrets", secret), made.secret_version(secret))
        for volume in unit.volumes:
            if volume.type == "volume" and volume.source in self.app.volumes:
                made.depend(f"volume/{volume.source}")
        for network in unit.networks:
            if network in self.app.networks:
                made.depend(f"network/{network}")
        self._waits(made, unit)

    def _waits(self, made: ResourceBuilder, unit: Service | Job) -> None:
        for other, dependency in unit.depends_on.items():
            kind = "job" if other in self.app.jobs else "service"
            id_ = f"app:{other}" if "/" in other else f"{kind}/{other}"
            made.depend(id_, dependency.awaited, required=dependency.required)


def _secrets_of(unit: Service | Job) -> list[str]:
    named = [mount.source for mount in unit.secrets]
    variables = [getattr(value, "secret", None) for value in unit.environment.values()]
    return list(dict.fromkeys([*named, *(name for name in variables if name)]))


def _without_size(body: Mapping[str, Any]) -> dict[str, Any]:
    deploy = {key: value for key, value in body.get("deploy", {}).items() if key != "replicas"}
    return {**body, "deploy": deploy}


def _instance(action: Action) -> Instance:
    assert action.instance is not None, f"{action.id} names no instance"
    return action.instance


def _owner(instance: Instance) -> list[str]:
    return [instance.target, instance.namespace, instance.name]


def _observed(id_: str, row: Mapping[str, Any]) -> Observed:
    return Observed(
        id_,
        row["kind"],
        row["name"],
        row["body"],
        row["applied"],
        Instance(*row["owner"]) if row["owner"] else None,
        row["revision"],
        row["uid"],
        row["version"],
        row.get("failed", ""),
    )


def _status(id_: str, row: Mapping[str, Any]) -> ServiceStatus:
    name = id_.partition("/")[2]
    wanted = (row["body"].get("deploy") or {}).get("replicas", 1)
    ready = wanted if row["healthy"] else 0
    state = "running" if row["healthy"] else "starting"
    replicas = tuple(
        Replica(
            f"{name}-{n}-{row['uid']}-{row['restarts']}",
            name,
            state,
            row["healthy"],
            "here",
            n,
            row["revision"],
        )
        for n in range(wanted)
    )
    return ServiceStatus(
        name,
        row["kind"],
        wanted,
        ready,
        ready,
        row["healthy"],
        replicas=replicas,
        failed=bool(row.get("failed")),
    )


@contextmanager
def scripted() -> Iterator[ScriptedBackend]:
    """A backend on a platform of its own."""
    backend = ScriptedBackend()
    yield backend
    backend.close()
