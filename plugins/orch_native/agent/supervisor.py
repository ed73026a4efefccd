"""Start one process of the host, keep its output and its end; outlive the agent.

Started by path as `python -I -S supervisor.py FOLDER` with its settings as JSON on standard
input, so that no secret is in an argument or a file. It uses the standard library alone and stays
small. In FOLDER it holds the file `lock` locked as long as it lives, writes `run.json` before
the process starts and `exit.json` after everything that the process left behind is gone.

`python -I -S supervisor.py --enter PID FD` runs a command beside a running process, in its
namespaces, and becomes that command.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import pty
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

LOCKED_EXIT = 75
LINE_BYTES = 16384
TIOCSCTTY, SIOCSIFFLAGS, IFF_UP = 0x540E, 0x8914, 1
NAMESPACES = {
    "mnt": 0x00020000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
MS_BIND, MS_REC, MS_UNBINDABLE = 4096, 16384, 1 << 17
MNT_DETACH = 2
PROPAGATION = {"private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}
PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 24, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


# -- what the child does before it becomes the process -----------------------------------------


def _mount(source: str, target: str, kind: str, flags: int, data: str, what: str) -> None:
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode(),
            ctypes.c_ulong(flags),
            data.encode(),
        ),
        what,
    )


def _existing(path: str) -> str:
    while not os.path.exists(path):  # noqa: PTH110
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def _make_point(target: str, *, folder: bool, layers: str) -> None:
    """Make the mount point inside this namespace, so that the host's own folders stay clean."""
    if os.path.exists(target):  # noqa: PTH110
        return
    above = _existing(target)
    if not os.path.exists(os.path.join(above, ".orch-layer")):  # noqa: PTH110, PTH118
        _layer(above, layers)
    if folder:
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _layer(above: str, layers: str) -> None:
    number = len(os.listdir(layers))  # noqa: PTH208
    upper, work = f"{layers}/{number}/upper", f"{layers}/{number}/work"
    os.makedirs(upper)  # noqa: PTH103
    os.makedirs(work)  # noqa: PTH103
    state = os.stat(above)  # noqa: PTH116
    os.chmod(upper, state.st_mode & 0o7777)  # noqa: PTH101
    os.chown(upper, state.st_uid, state.st_gid)
    os.close(os.open(f"{upper}/.orch-layer", os.O_CREAT | os.O_WRONLY, 0o444))
    if not os.listdir(above):  # noqa: PTH208
        _mount(upper, above, "", MS_BIND, "", f"make a place in {above}")
        return
    options = f"lowerdir={above},upperdir={upper},workdir={work}"
    _mount("overlay", above, "overlay", 0, options, f"make a place in {above}")


def _is_folder(step: dict[str, Any]) -> bool:
    return step["op"] == "tmpfs" or os.path.isdir(step["source"])  # noqa: PTH112


def _new_at_root(steps: list[dict[str, Any]]) -> dict[str, bool]:
    """Names directly below `/` that the host has not, and whether each is a folder."""
    found: dict[str, bool] = {}
    for step in steps:
        name, _, rest = step["target"].strip("/").partition("/")
        if name and not os.path.lexists(f"/{name}"):
            found[name] = found.get(name, False) or bool(rest) or _is_folder(step)
    return found


def _own_root(new: dict[str, bool], layers: str) -> None:
    """Make a root with everything of the host's in it, and the new names beside.

    No layer can lie over the root itself, and the host's own must stay as it is.
    """
    root = f"{layers}/root"
    os.mkdir(root, 0o755)  # noqa: PTH102
    _mount(root, root, "", MS_BIND, "", "make a root of its own")
    # What is bound below is copied with its mounts, and this one must not be among them.
    _mount("", root, "", MS_UNBINDABLE, "", "make a root of its own")
    for name in os.listdir("/"):  # noqa: PTH208
        _carry_over(f"/{name}", f"{root}/{name}")
    for name, folder in new.items():
        _make_empty(f"{root}/{name}", folder=folder)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "change to a root of its own")
    # Both roots are stacked there now; the host's lies on top.
    _check(_libc.umount2(b".", MNT_DETACH), "leave the root of the host")
    os.chdir("/")


def _carry_over(source: str, target: str) -> None:
    if os.path.islink(source):  # noqa: PTH114
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        return
    _make_empty(target, folder=os.path.isdir(source))  # noqa: PTH112
    _mount(source, target, "", MS_BIND | MS_REC, "", f"carry {source} over")


