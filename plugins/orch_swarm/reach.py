"""Whether an engine is reached at all, and in which words it is told when it is not."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orch.errors import Denied, Transient, Unreachable, innermost
from orch_swarm.faults import Lost

if TYPE_CHECKING:
    from orch.errors import OrchError

KNOCK_SECONDS = 5.0


def knock(host: str, called: str) -> None:
    """See whether somebody listens; the SDK takes long for that, or leaves a socket behind."""
    parts = urlsplit(host)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(parts.path)
        elif parts.scheme in ("tcp", "http", "https") and parts.hostname:
            address = (parts.hostname, parts.port or 2375)
            socket.create_connection(address, KNOCK_SECONDS).close()
    except PermissionError as fault:
        raise Denied(
            "this user may not speak to the Docker engine",
            place=called,
            mend="join the docker group, or use sudo",
        ) from fault
    except OSError as fault:
        raise Lost(
            f"no Docker engine answers: {fault.strerror or fault}",
            place=called,
            mend="check the host, context or DOCKER_HOST, and that dockerd runs",
        ) from fault


def unanswered(fault: OrchError) -> Transient:
    """A write that may have been done or not."""
    return Transient(f"no answer came: {fault.fault}", place=fault.place)


def left_alone(fault: Unreachable) -> Unreachable:
    """A manager that had answered is gone, and no other one is known."""
    if not isinstance(fault, Lost):
        return fault
    return Lost(
        fault.fault,
        place=fault.place,
        mend="start it again, or name another manager; of several, separated by commas, the next "
        "one is asked when one is lost",
    )


def nobody(faults: list[Unreachable]) -> Unreachable:
    """What is said when none of the hosts answers."""
    if len(faults) == 1:
        return faults[0]
    return Lost(
        "no manager answers: " + "; ".join(f"{fault.place}: {fault.fault}" for fault in faults),
        mend="check the hosts that the target names, and that dockerd runs there",
    )


def cause(fault: BaseException) -> str:
    """The innermost reason, without what the engine's library says before it."""
    return innermost(fault).removeprefix("Error while fetching server API version: ")
