"""Services as files of a folder: replace the file reading and writing by calls of your platform."""

from __future__ import annotations

import json
import time
from pathlib import Path

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
    ServiceStatus,
    Snapshot,
    Status,
)

CAPABILITIES = Capabilities(
    fields={
        "apiVersion": Fidelity.NATIVE,
        "name": Fidelity.NATIVE,
        "services.*.command": Fidelity.NATIVE,
        "services.*.deploy.replicas": Fidelity.NATIVE,
    },
    reasons={"services.*.ports.**": "a file opens no port"},
)


class FolderStore:
    """Releases and the lock, as files beside the objects."""

    limit = 1 << 30

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def create(self, name, data):
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
        try:
            self.create("lock", holder.encode())
        except Conflict:
            raise Locked(f"{self.read('lock').decode()} holds the lock") from None
        return Lock(holder, holder, time.time() + ttl)

    def renew(self, lock, ttl):
        return Lock(lock.holder, lock.token, time.time() + ttl)

    def release(self, lock):
        self.delete("lock")

    def break_lock(self):
        holder = self.read("lock").decode() if (self.folder / "lock").exists() else ""
        self.delete("lock")
        return holder


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
            unit.put("command", service.command)
            unit.put("replicas", service.deploy.replicas)
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
        sizes = [(item.name, item.body.get("replicas", 1)) for item in found]
        services = tuple(
            ServiceStatus(n, "service", size, size, size, healthy=True) for n, size in sizes
        )
        return Status(instance.name, instance.target, 0, healthy=True, services=services)

    def instances(self):
        return [Instance(self.name, p.parent.name, p.name) for p in self.root.glob("*/*")]

    def store(self, instance):
        return FolderStore(self._folder(instance) / "releases")

    def close(self):
        """Nothing is held open."""

    def _folder(self, instance):
        return self.root / instance.namespace / instance.name

    def _observed(self, instance, path):
        body = json.loads(path.read_text())
        return Observed(f"service/{path.stem}", "service", path.stem, body, body, instance)
