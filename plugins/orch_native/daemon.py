"""The local server as a process of its own: found, started on first need, spoken to, stopped.

state folder (0700)   $ORCH_STATE, else $XDG_STATE_HOME/orch, else ~/.local/state/orch
orch.sock (0600)    the API; in $XDG_RUNTIME_DIR when the path would be too long for a socket
daemon.pid          held locked for as long as a server works on this state
daemon.log          what it says; never a secret
native.db, key      see server/store.py
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import Denied, OrchError, Unreachable, UsageFault
from orch.version import __version__
from orch_native.api import PROTOCOL
from orch_native.client import NativeClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch_native.api import About

_LONGEST_SOCKET_PATH = 100
_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 60.0
_LOG_TAIL = 12


def state_dir() -> Path:
    """$ORCH_STATE, else $XDG_STATE_HOME/orch, else ~/.local/state/orch; made absolute."""
    if given := os.environ.get("ORCH_STATE"):
        return Path(given).absolute()
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "orch"


def socket_path(state: Path) -> Path:
    """Where the server of this state listens. A socket's path may hold 107 bytes at most."""
    plain = state / "orch.sock"
    if len(os.fsencode(plain)) <= _LONGEST_SOCKET_PATH:
        return plain
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime) / f"orch-{os.getuid()}-{digest}" / "orch.sock"


def prepare(state: Path) -> None:
    """Make the state folder and the socket's, for their owner only. Raises Denied or UsageFault."""
    for folder in (state, socket_path(state).parent):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o700)
        except OSError as fault:
            raise _unusable(folder, fault) from None
        if folder.stat().st_uid != os.getuid():
            raise Denied(
                "the state folder belongs to another user",
                place=str(folder),
                mend="choose your own with ORCH_STATE",
            )


def _unusable(folder: Path, fault: OSError) -> OrchError:
    """Why a state folder is of no use to this user."""
    mend = "choose another one with ORCH_STATE"
    if isinstance(fault, PermissionError):
        told = "the state folder belongs to another user, or is closed to this one"
        return Denied(told, place=str(folder), mend=mend)
    told = f"this can't be a state folder: {fault.strerror}"
    return UsageFault(told, place=str(folder), mend=mend)


def ensure_running(
    state: Path | None = None, *, options: Mapping[str, str] | None = None
) -> NativeClient:
    """A client of this state's server, which is started when none runs.

    An older server is ended and this version started in its place; what it runs goes on.
    `options` (`docker_host`, `driver`, …) reach a server only as it is started. Raises
    Unreachable with the end of its log when it does not come up.
    """
    state = (state or state_dir()).absolute()
    client = connect(state)
    if client is not None:
        return client
    prepare(state)
    with _starting(state):
        client = connect(state)
        if client is None:
            start(state, options=options)
            client = connect(state)
    if client is None:
        raise Unreachable(
            "the native server started and then did not answer",
            place=str(socket_path(state)),
            mend=f"see {state / 'daemon.log'}",
        )
    return client


def parse_labels(text: str) -> dict[str, str]:
    """`NAME=VALUE,NAME=VALUE` as a mapping. Raises UsageFault for what has no name or no `=`."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    for name, sign, value in pairs:
        if not (name.strip() and sign):
            told = f"{name + sign + value!r} is no label"
            raise UsageFault(told, place="labels of the host", mend="write NAME=VALUE")
    return {name.strip(): value.strip() for name, _sign, value in pairs}


def connect(state: Path) -> NativeClient | None:
    """A client of the running server, None when none runs; an older one is ended first."""
    if running_pid(state) is None or not socket_path(state).exists():
        return None
    client = NativeClient(socket_path(state))
    try:
        about = client.about()
    except Denied:
        client.close()
        raise
    except OrchError:
        client.close()
        return None
    if about.version == __version__ and about.protocol == PROTOCOL:
        return client
    return _other_version(client, about, state)


def _other_version(client: NativeClient, about: About, state: Path) -> NativeClient | None:
    if _numbers(about.version) > _numbers(__version__):
        if about.protocol == PROTOCOL:
            return client
        client.close()
        raise UsageFault(
            f"the server that runs here is orch {about.version}, newer than this {__version__}",
            place=str(state),
            mend=f"install orch {about.version}, or run `orch server stop` with that version",
        )
    client.stop()
    client.close()
    await_end(state)
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def start(state: Path, *, options: Mapping[str, str] | None = None) -> int:
    """Start a server in a session of its own, await its readiness and return its process id."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "orch_native.daemon_process", "--state", str(state)]
    command += ["--ready-fd", str(writer)]
    for name, value in (options or {}).items():
        command += ["--option", f"{name}={value}"]
    log = os.open(state / "daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(log)
        os.close(writer)
    # Whoever starts it may live on, and must not keep it as a zombie once it has ended.
    threading.Thread(target=process.wait, name="server", daemon=True).start()
    try:
        _await_ready(reader, process, state)
    finally:
        os.close(reader)
    return process.pid


def _await_ready(reader: int, process: subprocess.Popen[bytes], state: Path) -> None:
    readable, _, _ = select.select([reader], [], [], _START_TIMEOUT)
    if readable and os.read(reader, 16):
        return
    fault = "did not get ready in time" if process.poll() is None else "ended as it started"
    raise Unreachable(
        f"the native server {fault}:\n{log_tail(state)}",
        place=str(state),
        mend=f"see {state / 'daemon.log'}",
    )


def log_tail(state: Path, lines: int = _LOG_TAIL) -> str:
    """The last lines of the server's log."""
    with suppress(OSError), (state / "daemon.log").open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
    return ""


@contextmanager
def _starting(state: Path) -> Iterator[None]:
    """One starter at a time; the others find its server."""
    handle = os.open(state / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def running_pid(state: Path) -> int | None:
    """The process id of the server that holds this state, None when none does.

    Raises Denied for the state of another user, UsageFault for what is no folder.
    """
    try:
        handle = os.open(state / "daemon.pid", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _unusable(state, fault) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(handle, 32) or b"0")
    finally:
        os.close(handle)
    return None


def await_end(state: Path, timeout: float = _STOP_TIMEOUT) -> None:
    """Wait until no server holds this state. Raises Unreachable after `timeout` seconds."""
    end = time.monotonic() + timeout
    while running_pid(state) is not None:
        if time.monotonic() > end:
            raise Unreachable(
                f"the server (process {running_pid(state)}) does not end",
                place=str(state),
                mend=f"see {state / 'daemon.log'}",
            )
        time.sleep(0.02)


@contextmanager
def holding(state: Path) -> Iterator[None]:
    """Hold the state for this process. Raises UsageFault when another server has it."""
    handle = os.open(state / "daemon.pid", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        os.close(handle)
        raise UsageFault(
            "another server works on this state",
            place=str(state),
            mend="end it with `orch server stop`, or choose another state with ORCH_STATE",
        ) from None
    try:
        yield
    finally:
        os.close(handle)
