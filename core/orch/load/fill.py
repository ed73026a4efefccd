"""What an application names beside it is read now: nothing after loading reads a file of it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.frozen import FrozenDict
from orch.load.document import with_configs
from orch.load.files import MAX_BYTES
from orch.spec.application import Config
from orch.types import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orch.spec.application import Application
    from orch.spec.container import Container, Mount
    from orch.types import FieldPath

    Folder = Callable[[FieldPath], Path]


def fill_files(app: Application, folder: Folder) -> tuple[Application, list[Diagnostic]]:
    """Read the files of configs, and make host paths that begin with a dot absolute.

    `folder` gives the folder of the file that says a path.
    """
    faults: list[Diagnostic] = []
    filled: dict[str, Config] = {}
    for name, config in app.configs.items():
        if config.file is None:
            continue
        path: FieldPath = ("configs", name, "file")
        told = config.model_fields_set & {"content", "encoding"}
        if told and "content" in config.model_fields_set:
            mend = "keep one of them"
            faults.append(Diagnostic("a config has either a file or content", path, mend=mend))
        elif told:
            mend = "remove `encoding`"
            fault = "`encoding` says how `content` is written, and this config has a file"
            faults.append(Diagnostic(fault, ("configs", name, "encoding"), mend=mend))
        else:
            _fill(config, folder(path) / config.file, path, filled, faults)
    return with_mounts(with_configs(app, filled), folder), faults


def _fill(
    config: Config,
    file: Path,
    path: FieldPath,
    filled: dict[str, Config],
    faults: list[Diagnostic],
) -> None:
    try:
        filled[str(path[1])] = with_content(config, read_content(file))
    except UsageFault as fault:
        faults.append(Diagnostic(fault.fault, path, mend=fault.mend))


def read_content(file: Path) -> bytes:
    """The bytes of a config's file. Raises UsageFault."""
    try:
        if file.is_file() and file.stat().st_size > MAX_BYTES:
            fault = f"{file} has more than {MAX_BYTES >> 20} MiB"
            raise UsageFault(fault, mend="mount a volume instead")
        return file.read_bytes()
    except FileNotFoundError:
        raise UsageFault(f"there is no file {file}", mend="write it, or correct the path") from None
    except IsADirectoryError:
        raise UsageFault(f"{file} is a folder", mend="name a file in it") from None
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise UsageFault(f"{file} can't be read: {reason}", mend="check the path") from None


def with_content(config: Config, raw: bytes) -> Config:
    """The config with its content, in base64 when it is not UTF-8 text."""
    values = dict(config.__dict__)
    try:
        values["content"] = raw.decode()
    except UnicodeDecodeError:
        values |= {"content": b64encode(raw).decode(), "encoding": "base64"}
    return Config.model_construct(config.model_fields_set, **values)


def with_mounts(app: Application, folder: Folder) -> Application:
    """The application with the host paths of its binds made absolute."""
    changed: dict[str, Any] = {}
    for section in ("services", "jobs"):
        owners: Mapping[str, Container] = getattr(app, section)
        moved = {
            name: new
            for name, owner in owners.items()
            if (new := _container(owner, (section, name), folder)) is not owner
        }
        if moved:
            changed[section] = FrozenDict({**owners, **moved})
    return app.model_copy(update=changed) if changed else app


def _container(owner: Any, path: FieldPath, folder: Folder) -> Any:
    changed: dict[str, Any] = {}
    mounts = tuple(
        _mount(mount, (*path, "volumes", number), folder)
        for number, mount in enumerate(owner.volumes)
    )
    if mounts != owner.volumes:
        changed["volumes"] = mounts
    inits = tuple(
        _container(part, (*path, "pre_start", number), folder)
        for number, part in enumerate(getattr(owner, "pre_start", ()))
    )
    if inits != getattr(owner, "pre_start", ()):
        changed["pre_start"] = inits
    beside: Mapping[str, Any] = getattr(owner, "sidecars", {})
    sidecars = {n: _container(c, (*path, "sidecars", n), folder) for n, c in beside.items()}
    if sidecars != beside:
        changed["sidecars"] = FrozenDict(sidecars)
    return owner.model_copy(update=changed) if changed else owner


def _mount(mount: Mount, path: FieldPath, folder: Folder) -> Mount:
    source = mount.source
    if mount.type != "bind" or source is None or not source.startswith("."):
        return mount
    absolute = (folder((*path, "source")) / source).resolve()
    return mount.model_copy(update={"source": str(absolute)})
