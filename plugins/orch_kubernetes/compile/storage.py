"""Volumes as claims, and what containers mount: claims, host paths, memory and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.classes import doubt, is_shared_by_default, mend
from orch_kubernetes.compile.files import secret_key, use_config, use_secret
from orch_kubernetes.compile.objects import count, put_labels

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod
    from orch_kubernetes.facts import ClusterFacts

SIZE = "1Gi"
MODES = {
    "exclusive": "ReadWriteOnce",
    "shared": "ReadWriteMany",
    "read-only-many": "ReadOnlyMany",
}
PROPAGATION = {"rprivate": "None", "rslave": "HostToContainer", "rshared": "Bidirectional"}
OWNER = "files belong to root; the group of the pod may read them"
FS_GROUP = "the pod's fsGroup may read it"
NEVER_FILLED = "an empty volume is not filled with the image's files"
NO_SHARED = "no storage class that shares is known for {}: the default one must be able to"
NAME_A_CLASS = "name one as the driver, or set the target's shared_storage_class"
_OPEN = (None, "777", "0777", "1777")


def compile_volumes(scope: Scope) -> None:
    """A claim for each volume that all replicas share; others are templates of their services."""
    mounted = {
        mount.source
        for unit in scope.app.services.values()
        for part in (unit, *unit.pre_start, *unit.sidecars.values())
        for mount in part.volumes
        if mount.type == "volume"
    }
    for name, view in scope.make.app.volumes.items():
        if view.value.per_replica and not view.value.external:
            if name not in mounted:
                scope.make.lose(view, "no service mounts it", "mount it", Consequence.COSMETIC)
        else:
            _claim(scope, name, view)
    if mounted:
        scope.make.note(NEVER_FILLED)
    _tell_of_class(scope)
    if any(not v.external for v in scope.app.volumes.values() if v.size is None):
        reason = f"a claim asks for a size: {SIZE} where none is said"
        scope.make.default(("volumes", "*", "size"), Fidelity.DEGRADED, reason)


def _tell_of_class(scope: Scope) -> None:
    """Say that a claim of one writer, which names no class, waits where there is no usual one."""
    need = scope.facts.flavour.storage_need if scope.facts.classes is None else ""
    bare = any(
        not volume.external and volume.access == "exclusive" and volume.driver in (None, "local")
        for volume in scope.app.volumes.values()
    )
    if need and bare and not scope.facts.storage_class:
        reason = f"{need}; name one as the driver, or set the target's storage_class"
        scope.make.default(("volumes", "*", "driver"), Fidelity.DEGRADED, reason)


def claim_name(scope: Scope, volume: str) -> str:
    """What a volume's claim is called."""
    said = scope.app.volumes.get(volume)
    if said is not None and said.name and (said.external or names.is_subdomain(said.name)):
        return said.name
    return names.object_name(said.name if said and said.name else volume)


def _claim(scope: Scope, name: str, view: View) -> None:
    external = view.value.external
    called = claim_name(scope, name)
    resource = scope.begin(
        "v1",
        "PersistentVolumeClaim",
        f"volume/{name}",
        called,
        stateful=not external,
        external=external,
    )
    resource.put("metadata.name", view.name, value=called)
    resource.rate(("metadata", "name"), view.here, Fidelity.NATIVE, "")
    if external or view.external.authored:
        said = "true" if external else "false"
        resource.put(("metadata", "annotations", names.EXTERNAL), view.external, value=said)
    if view.per_replica.authored:
        resource.rate(("metadata", "name"), view.per_replica, Fidelity.NATIVE, "")
    if external:
        _looked_for(scope, resource, view)
    else:
        write_claim(scope, resource, (), view)


def _looked_for(scope: Scope, resource: ResourceBuilder, view: View) -> None:
    """What an external volume must offer is checked; all else about it is not ours."""
    if view.access.authored:
        resource.set("spec.accessModes", [])
        resource.put(("spec", "accessModes", 0), view.access, value=MODES[view.value.access])
    for read in (view.size, view.driver, view.driver_opts, view.labels):
        scope.make.lose(read, "the volume is not ours to make", "", Consequence.COSMETIC)


