"""Plain processes of the host, each under a small supervisor that outlives the agent."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from orch_native.agent import logfile
from orch_native.agent.cgroup import Cgroups
from orch_native.agent.driver import Exit, Running, StartFault, Usage
from orch_native.agent.process_able import Abilities, can_mount, has_capability, refusals
from orch_native.agent.process_exec import ProcessSession, enter
from orch_native.agent.process_run import (
    Supervisors,
    end_task,
    holder,
    main_pid,
    outcome,
    read_json,
    send_signal,
    signal_number,
)
from orch_native.agent.process_settings import Place, account, dropped, settings
from orch_native.messages import DriverFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch.spec.application import Job, Service
    from orch.spec.container import Hook
    from orch_native.agent.addresses import Addresses
    from orch_native.agent.driver import Printed, Stop
    from orch_native.agent.files import Files
    from orch_native.agent.names import Names
    from orch_native.agent.pod import Piece, Pod

REMOVE_SECONDS = 10.0
PRINTED_BYTES = 4096
LIMITS = {
    "as": "Max address space",
    "core": "Max core file size",
    "cpu": "Max cpu time",
    "data": "Max data size",
    "fsize": "Max file size",
    "memlock": "Max locked memory",
    "msgqueue": "Max msgqueue size",
    "nice": "Max nice priority",
    "nofile": "Max open files",
    "nproc": "Max processes",
    "rtprio": "Max realtime priority",
    "rttime": "Max realtime timeout",
    "sigpending": "Max pending signals",
    "stack": "Max stack size",
}


class ProcessDriver:
    """Runs commands of the host; see the table in `driver` for what it can be asked."""

    name = "process"

    def __init__(
        self, state: Path, agent: str, files: Files, addresses: Addresses, names: Names
    ) -> None:
        self._tasks = state / "tasks"
        self._volumes = state / "volumes"
        for folder in (self._tasks, self._volumes):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._files, self._addresses, self._names = files, addresses, names
        self._cgroups = Cgroups(agent)
        self._supervisors = Supervisors()
        root = os.geteuid() == 0
        self._able = Abilities(
            root and has_capability("SETUID"),
            root and can_mount(),
            self._cgroups.can,
            has_capability("SYS_RESOURCE"),
        )
        self._hosts = threading.Lock()

    def facts(self) -> DriverFacts:
        return DriverFacts(
            self.name, available=True, version=platform.release(), features=self._able.features
        )

    def refuse(self, spec: Service | Job) -> Sequence[tuple[str, str]]:
        return list(refusals(spec, self._able))

    # -- start -----------------------------------------------------------------------------------

    def pull(self, pod: Pod, piece: Piece) -> None:
        """A process has no image: what its command names must be on the host."""

    def prepare(self, pod: Pod) -> None:
        refused = self.refuse(pod.spec)
        if refused:
            path, reason = refused[0]
            raise StartFault(f"{path}: {reason}")
        for piece in pod.pieces:
            folder = self._folder(piece.handle)
            for inner in ("data", "layers"):
                (folder / inner).mkdir(mode=0o755, parents=True, exist_ok=True)
            (folder / "owner").write_text(pod.allocation.id)
            self._give_to_user(folder / "data", piece)
        for name, settings_ in pod.allocation.volumes.items():
            self._volume(pod, name, settings_)

    def _give_to_user(self, folder: Path, piece: Piece) -> None:
        if self._able.root and piece.container.user is not None:
            identity = account(piece.container.user, ())
            os.chown(folder, identity.uid or 0, identity.gid or 0)

    def _volume(self, pod: Pod, name: str, known: Mapping[str, Any]) -> None:
        path = self._volumes / str(known.get("name", name))
        if path.parent != self._volumes:
            raise StartFault(f"{path.name} is no name for a volume")
        if known.get("external"):
            if not path.is_dir():
                raise StartFault(f"the volume {path.name} is external and not on this host")
        elif not path.exists():
            path.mkdir(mode=0o755)
            self._give_to_user(path, pod.main)

    def start(self, pod: Pod, piece: Piece, attempt: int) -> None:
        folder = self._folder(piece.handle)
        run = read_json(folder / "run.json")
        if run and run["attempt"] == attempt:
            return
        if run and holder(folder) is None:
            end_task(run)
        signal_number(piece.container.stop_signal)
        place = self._place(pod, piece)
        self._supervisors.start(folder, settings(pod, piece, attempt, place))

    def _place(self, pod: Pod, piece: Piece) -> Place:
        folder, mounts = self._folder(piece.handle), self._able.mounts
        return Place(
            folder=folder,
            volumes=self._volumes,
            files=self._files.place(pod, piece),
            file_folders={
                kind: self._files.folder(piece.handle, kind) for kind in ("configs", "secrets")
            },
            cgroups=self._cgroups.create(piece.handle, piece.resources),
            kills=self._cgroups.kills(piece.handle),
            variables=self._variables(pod),
            hosts=self._hosts_file(pod, folder) if mounts else None,
            resolver=_resolver_file(pod, folder) if mounts else None,
            mounts=mounts,
            root=self._able.root,
        )

    def _variables(self, pod: Pod) -> dict[str, str]:
        allocation = pod.allocation
        return {
            "ORCH_ADDRESS": self._bind_address(pod),
            "ORCH_APP": allocation.app,
            "ORCH_SERVICE": allocation.unit,
            "ORCH_INDEX": str(allocation.index),
            "ORCH_ALLOCATION": allocation.id,
            **self._names.variables(pod),
        }

    def _bind_address(self, pod: Pod) -> str:
        if pod.spec.network_mode == "app":
            return self._addresses.give(pod.allocation.id)
        return "0.0.0.0" if pod.spec.network_mode == "host" else "127.0.0.1"  # noqa: S104

    def _hosts_file(self, pod: Pod, folder: Path) -> Path:
        path = folder / "hosts"
        with self._hosts:
            path.write_text(self._names.hosts(pod, self._bind_address(pod)))
        path.chmod(0o644)
        return path

    def refresh_names(self, pods: Sequence[Pod]) -> None:
        """Write the hosts files anew, in place: the tasks have them mounted."""
        for pod in pods:
            text = self._names.hosts(pod, self._bind_address(pod))
            for piece in pod.pieces:
                with self._hosts, suppress(FileNotFoundError):
                    # Only a task that was started has such a file, and it may go any time.
                    path = self._folder(piece.handle) / "hosts"
                    if path.read_text() != text:
                        path.write_text(text)

    def address(self, pod: Pod) -> tuple[str, Mapping[str, int]]:
        ports = {f"{port.target}/{port.protocol}": port.target for port in pod.ports}
        if pod.spec.network_mode == "app":
            return self._addresses.give(pod.allocation.id), ports
        return ("127.0.0.1", ports) if pod.spec.network_mode == "host" else ("", {})

    # -- life ------------------------------------------------------------------------------------

    def _folder(self, handle: str) -> Path:
        return self._tasks / handle

    def poll(self, handle: str) -> Running | Exit | None:
        return outcome(self._folder(handle))

    def watch(self, handle: str, ended: Callable[[], None]) -> None:
        self._supervisors.watch(self._folder(handle), ended)

    def signal(self, handle: str, name: str) -> None:
        send_signal(self._folder(handle), name)

    def remove(self, handle: str) -> None:
        folder = self._folder(handle)
        deadline = time.monotonic() + REMOVE_SECONDS
        while isinstance(self.poll(handle), Running) and time.monotonic() < deadline:
            self.signal(handle, "KILL")
            time.sleep(0.02)
        self._cgroups.remove(handle)
        self._files.remove(handle)
        shutil.rmtree(folder, ignore_errors=True)

    def clean(self, pod_handle: str, networks: Sequence[str]) -> None:
        """Nothing of a pod outlives its containers here."""

    def release(self, allocation: str) -> None:
        """Take the address of an allocation back."""
        self._addresses.take_back(allocation)

    def owned(self) -> Mapping[str, str]:
        found = {}
        for path in self._tasks.glob("*/owner"):
            with suppress(OSError):
                found[path.parent.name] = path.read_text()
        return found

    # -- beside it -------------------------------------------------------------------------------

    def exec(
        self,
        handle: str,
        command: Sequence[str],
        *,
        tty: bool,
        hook: Hook | None = None,
        piece: Piece | None = None,
    ) -> ProcessSession:
        folder = self._folder(handle)
        pid = main_pid(folder)
        if pid is None:
            raise StartFault("the process does not run")
        return enter(pid, self._beside(handle, pid, hook, piece, tty=tty), command, tty=tty)

    def _beside(
        self, handle: str, pid: int, hook: Hook | None, piece: Piece | None, *, tty: bool
    ) -> dict[str, Any]:
        process = Path(f"/proc/{pid}")
        pairs = (process / "environ").read_bytes().split(b"\0")
        env = dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)
        if tty:
            env.setdefault("TERM", "xterm")
        config: dict[str, Any] = {
            "env": env | (dict(hook.environment) if hook else {}),
            "cwd": (hook.working_dir if hook and hook.working_dir else None)
            or str((process / "cwd").readlink()),
            "cgroups": self._cgroups.paths(handle),
            "namespaces": self._namespaces(pid),
            "ulimits": _bounds(pid),
        }
        if self._able.root:
            ids = dict(
                line.split(":\t", 1)
                for line in (process / "status").read_text().splitlines()
                if ":\t" in line
            )
            config |= {
                "uid": int(ids["Uid"].split()[0]),
                "gid": int(ids["Gid"].split()[0]),
                "groups": [int(group) for group in ids["Groups"].split()],
                "drop": dropped(piece.container) if piece else _missing(ids["CapBnd"]),
                "no_new_privs": ids.get("NoNewPrivs") == "1",
            }
            if hook and hook.user is not None:
                identity = account(hook.user, ())
                config |= {"uid": identity.uid, "gid": identity.gid, "groups": identity.groups}
        return config

    def _namespaces(self, pid: int) -> list[str]:
        def differs(name: str) -> bool:
            ours, theirs = Path(f"/proc/self/ns/{name}"), Path(f"/proc/{pid}/ns/{name}")
            return ours.readlink() != theirs.readlink()

        if not self._able.root:
            return []
        return [name for name in ("uts", "ipc", "net", "mnt") if differs(name)]

    def run(
        self, handle: str, command: Sequence[str], *, timeout: float, hook: Hook | None = None
    ) -> tuple[int, str]:
        session = self.exec(handle, command, tty=False, hook=hook)
        timer = threading.Timer(timeout, session.kill)
        timer.start()
        try:
            session.close_stdin()
            text = b""
            for _stream, data in session.output():
                text = (text + data)[:PRINTED_BYTES]
            code = session.exit_code()
        finally:
            timer.cancel()
            session.close()
        if session.killed:
            raise TimeoutError
        return code, text.decode(errors="replace").strip()

    def logs(
        self, handle: str, *, since: float | None, tail: int | None, follow: Stop | None = None
    ) -> Iterator[Printed]:
        path = self._folder(handle) / "log"
        last = since or 0.0
        for line in logfile.read(path, since, tail):
            last = line.time
            yield line
        if follow is None:
            return

        def pause(seconds: float) -> bool:
            return not follow.wait(seconds) and holder(path.parent) is not None

        for line in logfile.follow(path, pause):
            if line.time > last:
                yield line

    def usage(self, handle: str) -> Usage | None:
        return self._cgroups.usage(handle) or self._session_usage(handle)

    def _session_usage(self, handle: str) -> Usage | None:
        pid = main_pid(self._folder(handle))
        if pid is None:
            return None
        try:
            main = psutil.Process(pid)
            family = [main, *main.children(recursive=True)]
        except psutil.Error:
            return None
        seconds = memory = 0.0
        for process in family:
            with suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss
        return Usage(seconds, memory)

    # -- what lasts ------------------------------------------------------------------------------

    def remove_volume(self, name: str) -> None:
        path = self._volumes / name
        if path.parent == self._volumes and path.is_dir():
            shutil.rmtree(path)

    def remove_network(self, name: str) -> None:
        """The addresses of processes are taken back with their allocations."""

    def close(self) -> None:
        self._supervisors.close()


def _bounds(pid: int) -> dict[str, tuple[int, int]]:
    """The bounds of a running process, as a supervisor takes them."""
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        name = next((key for key, words in LIMITS.items() if line.startswith(words)), None)
        if name:
            soft, hard = line.removeprefix(LIMITS[name]).split()[:2]
            found[name] = (_bound(soft), _bound(hard))
    return found


def _bound(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _missing(mask: str) -> list[int]:
    """Numbers of the capabilities that a bounding set (in hexadecimal) does not hold."""
    bits = int(mask, 16)
    return [number for number in range(41) if not bits >> number & 1]


def _resolver_file(pod: Pod, folder: Path) -> Path | None:
    spec = pod.spec
    if not (spec.dns or spec.dns_search or spec.dns_opt):
        return None
    lines = [f"nameserver {server}" for server in spec.dns]
    if not spec.dns:
        host = Path("/etc/resolv.conf").read_text().splitlines()
        lines = [line for line in host if line.startswith("nameserver")]
    lines += [f"search {' '.join(spec.dns_search)}"] if spec.dns_search else []
    lines += [f"options {' '.join(spec.dns_opt)}"] if spec.dns_opt else []
    path = folder / "resolv.conf"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o644)
    return path
