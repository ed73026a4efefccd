"""What a child does before it becomes the process, and a command before it joins one."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import struct
import sys

from kernel import check, libc
from mounts import mount_all
from output import take_terminal

TYPE_CHECKING = False  # the name is enough: to import typing would cost every process 3 ms
if TYPE_CHECKING:
    from typing import Any

    from output import Streams

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
NAMESPACES = {
    "mnt": 0x00020000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


def become_process(config: dict[str, Any], streams: Streams, gate: int, fault: int) -> None:
    """Wait for `!` at the gate, then become the process; why it can't be goes to `fault`."""
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


def enter(pid: int, settings: int) -> None:
    """Join the namespaces of `pid` and become the command read as JSON from a descriptor."""
    with os.fdopen(settings, "rb") as file:
        config = json.load(file)
    if config.get("terminal"):
        take_terminal()
    _bound(config)
    for name in ("uts", "ipc", "net", "mnt"):
        if name in config.get("namespaces", ()):
            handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
            check(libc.setns(handle, NAMESPACES[name]), f"join the {name} namespace")
            os.close(handle)
    try:
        _go_to_its_folder(config)
        _lower_privileges(config)
        _become(config)
    except OSError as fault:
        sys.stderr.write(f"{fault.strerror}\n")
        sys.stderr.flush()
        os._exit(126 if fault.errno == errno.EACCES else 127)


def _bound(config: dict[str, Any]) -> None:
    for path in config.get("cgroups", ()):
        with open(path, "w") as procs:
            procs.write("0")
    for name, (soft, hard) in config.get("ulimits", {}).items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))
    if config.get("oom_score_adj") is not None:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write(str(config["oom_score_adj"]))


def _isolate(config: dict[str, Any]) -> None:
    flags = sum(NAMESPACES[name] for name in config.get("namespaces", ()))
    if flags:
        check(libc.unshare(flags), "unshare")
    if "net" in config.get("namespaces", ()):
        _open_loopback()
    if "mnt" in config.get("namespaces", ()):
        mount_all(config["mounts"], config["layers"])
    if config.get("hostname"):
        name = config["hostname"].encode()
        check(libc.sethostname(name, len(name)), "set the host name")
    if config.get("domainname"):
        name = config["domainname"].encode()
        check(libc.setdomainname(name, len(name)), "set the domain name")


def _open_loopback() -> None:
    import socket  # few need it, and every supervisor would carry it

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        fcntl.ioctl(line, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _go_to_its_folder(config: dict[str, Any]) -> None:
    try:
        os.chdir(config["cwd"])
    except OSError as fault:
        raise OSError(fault.errno, f"working_dir {config['cwd']}: {fault.strerror}") from fault


def _lower_privileges(config: dict[str, Any]) -> None:
    for number in config.get("drop", ()):
        # EINVAL: the kernel does not know this capability, so nobody has it.
        if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) and ctypes.get_errno() != errno.EINVAL:
            check(1, "drop a capability")
    if config.get("groups") is not None:
        os.setgroups(config["groups"])
    if config.get("gid") is not None:
        os.setgid(config["gid"])
    if config.get("uid") is not None:
        os.setuid(config["uid"])
    if config.get("no_new_privs"):
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")


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
