"""Bounds of the kernel for processes of the host: control groups of version 1 and 2."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orch_native.agent.driver import StartFault, Usage

if TYPE_CHECKING:
    from orch.spec.container import Resources

CONTROLLERS = ("memory", "cpu", "pids", "cpuacct")
PERIOD = 100_000
REMOVAL_SECONDS = 5.0


class Cgroups:
    """The control groups that an agent may make; `can` names the controllers that it has."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._v1 = {c: p for c, p in _hierarchies().items() if os.access(p, os.W_OK)}
        self._v2 = None if self._v1 else _unified(agent)
        v2 = (self._v2.parent / "cgroup.controllers").read_text().split() if self._v2 else ()
        self.can = frozenset(self._v1) | (frozenset(v2) & frozenset(CONTROLLERS))

    def create(self, handle: str, resources: Resources | None) -> list[str]:
        """Make the groups of a task with its bounds; the files that take its pid."""
        folders = self._folders(handle)
        wanted = self._settings(resources)
        if self._v2:
            self._v2.mkdir(exist_ok=True)
            _delegate(self._v2)
        for controller, folder in folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            for name, value in wanted.get(controller, ()):
                _set(folder / name, value)
        return [str(folder / "cgroup.procs") for folder in set(folders.values())]

    def paths(self, handle: str) -> list[str]:
        """The files that take a pid into the groups of a task that has some."""
        found = {f / "cgroup.procs" for f in self._folders(handle).values() if f.is_dir()}
        return [str(path) for path in found]

    def remove(self, handle: str) -> None:
        """Remove the groups of a task that has ended."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        for folder in set(self._folders(handle).values()):
            while folder.is_dir() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.02)
            # The folders above go with their last task; EBUSY says that there are others.
            above = (folder.parent,) if self._v2 else (folder.parent, folder.parent.parent)
            for empty in above:
                with suppress(OSError):
                    empty.rmdir()

    def kills(self, handle: str) -> str:
        """The file that counts what the kernel killed for lack of memory; empty without one."""
        folder = self._folders(handle).get("memory")
        name = "memory.events" if self._v2 else "memory.oom_control"
        return str(folder / name) if folder else ""

    def usage(self, handle: str) -> Usage | None:
        """What the task used, None when it has no groups."""
        folders = self._folders(handle)
        try:
            if self._v2:
                stat = dict(line.split() for line in _lines(folders["cpu"] / "cpu.stat"))
                return Usage(
                    int(stat["usage_usec"]) / 1e6,
                    float((folders["memory"] / "memory.current").read_text()),
                )
            return Usage(
                int((folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9,
                float((folders["memory"] / "memory.usage_in_bytes").read_text()),
            )
        except (KeyError, OSError, ValueError):
            return None

    def _folders(self, handle: str) -> dict[str, Path]:
        if self._v2:
            return dict.fromkeys(self.can, self._v2 / handle)
        return {c: path / "orch" / self._agent / handle for c, path in self._v1.items()}

    def _settings(self, resources: Resources | None) -> dict[str, list[tuple[str, str]]]:
        limits = resources.limits if resources else None
        reserved = resources.reservations if resources else None
        found: dict[str, list[tuple[str, str]]] = {}
        if limits and limits.memory is not None:
            found["memory"] = self._memory(int(limits.memory), limits.swap)
        if limits and limits.cpus is not None:
            quota = max(1000, int(limits.cpus) * PERIOD // 1000)
            found["cpu"] = (
                [("cpu.max", f"{quota} {PERIOD}")]
                if self._v2
                else [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota))]
            )
        if limits and limits.pids is not None:
            found["pids"] = [("pids.max", str(limits.pids))]
        if reserved and reserved.cpus:
            name, base = ("cpu.weight", 100) if self._v2 else ("cpu.shares", 1024)
            share = min(10_000, max(2, int(reserved.cpus) * base // 1000))
            found.setdefault("cpu", []).append((name, str(share)))
        return found

    def _memory(self, memory: int, swap: int | None) -> list[tuple[str, str]]:
        if self._v2:
            bound = [("memory.max", str(memory))]
            return bound if swap is None else [*bound, ("memory.swap.max", str(int(swap)))]
        bound = [("memory.limit_in_bytes", str(memory))]
        if swap is None:
            return bound
        return [*bound, ("memory.memsw.limit_in_bytes", str(memory + int(swap)))]


def _set(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError as fault:
        raise StartFault(f"the kernel refuses {path.name} {value}: {fault.strerror}") from fault


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _hierarchies() -> dict[str, Path]:
    """Version 1 controllers to the folder of our own group in their hierarchy."""
    found: dict[str, Path] = {}
    for line in _lines(Path("/proc/self/mounts")):
        _device, target, kind, options, *_ = line.split()
        if kind == "cgroup":
            found |= {c: Path(target) for c in CONTROLLERS if c in options.split(",")}
    return found


def _unified(agent: str) -> Path | None:
    """Where our groups of version 2 would be, None when controllers are not delegated to us."""
    root = Path("/sys/fs/cgroup")
    try:
        _delegate(root)
    except OSError:
        return None
    return root / f"orch-{agent}"


def _delegate(folder: Path) -> None:
    """Let the groups below have the controllers that we use."""
    offered = (folder / "cgroup.controllers").read_text().split()
    usable = " ".join(f"+{c}" for c in CONTROLLERS if c in offered)
    (folder / "cgroup.subtree_control").write_text(usable)
