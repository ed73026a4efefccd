"""Mounted volumes, configs and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Fidelity

if TYPE_CHECKING:
    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import View
    from orch.spec.application import Application
    from orch_swarm.references import References

MADE = "made by the engine where the task lands, when it is not there"


class MountCompiler:
    """Writes what one unit mounts into its body."""

    def __init__(
        self,
        make: ManifestBuilder,
        resource: ResourceBuilder,
        app: Application,
        refs: References,
    ) -> None:
        self._make, self._resource, self._app, self._refs = make, resource, app, refs

    def compile(self, view: View) -> None:
        """Volumes, then files."""
        for mount in view.volumes if isinstance(view.volumes, ListView) else ():
            self._mount(mount)
        for mount in view.configs if isinstance(view.configs, ListView) else ():
            self._file("Configs", mount, self._refs.config(self._resource, mount.source))
        for mount in view.secrets if isinstance(view.secrets, ListView) else ():
            self._file("Secrets", mount, self._refs.secret(self._resource, mount.source))

    def _file(self, kind: str, mount: View, name: str) -> None:
        base = ("Container", kind, mount.value.target)
        self._resource.put((*base, "Name"), mount.source, value=name)
        self._resource.put((*base, "File"), mount.target)
        for field, key, usual in (("uid", "UID", "0"), ("gid", "GID", "0")):
            self._resource.set((*base, key), usual)
            self._resource.put((*base, key), mount.field(field))
        self._resource.put((*base, "Mode"), mount.mode, value=int(mount.value.mode, 8))

    def _mount(self, mount: View) -> None:
        value = mount.value
        base = ("Container", "Mounts", value.target)
        self._resource.put((*base, "Type"), mount.type)
        self._resource.put((*base, "Target"), mount.target)
        if value.read_only or mount.read_only.authored:
            self._resource.put((*base, "ReadOnly"), mount.read_only)
        if value.type == "volume":
            self._volume(base, mount)
        elif value.type == "bind":
            self._bind(base, mount)
        elif mount.tmpfs is not None:
            self._tmpfs(base, mount.tmpfs)

    def _volume(self, base: tuple[str, ...], mount: View) -> None:
        name, driver = self._refs.volume(self._resource, mount.source)
        self._resource.put((*base, "Source"), mount.source, value=name)
        if driver:
            self._resource.set((*base, "VolumeOptions", "DriverConfig"), driver)
        if mount.volume is not None:
            nocopy = mount.volume.nocopy
            if nocopy.value or nocopy.authored:
                self._resource.put((*base, "VolumeOptions", "NoCopy"), nocopy)
            if mount.volume.subpath is not None:
                self._make.reject(
                    mount.volume.subpath,
                    "engines before API 1.45 mount whole volumes",
                    "mount the volume, and point the program at the folder",
                )

    def _bind(self, base: tuple[str, ...], mount: View) -> None:
        self._resource.put((*base, "Source"), mount.source)
        options = mount.bind
        if options is None:
            return
        self._resource.put((*base, "BindOptions", "Propagation"), options.propagation)
        self._make.lose(
            options.create_host_path,
            "Swarm makes no folders of the host",
            "make it on every node first",
        )

    def _tmpfs(self, base: tuple[str, ...], options: View) -> None:
        wanted: dict[str, Any] = {"size": "SizeBytes", "mode": "Mode"}
        for field, key in wanted.items():
            read = options.field(field)
            if read is not None:
                value = int(read.value, 8) if field == "mode" else int(read.value)
                self._resource.put(
                    (*base, "TmpfsOptions", key), read, value=value, outcome=Fidelity.NATIVE
                )