def _make_empty(path: str, *, folder: bool) -> None:
    if folder:
        os.mkdir(path, 0o755)  # noqa: PTH102
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _mounts(steps: list[dict[str, Any]], layers: str) -> None:
    _mount("none", "/", "", MS_REC | PROPAGATION["slave"], "", "detach the mounts")
    _mount("tmpfs", layers, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=0755", "make layers")
    if new := _new_at_root(steps):
        _own_root(new, layers)
    for step in steps:
        target = step["target"]
        folder = _is_folder(step)
        _make_point(target, folder=folder, layers=layers)
        if step["op"] == "tmpfs":
            _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, step["data"], f"mount {target}")
            continue
        _mount(step["source"], target, "", MS_BIND | MS_REC, "", f"mount {target}")
        propagation = step.get("propagation") or "private"
        recursive = MS_REC if propagation.startswith("r") else 0
        _mount("", target, "", PROPAGATION[propagation.removeprefix("r")] | recursive, "", target)
        if step.get("read_only"):
            flags = MS_BIND | MS_REMOUNT | MS_RDONLY
            _mount("", target, "", flags, "", f"make {target} read-only")


def _isolate(config: dict[str, Any]) -> None:
    flags = sum(NAMESPACES[name] for name in config.get("namespaces", ()))
    if flags:
        _check(_libc.unshare(flags), "unshare")
    if "net" in config.get("namespaces", ()):
        _open_loopback()
    if "mnt" in config.get("namespaces", ()):
        _mounts(config["mounts"], config["layers"])
    if config.get("hostname"):
        name = config["hostname"].encode()
        _check(_libc.sethostname(name, len(name)), "set the host name")
    if config.get("domainname"):
        name = config["domainname"].encode()
        _check(_libc.setdomainname(name, len(name)), "set the domain name")


def _open_loopback() -> None:
    import socket  # few need it, and every supervisor would carry it

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        fcntl.ioctl(line, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _bound(config: dict[str, Any]) -> None:
    for path in config.get("cgroups", ()):
        with open(path, "w") as procs:  # noqa: PTH123
            procs.write("0")
    for name, (soft, hard) in config.get("ulimits", {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))
    if config.get("oom_score_adj") is not None:
        with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
            score.write(str(config["oom_score_adj"]))


def _lower_privileges(config: dict[str, Any]) -> None:
    for number in config.get("drop", ()):
        # EINVAL: the kernel does not know this capability, so nobody has it.
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) and ctypes.get_errno() != errno.EINVAL:
            _check(1, "drop a capability")
    if config.get("groups") is not None:
        os.setgroups(config["groups"])
    if config.get("gid") is not None:
        os.setgid(config["gid"])
    if config.get("uid") is not None:
        os.setuid(config["uid"])
    if config.get("no_new_privs"):
        _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")


def _go_to_its_folder(config: dict[str, Any]) -> None:
    try:
        os.chdir(config["cwd"])
    except OSError as fault:
        raise OSError(fault.errno, f"working_dir {config['cwd']}: {fault.strerror}") from fault


def _become(config: dict[str, Any]) -> None:
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    try:
        os.execvpe(config["argv"][0], config["argv"], config["env"])  # noqa: S606
    except OSError as fault:
        message = f"{config['argv'][0]}: {fault.strerror}"
        raise OSError(fault.errno, message) from fault


# -- the output ----------------------------------------------------------------------------------


class Log:
    """Lines with time and stream, in files that are turned over when they are full."""

    def __init__(self, path: str, size: int, count: int) -> None:
        self.path, self.size, self.count, self.last = path, size, count, 0
        self._open()
        self._rest: dict[str, tuple[float, bytes]] = {}

    def _open(self) -> None:
        self.file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self.used = os.fstat(self.file).st_size

    def feed(self, stream: str, data: bytes) -> None:
        if not self.size:
            return
        now = time.time()
        began, rest = self._rest.pop(stream, (now, b""))
        *lines, tail = (rest + data).split(b"\n")
        for line in lines:
            self._put(began, stream, line)
            began = now
        while len(tail) >= LINE_BYTES:
            self._put(began, stream, tail[:LINE_BYTES])
            tail, began = tail[LINE_BYTES:], now
        if tail:
            self._rest[stream] = (began, tail)

    def _put(self, when: float, stream: str, line: bytes) -> None:
        # Strictly growing microseconds, so that a reader can go on after the last line it saw.
        self.last = max(int(when * 1_000_000), self.last + 1)
        seconds, rest = divmod(self.last, 1_000_000)
        text = line.removesuffix(b"\r")
        record = b"%d.%06d %s %s\n" % (seconds, rest, stream.encode(), text)
        if self.used and self.used + len(record) > self.size:
            self._turn()
        try:
            os.write(self.file, record)
        except OSError:
            return  # a full disk loses lines; the process goes on
        self.used += len(record)

    def _turn(self) -> None:
        os.close(self.file)
        for number in range(self.count - 1, 0, -1):
            older = self.path if number == 1 else f"{self.path}.{number - 1}"
            if os.path.exists(older):  # noqa: PTH110
                os.replace(older, f"{self.path}.{number}")  # noqa: PTH105
        if self.count <= 1:
            os.unlink(self.path)  # noqa: PTH108
        self._open()

    def close(self) -> None:
        for stream, (began, tail) in list(self._rest.items()):
            self._put(began, stream, tail)
        self._rest.clear()