def write_claim(scope: Scope, resource: ResourceBuilder, base: FieldPath, view: View) -> None:
    """What is asked for, in a claim or in a StatefulSet's template of one."""
    volume = view.value
    spec = (*base, "spec")
    resource.set((*spec, "accessModes"), [MODES[volume.access]])
    resource.put((*spec, "accessModes", 0), view.access, value=MODES[volume.access])
    resource.set((*spec, "resources", "requests", "storage"), SIZE)
    resource.put((*spec, "resources", "requests", "storage"), view.size)
    _storage_class(scope, resource, spec, view)
    scope.make.lose(
        view.driver_opts if volume.driver_opts else None,
        "parameters belong to the storage class, which the cluster's operator sets up",
        "name a storage class as the driver",
    )
    put_labels(resource, (*base, "metadata"), view.labels)


def _storage_class(scope: Scope, resource: ResourceBuilder, spec: FieldPath, view: View) -> None:
    facts, volume = scope.facts, view.value
    shared = volume.access != "exclusive"
    default = facts.shared_storage_class if shared else facts.storage_class
    if volume.driver not in (None, "local"):
        resource.put((*spec, "storageClassName"), view.driver, value=volume.driver.lower())
    elif default:
        resource.set((*spec, "storageClassName"), default)
    if volume.driver == "local":
        resource.put(
            ("metadata", "annotations", "orch/driver"),
            view.driver,
            outcome=Fidelity.DEGRADED,
            reason="the cluster's own storage is used, which may be any",
        )
    if not shared:
        said = [f for f in ("access", "size", "driver", "name") if f in volume.model_fields_set]
        scope.refuse("block_storage", view.field(said[0]) if said else view.here)
    usual = volume.driver in (None, "local")
    called = default if usual else volume.driver.lower()
    if facts.classes is not None and (reason := doubt(facts.classes, called, volume.access)):
        _tell(scope, resource, spec, view, reason)
    elif shared and usual and (reason := _unsure(facts, default)):
        resource.rate(
            (*spec, "accessModes", 0), view.access, Fidelity.DEGRADED, reason, mend=NAME_A_CLASS
        )


def _tell(
    scope: Scope, resource: ResourceBuilder, spec: FieldPath, view: View, reason: str
) -> None:
    """Say of what was written that its claim would wait, or of what was left to the cluster."""
    there, shared = scope.facts.classes or (), view.value.access != "exclusive"
    advice = mend(there, "shared_storage_class" if shared else "storage_class")
    how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": reason}
    if view.value.driver not in (None, "local"):
        resource.rate((*spec, "storageClassName"), view.driver, **how, mend=mend(there))
    elif shared:
        resource.rate((*spec, "accessModes", 0), view.access, **how, mend=advice)
    else:
        path = ("volumes", str(view.key), "driver")
        scope.make.default(path, Fidelity.DEGRADED, f"{reason}; {advice}")


def _unsure(facts: ClusterFacts, default: str) -> str:
    """Why a shared volume may not be had, empty when there is a class for it."""
    flavour = facts.flavour
    if facts.classes is not None and (default or is_shared_by_default(facts.classes)):
        return ""
    if not default:
        return NO_SHARED.format(flavour.title)
    return flavour.shared_need if default == flavour.shared_storage_class else ""


# -- mounts ------------------------------------------------------------------------------------


