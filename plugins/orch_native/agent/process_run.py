"""Handling of supervisors: start them, tell whether they live, wait for their end."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch_native.agent.driver import OUT_OF_MEMORY, Exit, Running, StartFault

if TYPE_CHECKING:
    from collections.abc import Callable

SUPERVISOR = Path(__file__).with_name("supervisor")
LOCKED_EXIT = 75
START_SECONDS = 20.0
_FLOCK = struct.Struct("hhqqi4x")


def read_json(path: Path) -> dict[str, Any] | None:
    """A small file's content, None when it is not there or not whole."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def holder(folder: Path) -> int | None:
    """Pid of the supervisor that lives for this folder, None when there is none."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    finally:
        os.close(lock)
    return None if kind == fcntl.F_UNLCK else int(pid)


def outcome(folder: Path) -> Running | Exit | None:
    """What became of the last attempt of a folder."""
    run = read_json(folder / "run.json")
    if run is None:
        return None
    for _ in range(2):
        end = read_json(folder / "exit.json")
        if end and end["attempt"] == run["attempt"]:
            fault = OUT_OF_MEMORY if end.get("short_of_memory") else end["fault"]
            return Exit(end["attempt"], end["code"], end["time"], fault)
        if holder(folder) is not None:
            return Running(run["attempt"], run["time"])
    end_task(run)
    return Exit(run["attempt"], 137, time.time(), "the supervisor of the process was killed")


def main_pid(folder: Path) -> int | None:
    """Pid of the process that a folder runs, None when it has ended."""
    run = read_json(folder / "run.json")
    return run["pid"] if run and _ticks(run["pid"]) == run["ticks"] else None


def _ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    state, *rest = stat.rpartition(b")")[2].split()
    return None if state == b"Z" else int(rest[18])


def end_task(run: dict[str, Any]) -> None:
    """Kill a process whose supervisor is gone, and its whole session."""
    if _ticks(run["pid"]) != run["ticks"]:
        return
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ProcessLookupError):
            if int(entry.read_bytes().rpartition(b")")[2].split()[3]) == run["pid"]:
                os.kill(int(entry.parent.name), signal.SIGKILL)


def send_signal(folder: Path, name: str) -> None:
    """Signal the process; a pidfd makes sure that no other one is hit."""
    run = read_json(folder / "run.json")
    if run is None:
        return
    number = signal_number(name)
    try:
        handle = os.pidfd_open(run["pid"])
    except OSError:
        return
    try:
        if _ticks(run["pid"]) == run["ticks"]:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def signal_number(name: str) -> signal.Signals:
    """A signal by name or number. Raises StartFault when there is none."""
    try:
        if name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except (KeyError, ValueError) as fault:
        raise StartFault(f"{name} is no signal; write one such as SIGTERM") from fault


class Supervisors:
    """The supervisors of this agent: those it started and those that it found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: dict[str, Callable[[], None]] = {}
        self._handles: dict[int, str] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._poll = select.epoll()
        self._open = True
        self._closing = os.eventfd(0)
        self._poll.register(self._closing, select.EPOLLIN)
        self._thread = threading.Thread(target=self._wait, name="supervisors", daemon=True)
        self._thread.start()

    def start(self, folder: Path, config: dict[str, Any]) -> None:
        """Start an attempt and wait until it runs or has failed. Raises StartFault."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._try(folder, config):
                return
            run = read_json(folder / "run.json")
            if run and run["attempt"] == config["attempt"]:
                return
            time.sleep(0.02)  # another supervisor holds the folder and is about to end or to start
        raise StartFault(f"an earlier process of {folder.name} does not end")

    def _try(self, folder: Path, config: dict[str, Any]) -> bool:
        with (folder / "supervisor.err").open("wb") as errors:
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={},
                start_new_session=True,
            )
        assert child.stdin  # noqa: S101  (asked for above)
        assert child.stdout  # noqa: S101
        with suppress(BrokenPipeError), child.stdin:
            child.stdin.write(json.dumps(config).encode())
        with child.stdout:
            answer = child.stdout.readline()
        if answer:
            with self._lock:
                self._children[child.pid] = child
            return True
        if child.wait() == LOCKED_EXIT:
            return False
        text = (folder / "supervisor.err").read_text(errors="replace").strip()
        raise StartFault(f"the supervisor failed: {text.rpartition(chr(10))[2]}")

    def watch(self, folder: Path, ended: Callable[[], None]) -> None:
        """Call back when the supervisor that lives now has ended; at once when none does."""
        pid = holder(folder)
        try:
            handle = os.pidfd_open(pid) if pid else None
        except OSError:
            handle = None
        if handle is None:
            ended()
            return
        with self._lock:
            self._handles[handle] = folder.name
            self._ended[folder.name] = ended
            self._poll.register(handle, select.EPOLLIN)

    def _wait(self) -> None:
        while self._open:
            try:
                ready = self._poll.poll(1.0)
            except (OSError, ValueError):
                return
            for handle, _events in ready:
                if handle != self._closing:
                    self._one_ended(handle)
            self._reap()

    def _one_ended(self, handle: int) -> None:
        with self._lock:
            name = self._handles.pop(handle)
            ended = self._ended.pop(name, None)
            self._poll.unregister(handle)
            os.close(handle)
        if ended:
            ended()

    def _reap(self) -> None:
        with self._lock:
            gone = [pid for pid, child in self._children.items() if child.poll() is not None]
            for pid in gone:
                del self._children[pid]

    def close(self) -> None:
        """Let go of all; they live on."""
        self._open = False
        os.eventfd_write(self._closing, 1)
        self._thread.join(timeout=3)
        with self._lock:
            os.close(self._closing)
            self._poll.close()
            for handle in self._handles:
                os.close(handle)
            for child in self._children.values():
                child.returncode = child.poll() or 0  # they are no children to be waited for
            self._handles.clear()
