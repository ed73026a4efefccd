"""The life of one process: start it, keep its output, wait for its end, leave nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import time

from child import become_process
from kernel import libc
from output import Log, Streams, pump

TYPE_CHECKING = False  # the name is enough: to import typing would cost every process 3 ms
if TYPE_CHECKING:
    from typing import Any

LOCKED_EXIT = 75
PR_SET_CHILD_SUBREAPER = 36


def supervise(folder: str) -> int:
    """Run the process of this folder to its end; the exit code of the supervisor itself."""
    lock = os.open(f"{folder}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # A POSIX lock: no child inherits it, and who asks learns the pid of its holder.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return LOCKED_EXIT
    config = json.load(sys.stdin.buffer)
    _ignore_signals()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log = Log(f"{folder}/log", config["log"]["size"], config["log"]["count"])
    streams = Streams(tty=config["tty"], stdin=config["stdin"])
    pid, fault = _spawn(folder, config, streams)
    attempt, command, counted = config["attempt"], config["argv"][0], config.get("kills", "")
    before = _kills(counted)
    config.clear()  # values of secrets need not stay in memory
    _tell(f"started {pid}\n" if not fault else "failed\n")
    null = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):
        os.dup2(null, end)
    status = _watch(pid, streams.read, log)
    code = os.waitstatus_to_exitcode(status)
    _write(
        folder,
        "exit.json",
        {
            "attempt": attempt,
            "code": code if code >= 0 else 128 - code,
            "fault": fault and f"can't start {command}: {fault}",
            "short_of_memory": code != 0 and _kills(counted) > before,
            "time": time.time(),
        },
    )
    return 0


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _tell(line: str) -> None:
    try:
        os.write(1, line.encode())
    except OSError:
        return  # the agent is gone; the files tell the next one


def _spawn(folder: str, config: dict[str, Any], streams: Streams) -> tuple[int, str]:
    """Pid of the process, and why it could not become its program (empty when it did)."""
    gate, fault = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate[1])
        become_process(config, streams, gate[0], fault[1])
    for end in (gate[0], fault[1]):
        os.close(end)
    streams.release()
    _write(
        folder,
        "run.json",
        {
            "attempt": config["attempt"],
            "supervisor": os.getpid(),
            "pid": pid,
            "ticks": _start_ticks(pid),
            "time": time.time(),
        },
    )
    os.write(gate[1], b"!")
    os.close(gate[1])
    text = b""
    while chunk := os.read(fault[0], 4096):
        text += chunk
    os.close(fault[0])
    return pid, text.decode(errors="replace")


def _start_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def _watch(pid: int, streams: dict[int, str], log: Log) -> int:
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    status = _reap(pid)
    while status is None:
        ready = select.select([*streams, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            status = _reap(pid)
        if any(end in ready for end in streams):
            pump(streams, log, 0)
    _end_the_rest()
    while streams and pump(streams, log, 0):
        continue
    log.close()
    return status


def _reap(pid: int) -> int | None:
    """Collect every child that ended; the wait status of `pid` if it was among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def _end_the_rest() -> None:
    """Kill what the process left behind: as its reaper, all of it becomes ours sooner or later."""
    while children := _children():
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap(0)
        time.sleep(0.005)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


def _kills(path: str) -> int:
    """How often the kernel has killed in a control group for lack of memory."""
    try:
        with open(path) as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, ValueError):
        return 0


def _write(folder: str, name: str, value: dict[str, Any]) -> None:
    path = f"{folder}/{name}"
    with open(f"{path}.new", "w") as file:
        json.dump(value, file)
    os.replace(f"{path}.new", path)