class MountCompiler:
    """Writes what one container mounts, and the volumes of its pod."""

    def __init__(self, scope: Scope, pod: Pod, path: FieldPath) -> None:
        self._scope, self._pod, self._path = scope, pod, path
        self._make, self._resource = scope.make, pod.resource

    def compile(self, view: View) -> None:
        """Volumes, then files."""
        for mount in view.volumes if isinstance(view.volumes, ListView) else ():
            self._mount(mount)
        for mount in view.configs if isinstance(view.configs, ListView) else ():
            called = use_config(self._scope, self._resource, mount.source)
            key = mount.value.source
            self._file(mount, "configMap", "name", called, key, "/")
        for mount in view.secrets if isinstance(view.secrets, ListView) else ():
            called = use_secret(self._scope, self._resource, mount.source)
            key = secret_key(self._scope.app, mount.value.source)
            self._file(mount, "secret", "secretName", called, key, "/run/secrets/")

    def add(self, name: str, target: str, source: dict[str, Any]) -> FieldPath:
        """Mount something that no entry of the spec names; the path of its volume."""
        volume = self._pod.volume(name)
        for key, value in source.items():
            self._resource.set((*volume, key), value)
        mount = self._next()
        self._resource.set((*mount, "name"), self._pod.volume_name(volume))
        self._resource.set((*mount, "mountPath"), target)
        return volume

    def _next(self) -> FieldPath:
        path = (*self._path, "volumeMounts")
        return (*path, count(self._resource, path))

    def _file(
        self, mount: View, kind: str, naming: str, called: str, key: str, folder: str
    ) -> None:
        """One volume a file: the file alone is laid over the image's folder."""
        put, make = self._resource.put, self._make
        volume = self._pod.volume(f"{'config' if kind == 'configMap' else 'secret'}")
        put((*volume, kind, naming), mount.source, value=called)
        item = (*volume, kind, "items", 0)
        self._resource.set((*item, "key"), key)
        self._resource.set((*item, "path"), key)
        put((*item, "mode"), mount.mode, value=int(mount.value.mode, 8))
        path = self._next()
        self._resource.set((*path, "name"), self._pod.volume_name(volume))
        target = mount.value.target
        put(
            (*path, "mountPath"),
            mount.target,
            value=target if target.startswith("/") else f"{folder}{target}",
        )
        self._resource.set((*path, "subPath"), key)
        self._resource.set((*path, "readOnly"), value=True)
        make.lose(mount.uid, OWNER, "set gid, and let the group read it", Consequence.AVAILABILITY)
        if mount.value.gid is not None:
            self._pod.group_of_files(mount.gid, FS_GROUP)

    def _mount(self, mount: View) -> None:
        value = mount.value
        path = self._next()
        self._resource.set((*path, "name"), "")
        volume = getattr(self, f"_{value.type}")(mount, path)
        name = self._pod.volume_name(volume) if volume else names.object_name(value.source)
        if value.type == "volume":
            self._resource.put((*path, "name"), mount.source, value=name)
        else:
            self._resource.set((*path, "name"), name)
        if volume:
            kind = next(key for key in self._pod.standing(volume) if key != "name")
            self._resource.rate((*volume, kind), mount.type, Fidelity.NATIVE, "")
        else:
            self._resource.rate((*path, "name"), mount.type, Fidelity.NATIVE, "")
        self._resource.put((*path, "mountPath"), mount.target)
        if value.read_only or mount.read_only.authored:
            self._resource.put((*path, "readOnly"), mount.read_only)

    def _volume(self, mount: View, path: FieldPath) -> FieldPath | None:
        scope, name = self._scope, mount.value.source
        volume = scope.app.volumes.get(name)
        if mount.volume is not None:
            self._resource.put((*path, "subPath"), mount.volume.subpath)
            consequence = Consequence.COSMETIC if mount.value.volume.nocopy else None
            self._make.lose(mount.volume.nocopy, NEVER_FILLED, "fill it by pre_start", consequence)
        if volume is not None and volume.per_replica and not volume.external:
            if self._pod.claim_template(name):
                return None
            self._make.reject(
                mount.source,
                "only replicas of a service have volumes of their own",
                "mount a volume that is shared",
            )
        elif volume is not None:
            self._resource.depend(f"volume/{name}")
        where, fresh = self._pod.shared_volume(name)
        if fresh:
            claim = claim_name(scope, name)
            self._resource.set((*where, "persistentVolumeClaim", "claimName"), claim)
        return where

    def _bind(self, mount: View, path: FieldPath) -> FieldPath:
        volume = self._pod.volume("host")
        source = mount.value.source
        self._resource.put((*volume, "hostPath", "path"), mount.source)
        self._scope.refuse("host_path", mount.source)
        if not source.startswith("/"):
            self._make.reject(mount.source, "a node has no folder of the spec", "use a config")
        options = mount.bind
        if options is None:
            return volume
        if options.create_host_path.authored:
            made = "DirectoryOrCreate" if options.value.create_host_path else ""
            self._resource.put((*volume, "hostPath", "type"), options.create_host_path, value=made)
        said = options.value.propagation
        if said in PROPAGATION:
            self._resource.put(
                (*path, "mountPropagation"), options.propagation, value=PROPAGATION[said]
            )
        elif said is not None:
            self._make.lose(
                options.propagation, "mounts below it follow, or none does", f"write r{said}"
            )
        return volume

    def _tmpfs(self, mount: View, _path: FieldPath) -> FieldPath:
        volume = self._pod.volume("tmpfs")
        self._resource.set((*volume, "emptyDir", "medium"), "Memory")
        options = mount.tmpfs
        if options is not None:
            self._resource.put((*volume, "emptyDir", "sizeLimit"), options.size)
            mode = options.value.mode
            self._make.lose(
                options.mode,
                "its root is open to all who run in the container",
                "let the program make a folder in it",
                Consequence.COSMETIC if mode in _OPEN else None,
            )
        return volume
