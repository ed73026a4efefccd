"""A platform in one JSON file, so that many commands after another see the same target.

What a service does is told by its variables: `FAIL` never gets healthy and says so, `HOLD` is not
healthy before a file `release` lies beside the state, `STUCK` is never even sent. A file `down`
beside the state makes the target unreachable, a file `deny` makes it refuse us.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orch.backend.capabilities import Capabilities
from orch.backend.contract import BackendFactory, Lock
from orch.backend.hooks import hook
from orch.compile.builder import ManifestBuilder
from orch.compile.view import Read
from orch.errors import Conflict, Denied, Locked, Unreachable
from orch.types import (
    Condition,
    Event,
    EventKind,
    Fidelity,
    Instance,
    LogLine,
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
    from orch.spec.application import Application
    from orch.types import Action, Manifest

NAME = "double"
LOST = ("services.*.labels.*", "services.*.cap_drop")


class Double:
    """The backend."""

    name = NAME

    def __init__(self, options: Mapping[str, str]) -> None:
        self.folder = Path(options.get("state", "."))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = self.folder / "state.json"
        self._guard = threading.RLock()

    def capabilities(self) -> Capabilities:
        whole = {f"{part}.**": Fidelity.NATIVE for part in ("services", "volumes", "secrets")}
        lost = dict.fromkeys(LOST, Fidelity.LOST)
        return Capabilities({**whole, **lost, "name": Fidelity.NATIVE})

    def compile(self, app: Application) -> Manifest:
        make = ManifestBuilder(app, NAME, self.capabilities())
        for name, view in make.app.volumes.items():
            make.resource("volume", f"volume/{name}", name, stateful=True).put("set", view)
        for name, view in make.app.secrets.items():
            secret = make.resource("secret", f"secret/{name}", name)
            secret.put("source", view, value="kept")
            secret.set("version", secret.secret_version(name))
        for name, view in make.app.services.items():
            self._service(make, name, view)
        return make.build()

    def _service(self, make: ManifestBuilder, name: str, view: Any) -> None:
        made = make.resource("service", f"service/{name}", name, rollout=True)
        for key in ("image", "command", "environment", "deploy", "ports", "probes"):
            if key in view.value.model_fields_set:
                made.put(key, getattr(view, key))
        for mount in () if isinstance(view.volumes, Read) else view.volumes:
            made.put(("volumes", mount.value.source), mount)
            made.depend(f"volume/{mount.value.source}")
        for other in view.value.depends_on:
            made.depend(f"service/{other}", Condition.HEALTHY, view.depends_on.get(other))

    # -- the file --------------------------------------------------------------------------

    @contextmanager
    def changed(self) -> Iterator[dict[str, Any]]:
        with self._guard:
            state = self.state()
            yield state
            self._file.write_text(json.dumps(state, indent=1))

    def state(self) -> dict[str, Any]:
        if (self.folder / "down").exists():
            raise Unreachable("nobody answers", place=str(self.folder), mend="start it")
        if (self.folder / "deny").exists():
            raise Denied("not with these credentials", place=str(self.folder), mend="log in")
        if not self._file.exists():
            return {"objects": {}, "records": {}, "lock": None, "version": 0}
        with self._guard:
            state: dict[str, Any] = json.loads(self._file.read_text())
            return state

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        prefix = f"{instance}|"
        objects = {
            key.removeprefix(prefix): _observed(instance, key.removeprefix(prefix), kept)
            for key, kept in self.state()["objects"].items()
            if key.startswith(prefix)
        }
        return Snapshot(instance, objects)

    def apply(self, action: Action) -> Iterator[Event]:
        while "STUCK" in (action.body or {}).get("environment", {}):
            yield Event(EventKind.PROGRESS, action.id, "stuck")
            time.sleep(0.05)
        with self.changed() as state:
            key = f"{action.instance}|{action.id}"
            state["version"] += 1
            if action.operation is Operation.DELETE:
                state["objects"].pop(key, None)
            else:
                body = action.body or (action.before.body if action.before else {})
                state["objects"][key] = {
                    "kind": action.kind,
                    "name": action.name,
                    "body": body,
                    "applied": body,
                    "revision": action.revision,
                    "version": str(state["version"]),
                }
        yield Event(EventKind.APPLIED, action.id)

    def rollout(self, action: Action) -> Iterator[Event]:
        body = action.body or {}
        wanted = body.get("deploy", {}).get("replicas", 1)
        variables = body.get("environment", {})
        told = {"wanted": wanted, "ready": 0, "updated": 1}
        yield Event(EventKind.PROGRESS, action.id, "starting", data=told)
        while "HOLD" in variables and not (self.folder / "release").exists():
            yield Event(EventKind.PROGRESS, action.id, "held", data=told)
            time.sleep(0.05)
        if "FAIL" in variables:
            yield Event(EventKind.FAILED, action.id, "its replicas exit with code 1", data=told)
        else:
            done = {"wanted": wanted, "ready": wanted, "updated": wanted}
            yield Event(EventKind.HEALTHY, action.id, data=done)

    def status(self, instance: Instance) -> Status:
        units = [o for o in self.observe(instance, None).objects.values() if o.kind == "service"]
        services = tuple(_service_status(unit) for unit in units)
        revision = max((unit.revision for unit in units), default=0)
        healthy = all(service.healthy for service in services)
        return Status(instance.name, instance.target, revision, healthy, services)

    def instances(self) -> Sequence[Instance]:
        keys = {key.partition("|")[0] for key in self.state()["objects"]}
        return [Instance(*key.split("/")) for key in sorted(keys)]

    def store(self, instance: Instance) -> FileStore:
        return FileStore(self, str(instance))

    def close(self) -> None: ...

    # -- what runs -------------------------------------------------------------------------

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]:
        for service in self.status(instance).services:
            for replica in service.replicas:
                chosen = not query.replicas or replica.id in query.replicas
                if chosen and (not query.services or service.name in query.services):
                    lines = [f"line {n} of {service.name}" for n in range(20)]
                    for n, text in enumerate(lines[-query.tail :] if query.tail else lines):
                        yield LogLine(service.name, replica.id, "stdout", 1000.0 + n, text)
        while query.follow:
            yield LogLine("web", "web-0", "stdout", 2000.0, "more")
            time.sleep(0.05)

    def exec(
        self, instance: Instance, service: str, replica: str, command: Sequence[str], *, tty: bool
    ) -> int:
        return subprocess.run(list(command), check=False).returncode

    def events(self, instance: Instance, *, follow: bool, since: float | None) -> Iterator[Event]:
        yield Event(EventKind.WARNING, "service/web", "restarted: out of memory", 1000.0)

    def metrics(self, instance: Instance) -> Mapping[str, Mapping[str, float]]:
        return {"web-0": {"cpu": 0.5, "memory": 3 * 1024 * 1024}}


def _observed(instance: Instance, id_: str, kept: dict[str, Any]) -> Observed:
    return Observed(
        id_,
        kept["kind"],
        kept["name"],
        kept["body"],
        kept["applied"],
        instance,
        kept["revision"],
        uid=id_,
        version=kept["version"],
    )


def _service_status(unit: Observed) -> ServiceStatus:
    name = unit.name
    wanted = unit.body.get("deploy", {}).get("replicas", 1)
    good = "FAIL" not in unit.body.get("environment", {})
    state = "running" if good else "failed"
    replicas = tuple(
        Replica(f"{name}-{n}", name, state, good, "here", n, unit.revision) for n in range(wanted)
    )
    ready = wanted if good else 0
    endpoints = tuple(
        f"http://127.0.0.1:{port['published']}"
        for port in unit.body.get("ports", ())
        if "published" in port
    )
    return ServiceStatus(name, "service", wanted, ready, wanted, good, "", endpoints, replicas)


class FileStore:
    """Records and the lock, beside the objects."""

    limit = 1 << 20

    def __init__(self, owner: Double, instance: str) -> None:
        self._owner, self._prefix = owner, f"{instance}|"

    def create(self, name: str, data: bytes) -> None:
        with self._owner.changed() as state:
            if self._prefix + name in state["records"]:
                raise Conflict(f"{name} is taken")
            state["records"][self._prefix + name] = base64.b64encode(data).decode()

    def read(self, name: str) -> bytes:
        return base64.b64decode(self._owner.state()["records"][self._prefix + name])

    def names(self, prefix: str = "") -> Sequence[str]:
        names = [
            n.removeprefix(self._prefix)
            for n in self._owner.state()["records"]
            if n.startswith(self._prefix)
        ]
        return [name for name in names if name.startswith(prefix)]

    def delete(self, name: str) -> None:
        with self._owner.changed() as state:
            state["records"].pop(self._prefix + name, None)

    def acquire(self, holder: str, ttl: float) -> Lock:
        with self._owner.changed() as state:
            held = state["lock"]
            if held and held["expires"] > time.time():
                raise Locked(f"{held['holder']} deploys", mend="wait, or run `orch unlock`")
            state["lock"] = {"holder": holder, "token": "t", "expires": time.time() + ttl}
            return Lock(holder, "t", state["lock"]["expires"])

    def renew(self, lock: Lock, ttl: float) -> Lock:
        with self._owner.changed() as state:
            if not state["lock"]:
                raise Locked("the lock was lost")
            state["lock"]["expires"] = time.time() + ttl
        return Lock(lock.holder, lock.token, time.time() + ttl)

    def release(self, lock: Lock) -> None:
        with self._owner.changed() as state:
            state["lock"] = None

    def break_lock(self) -> str:
        with self._owner.changed() as state:
            holder = state["lock"]["holder"] if state["lock"] else ""
            state["lock"] = None
            return str(holder)


@hook
def orch_register_backend() -> BackendFactory:
    return BackendFactory(NAME, "a platform in one file", Double, options={"state": "its folder"})


@hook
def orch_register_commands(root: click.Group) -> None:
    @root.command("double", help="A command of a plugin.")
    def double() -> None:
        click.echo("from a plugin")