# -- life --------------------------------------------------------------------------------------


def _write(folder: str, name: str, value: dict[str, Any]) -> None:
    path = f"{folder}/{name}"
    with open(f"{path}.new", "w") as file:  # noqa: PTH123
        json.dump(value, file)
    os.replace(f"{path}.new", path)  # noqa: PTH105


def _start_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
        return int(file.read().rpartition(b")")[2].split()[19])


class Streams:
    """The ends of the process's standard streams: what it is given, and what we read."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.tty = tty
        self.kept: list[int] = []
        if tty:
            master, slave = pty.openpty()
            self.given = (slave, slave, slave)
            self.read = {master: "o"}
            return
        out, err = os.pipe(), os.pipe()
        if stdin:
            given, kept = os.pipe()
            self.kept.append(kept)
        else:
            given = os.open(os.devnull, os.O_RDONLY)
        self.given = (given, out[1], err[1])
        self.read = {out[0]: "o", err[0]: "e"}

    def attach(self) -> None:
        """In the child: make them streams 0 to 2."""
        os.setsid()
        for number, end in enumerate(self.given):
            os.dup2(end, number)
        if self.tty:
            fcntl.ioctl(0, TIOCSCTTY, 0)
        for end in set(self.given) - {0, 1, 2}:
            os.close(end)

    def release(self) -> None:
        """In the parent: let go of the child's ends."""
        for end in set(self.given):
            os.close(end)


def _child(config: dict[str, Any], streams: Streams, gate: int, fault: int) -> None:
    try:
        if os.read(gate, 1) != b"!":
            os._exit(1)
        streams.attach()
        _bound(config)
        _isolate(config)
        _go_to_its_folder(config)
        _lower_privileges(config)
        _become(config)
    except BaseException as error:  # noqa: BLE001  (a forked child must end here)
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        os.write(fault, text.encode(errors="replace")[:2000])
    os._exit(127)


def _spawn(folder: str, config: dict[str, Any], streams: Streams) -> tuple[int, str]:
    """Pid of the process, and why it could not become its program (empty when it did)."""
    gate, fault = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate[1])
        _child(config, streams, gate[0], fault[1])
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


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_ours(pid)]  # noqa: PTH208


def _is_ours(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


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


def _pump(streams: dict[int, str], log: Log, timeout: float | None) -> bool:
    """Move what was printed into the log; False when nothing came."""
    ready = select.select(list(streams), [], [], timeout)[0]
    for end in ready:
        try:
            data = os.read(end, 65536)
        except OSError:
            data = b""  # a terminal whose other side is closed answers EIO
        if data:
            log.feed(streams[end], data)
        else:
            del streams[end]
            os.close(end)
    return bool(ready)


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
            _pump(streams, log, 0)
    _end_the_rest()
    while streams and _pump(streams, log, 0):
        continue
    log.close()
    return status


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _tell(line: str) -> None:
    try:
        os.write(1, line.encode())
    except OSError:
        return  # the agent is gone; the files tell the next one


def _kills(path: str) -> int:
    """How often the kernel has killed in a control group for lack of memory."""
    try:
        with open(path) as file:  # noqa: PTH123
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
    except (OSError, ValueError):
        return 0


def _supervise(folder: str) -> int:
    lock = os.open(f"{folder}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # A POSIX lock: no child inherits it, and who asks learns the pid of its holder.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return LOCKED_EXIT
    config = json.load(sys.stdin.buffer)
    _ignore_signals()
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
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


# -- a command beside the process --------------------------------------------------------------


def _enter(pid: int) -> None:
    """Join the namespaces of `pid` and become the command read as JSON from a descriptor."""
    with os.fdopen(int(sys.argv[3]), "rb") as settings:
        config = json.load(settings)
    if config.get("terminal"):
        fcntl.ioctl(0, TIOCSCTTY, 0)
    _bound(config)
    for name in ("uts", "ipc", "net", "mnt"):
        if name in config.get("namespaces", ()):
            handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            _check(_libc.setns(handle, NAMESPACES[name]), f"join the {name} namespace")
            os.close(handle)
    try:
        _go_to_its_folder(config)
        _lower_privileges(config)
        _become(config)
    except OSError as fault:
        sys.stderr.write(f"{fault.strerror}\n")
        sys.stderr.flush()
        os._exit(126 if fault.errno == errno.EACCES else 127)


if __name__ == "__main__":
    if sys.argv[1] == "--enter":
        _enter(int(sys.argv[2]))
    sys.exit(_supervise(sys.argv[1]))
