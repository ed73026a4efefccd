"""What goes wrong between client and server, as `orch.errors`: translated here, nowhere else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orch import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx

_ERRORS: dict[str, type[errors.OrchError]] = {
    "usage": errors.UsageFault,
    "refused": errors.Refused,
    "conflict": errors.Conflict,
    "locked": errors.Locked,
    "denied": errors.Denied,
    "transient": errors.Transient,
    "unreachable": errors.Unreachable,
    "timed-out": errors.TimedOut,
}


@contextmanager
def translated(socket: Path) -> Iterator[None]:
    """Turn every fault of the transport into one of ours."""
    import httpx

    try:
        yield
    except httpx.ConnectError as fault:
        raise unreachable(socket, fault) from None
    except httpx.TimeoutException:
        raise errors.Transient(
            "the native server did not answer in time", place=str(socket), mend="try again"
        ) from None
    except httpx.TransportError as fault:
        raise errors.Transient(
            f"the connection to the native server broke: {fault}",
            place=str(socket),
            mend="run the same command again",
        ) from None


def unreachable(socket: Path, fault: BaseException) -> errors.Unreachable:
    """Why nobody answers at this socket, or that this user may not ask."""
    if "ermission denied" in str(fault):
        return errors.Denied(
            "this user may not use the native server's socket",
            place=str(socket),
            mend="run as the user who started it, or choose your own state with ORCH_STATE",
        )
    return errors.Unreachable(
        f"the native server does not answer: {_plain(fault)}",
        place=str(socket),
        mend="start it with `orch server`; its daemon.log tells why it ended",
    )


def _plain(fault: BaseException) -> str:
    """The reason without the number that the system gives it: `[Errno 111] Connection refused`."""
    text = str(fault).strip() or type(fault).__name__
    return text.partition("] ")[2] or text if text.startswith("[Errno") else text


def raise_for(answer: httpx.Response) -> None:
    """Raise what an answer tells, when it tells a fault."""
    if not answer.is_error:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = {"kind": "fault", "detail": answer.text[:200] or f"HTTP {answer.status_code}"}
    raise problem_fault(problem)


def problem_fault(problem: Mapping[str, Any]) -> errors.OrchError:
    """A problem that the server told, as the error that the caller acts upon."""
    kind = _ERRORS.get(str(problem.get("kind")), errors.OrchError)
    return kind(
        str(problem.get("detail", "")),
        place=str(problem.get("place", "")),
        mend=str(problem.get("mend", "")),
    )
