"""What runs containers on a node: the contract of its drivers, and what each of them holds.

| field | docker | process |
|---|---|---|
| image, platform, pull_policy, registries | native | refused: a process has no image |
| command, entrypoint, working_dir, environment | native | native; command alone is the program |
| user, group_add | native | native as root; else only the agent's own user |
| init | docker-init | native: the supervisor reaps |
| tty, stdin_open, stop_signal, stop_grace_period | native | native |
| cap_add, cap_drop | native | native as root; else cap_add is refused |
| security_opt no-new-privileges | native | native |
| other security_opt, privileged, devices, gpus | native | refused |
| sysctls, shm_size, read_only, runtime | native | refused |
| ulimits, oom_score_adj | native | native up to the agent's own bounds |
| limits cpus, memory, swap, pids | native | native with cgroups that can be written, else refused |
| limits ephemeral_storage | only on storage drivers that hold it | refused |
| reservations memory, cpus | soft limit, shares | shares with cgroups; counted for placement |
| configs, secrets as files | native, secrets from memory | native with mounts, else ORCH_…_DIR |
| volumes: volume, bind, tmpfs | native, subpath from engine 26 | native with mounts, else refused |
| ports of mode host | published by the engine | by the agent's proxy |
| networks | one bridge each | one loopback address for each replica and service |
| network_mode host, none | native | native; none needs what mounts need |
| internal, fixed addresses | native | refused |
| aliases, extra_hosts, dns… | native | /etc/hosts and resolv.conf with mounts, else refused |
| hostname, domainname, ipc private | native | native with mounts, else refused |
| pid host, userns host, ipc host | native | always so |
| pre_start, sidecars, post_start, pre_stop, probes | native | native |
| logging json-file or local: max-size, max-file | native | native; other drivers are refused |
| labels, annotations | labels | no effect: a process carries none |

"With mounts" is root with CAP_SYS_ADMIN; `facts().drivers["process"].features` names `mounts` then.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch.spec.container import Hook
    from orch_native.agent.pod import Piece, Pod
    from orch_native.messages import DriverFacts, ExecSession


OUT_OF_MEMORY = "killed: it needed more memory than its limit; raise limits.memory"


class StartFault(Exception):
    """A container could not be prepared or started; the text is for the user."""


class Unreached(Exception):
    """The driver's engine does not answer now: nothing is known, and it is asked again."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended; `fault` says why it never became its program."""

    attempt: int
    code: int
    when: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt that goes on; `since` is seconds since the epoch."""

    attempt: int
    since: float


@dataclass(frozen=True, slots=True)
class Printed:
    """One line of output: stream is stdout or stderr, time is seconds since the epoch."""

    time: float
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container used: processor seconds since its start, memory in bytes now."""

    cpu_seconds: float
    memory: float


class Stop:
    """Ends something that waits: what blocks registers how it is woken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._wake: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """Whether it was asked to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, but not longer than until it is set."""
        return self._event.wait(seconds)

    def wakes(self, wake: Callable[[], object]) -> None:
        """Call this when it is set; at once when it was."""
        with self._lock:
            if not self._event.is_set():
                self._wake.append(wake)
                return
        wake()

    def set(self) -> None:
        """End it."""
        with self._lock:
            self._event.set()
            wake, self._wake = self._wake, []
        for call in wake:
            call()


class Driver(Protocol):
    """A way to run containers.

    Handles are names that the agent chose; every call may be repeated after a kill of the agent
    without doing its work twice, and may raise Unreached.
    """

    name: str

    def facts(self) -> DriverFacts: ...

    def refuse(self, spec: Any) -> Sequence[tuple[str, str]]:
        """What of a service or job it can't do here: (field path, reason)."""
        ...

    def pull(self, pod: Pod, piece: Piece) -> None:
        """Make the image ready as the pull policy asks. Raises StartFault."""
        ...

    def prepare(self, pod: Pod) -> None:
        """Make networks, volumes and files. Raises StartFault."""
        ...

    def start(self, pod: Pod, piece: Piece, attempt: int) -> None:
        """Start this attempt; nothing happens when it was started already. Raises StartFault."""
        ...

    def poll(self, handle: str) -> Running | Exit | None:
        """What became of it: running, ended, or never made."""
        ...

    def watch(self, handle: str, ended: Callable[[], None]) -> None:
        """Call back, from any thread, each time it ends, until it is removed."""
        ...

    def signal(self, handle: str, name: str) -> None:
        """Send a signal such as SIGTERM to its first process; KILL ends all of it."""
        ...

    def remove(self, handle: str) -> None:
        """Remove it and what it kept, running or not."""
        ...

    def clean(self, pod_handle: str, networks: Sequence[str]) -> None:
        """Remove what `prepare` made for a pod alone; networks that nobody uses go too."""
        ...

    def release(self, allocation: str) -> None:
        """Take back what an allocation was given for its whole life, such as its address."""
        ...

    def owned(self) -> Mapping[str, str]:
        """Handles of all containers of this agent that are on the node, with their allocation."""
        ...

    def address(self, pod: Pod) -> tuple[str, Mapping[str, int]]:
        """Where it answers: an address, and per `PORT/PROTOCOL` the port there."""
        ...

    def run(
        self, handle: str, command: Sequence[str], *, timeout: float, hook: Hook | None = None
    ) -> tuple[int, str]:
        """Run a command inside; exit code and the start of what it printed.

        Raises TimeoutError when it takes longer; it is killed then.
        """
        ...

    def exec(self, handle: str, command: Sequence[str], *, tty: bool) -> ExecSession: ...

    def logs(
        self,
        handle: str,
        *,
        since: float | None,
        tail: int | None,
        follow: Stop | None = None,
    ) -> Iterator[Printed]:
        """Lines after `since`; with `follow` also those to come, until it ends or is stopped."""
        ...

    def usage(self, handle: str) -> Usage | None: ...

    def remove_volume(self, name: str) -> None: ...

    def remove_network(self, name: str) -> None: ...

    def close(self) -> None: ...
