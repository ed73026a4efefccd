"""Services as files of a folder: replace the file reading and writing by calls of your platform."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from orch.backend.capabilities import Capabilities
from orch.backend.contract import Lock
from orch.compile.builder import ManifestBuilder
from orch.errors import Conflict, Locked
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

CAPABILITIES = Capabilities(
    fields={
        "apiVersion": Fidelity.NATIVE,
        "name": Fidelity.NATIVE,
        "services.*.image": Fidelity.NATIVE,
        "services.*.command": Fidelity.NATIVE,
        "services.*.environment.**": Fidelity.NATIVE,
        "services.*.deploy.replicas": Fidelity.NATIVE,
        "services.*.depends_on.**": Fidelity.NATIVE,
    },
    features=frozenset({"scale"}),
    reasons={"services.*.ports.**": "a file opens no port"},
)


class FolderStore:
    """Releases and the lock, as files beside the objects."""

    limit = 1 << 30

    def __init__(self, folder):
        self.folder = folder

    def create(self, name, data):
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with (self.folder / name).open("xb") as file:
                file.write(data)
        except FileExistsError:
            raise Conflict(f"{name} is taken") from None

    def read(self, name):
        if not (self.folder / name).exists():
            raise KeyError(name)
        return (self.folder / name).read_bytes()

    def names(self, prefix=""):
        return [p.name for p in self.folder.glob(f"{prefix}*") if p.name != "lock"]

    def delete(self, name):
        (self.folder / name).unlink(missing_ok=True)

    def acquire(self, holder, ttl):
        lock = Lock(holder, uuid4().hex, time.time() + ttl)
        try:
            self.create("lock", json.dumps(asdict(lock)).encode())
        except Conflict:
            raise Locked(f"{self._held().holder} holds the lock", mend="`orch unlock`") from None
        return lock

    def renew(self, lock, ttl):
        if self._held().token != lock.token:
            raise Locked("the lock is lost", mend="deploy again")
        return replace(lock, expires=time.time() + ttl)

    def release(self, lock):
        if self._held().token == lock.token:
            self.delete("lock")

    def break_lock(self):
        holder = self._held().holder
        self.delete("lock")
        return holder

    def _held(self):
        try:
            return Lock(**json.loads(self.read("lock")))
        except KeyError:
            return Lock("", "", 0.0)


class ExampleBackend:
    """Services as JSON files."""

    name = "example"

    def __init__(self, options):
        self.root = Path(options.get("path", "deployed"))

    def capabilities(self):
        return CAPABILITIES

    def compile(self, app):
        made = ManifestBuilder(app, self.name, CAPABILITIES)
        for name, service in made.app.services.items():
            unit = made.resource("service", f"service/{name}", name, rollout=True)
            unit.put("image", service.image)
            unit.put("command", service.command)
            unit.put("environment", service.environment)
            unit.put("replicas", service.deploy.replicas)
            for other, read in service.depends_on.items():
                waits = read.value
                unit.depend(f"service/{other}", waits.awaited, read, required=waits.required)
        return made.build()

    def observe(self, instance, manifest):
        files = self._folder(instance).glob("service/*.json")
        objects = [self._observed(instance, path) for path in files]
        return Snapshot(instance, {found.id: found for found in objects})

    def apply(self, action):
        path = self._folder(action.instance) / f"{action.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if action.operation is Operation.DELETE:
            path.unlink(missing_ok=True)
        else:
            path.write_text(json.dumps(dict(action.body)))
        yield Event(EventKind.APPLIED, action.id)

    def rollout(self, action):
        yield Event(EventKind.HEALTHY, action.id)

    def status(self, instance):
        found = self.observe(instance, None).objects.values()
        services = tuple(self._service(item.name, item.body) for item in found)
        return Status(instance.name, instance.target, 0, healthy=True, services=services)

    def instances(self):
        folders = {path.parents[1] for path in self.root.glob("*/*/*/*")}
        return [Instance(self.name, folder.parent.name, folder.name) for folder in folders]

    def store(self, instance):
        return FolderStore(self._folder(instance) / "releases")

    def close(self):
        """Nothing is held open."""

    def _folder(self, instance):
        return self.root / instance.namespace / instance.name

    def _observed(self, instance, path):
        body = json.loads(path.read_text())
        return Observed(f"service/{path.stem}", "service", path.stem, body, body, instance)

    def _service(self, name, body):
        # Another size keeps the replicas that there are; any other change replaces them.
        size, rest = body.get("replicas", 1), {**body, "replicas": None}
        made = sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:8]
        replicas = tuple(
            Replica(f"{name}-{made}-{n}", name, "running", ready=True, index=n) for n in range(size)
        )
        return ServiceStatus(name, "service", size, size, size, healthy=True, replicas=replicas)
