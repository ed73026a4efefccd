"""How workloads and their pods fare, judged from what the cluster notes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.kinds import TEMPLATES, part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = dict[str, Any]
_STUCK = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "CrashLoopBackOff",
    }
)
"""Reasons of a waiting container that no further waiting mends by itself."""
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Sight:
    """How far a workload is. `seen` says that its controller knows what was written last.

    `arrived` says that all replicas are as wanted and available, `failed` why the controller
    gave up.
    """

    wanted: int
    ready: int
    updated: int
    seen: bool
    arrived: bool
    failed: str = ""
    left: int = 0


def sight_of(row: Row) -> Sight:
    """How far a workload is, by its own status."""
    status = row.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= int(row["metadata"].get("generation") or 0)
    return _BY_KIND[row["kind"]](row, row.get("spec") or {}, status, seen)


def _deployment(row: Row, spec: Row, status: Row, seen: bool) -> Sight:  # noqa: FBT001
    wanted = _size(spec)
    updated, there = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    available = int(status.get("availableReplicas", 0))
    arrived = seen and updated >= wanted and there <= updated and available >= wanted
    progressing = condition(row, "Progressing")
    gave_up = progressing.get("reason") == DEADLINE_EXCEEDED and seen
    gave_up = gave_up and str(progressing.get("lastUpdateTime", "9")) > _written(row)
    failed = "" if arrived or not gave_up else str(progressing.get("message") or DEADLINE_EXCEEDED)
    ready = int(status.get("readyReplicas", 0))
    return Sight(wanted, ready, updated, seen, arrived, failed, there - updated)


def _written(row: Row) -> str:
    """When we changed an object last: what was noted before tells nothing of that change."""
    entries = row["metadata"].get("managedFields") or ()
    ours = (e for e in entries if str(e.get("manager", "")).startswith("orch"))
    return max((str(entry.get("time", "")) for entry in ours), default="")


def _stateful(_row: Row, spec: Row, status: Row, seen: bool) -> Sight:  # noqa: FBT001
    wanted, ready = _size(spec), int(status.get("readyReplicas", 0))
    same = status.get("currentRevision") == status.get("updateRevision")
    updated = int(status.get("currentReplicas" if same else "updatedReplicas", 0))
    available = int(status.get("availableReplicas", ready))
    there = int(status.get("replicas", 0))
    arrived = seen and updated >= wanted and available >= wanted and there <= wanted
    return Sight(wanted, ready, updated, seen, arrived, left=there - updated)


def _daemon(_row: Row, _spec: Row, status: Row, seen: bool) -> Sight:  # noqa: FBT001
    wanted = status.get("desiredNumberScheduled", 0)
    updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    arrived = seen and updated >= wanted and status.get("numberAvailable", 0) >= wanted
    return Sight(wanted, ready, updated, seen, arrived, left=wanted - updated)


def _job(row: Row, spec: Row, status: Row, _seen: bool) -> Sight:  # noqa: FBT001
    wanted, done = int(spec.get("completions") or 1), int(status.get("succeeded") or 0)
    failed = condition(row, "Failed")
    said = f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}".rstrip(": ")
    gave_up = said if failed.get("status") == "True" else ""
    complete = condition(row, "Complete").get("status") == "True" or bool(spec.get("suspend"))
    started = done + int(status.get("active") or 0)
    return Sight(wanted, done, started, seen=True, arrived=complete, failed=gave_up)


def _cron(_row: Row, _spec: Row, _status: Row, _seen: bool) -> Sight:  # noqa: FBT001
    return Sight(0, 0, 0, seen=True, arrived=True)


_BY_KIND = {
    "Deployment": _deployment,
    "StatefulSet": _stateful,
    "DaemonSet": _daemon,
    "Job": _job,
    "CronJob": _cron,
}


def _size(spec: Row) -> int:
    size = spec.get("replicas")
    return 1 if size is None else int(size)


def condition(row: Row, type_: str) -> Row:
    """A condition of an object by its type, empty when it is not there."""
    held: list[Row] = (row.get("status") or {}).get("conditions") or []
    return next((one for one in held if one.get("type") == type_), {})


# -- pods ------------------------------------------------------------------------------------------


def pods_of(row: Row, pods: Iterable[Row]) -> list[Row]:
    """The pods of a workload. Those of a job are known by their owner, as runs share labels."""
    if row["kind"] == "Job":
        return [pod for pod in pods if row["metadata"].get("uid") in _owners(pod)]
    wanted = part(row, ("spec", "selector", "matchLabels"))
    return [pod for pod in pods if wanted and wanted.items() <= labels_of(pod).items()]


def labels_of(row: Row) -> dict[str, str]:
    """An object's labels."""
    return row["metadata"].get("labels") or {}


def _owners(row: Row) -> set[str]:
    return {str(owner.get("uid")) for owner in row["metadata"].get("ownerReferences") or ()}


def is_owned_by(row: Row, owner: Row) -> bool:
    """Whether an object belongs to another, as the pods of a job do."""
    return owner["metadata"].get("uid") in _owners(row)


def is_going(pod: Row) -> bool:
    """Whether a pod was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Row) -> bool:
    """Whether a pod serves."""
    return not is_going(pod) and condition(pod, "Ready").get("status") == "True"


def statuses(pod: Row) -> Iterator[Row]:
    """States of all containers of a pod."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def why_not(pod: Row) -> str:
    """Why a pod does not run as it should, in the cluster's own words; empty when it does.

    It quotes nothing that the pod itself printed.
    """
    status = pod.get("status") or {}
    if is_going(pod) or status.get("phase") == "Succeeded" or is_ready(pod):
        return ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _cut(f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}")
    told = [said for one in statuses(pod) if (said := _container(one))]
    if told:
        return _cut("; ".join(told))
    if status.get("phase") == "Failed":
        return _cut(f"{status.get('reason', 'Failed')}: {status.get('message', '')}".rstrip(": "))
    ready = condition(pod, "Ready")
    return _cut(str(ready.get("message") or "")) if ready.get("status") == "False" else ""


def _container(one: Row) -> str:
    state = one.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (one.get("lastState") or {}).get("terminated") or {}
    if waiting.get("reason") in _STUCK:
        said = f"{one['name']}: {waiting['reason']}"
        message = str(waiting.get("message") or "")
        if waiting["reason"] == "CrashLoopBackOff" and last:
            message = _ended(last)
        return f"{said}: {message}" if message else said
    if ended and ended.get("exitCode"):
        return f"{one['name']}: {_ended(ended)}"
    if not one.get("ready") and last.get("exitCode") and "running" in state:
        return f"{one['name']}: {_ended(last)}, and runs again"
    return ""


def _ended(state: Row) -> str:
    reason = state.get("reason")
    told = f" ({reason})" if reason not in (None, "Error", "Completed") else ""
    return f"it ended with code {state.get('exitCode')}{told}"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def is_stuck(pod: Row) -> bool:
    """Whether a pod will not get ready by waiting any longer."""
    return not is_going(pod) and any(
        ((one.get("state") or {}).get("waiting") or {}).get("reason") in _STUCK
        for one in statuses(pod)
    )


def reasons(pods: Sequence[Row]) -> str:
    """Why pods do not run, each cause once, with how many it holds back."""
    told: dict[str, int] = {}
    for pod in pods:
        said = why_not(pod)
        if said:
            told[said] = told.get(said, 0) + 1
    return "; ".join(f"{said} ({n} pods)" if n > 1 else said for said, n in told.items())


def hash_of(pod: Row) -> str:
    """Which version of its template a pod was made from."""
    labels = labels_of(pod)
    return labels.get("controller-revision-hash") or labels.get("pod-template-hash", "")


# -- workloads -------------------------------------------------------------------------------------


def trouble_of(row: Row, pods: Sequence[Row] | None) -> str:
    """Why a workload will not get to where it should by itself; empty when it may yet.

    Without pods, any text says that pods have to be looked at.
    """
    sight = sight_of(row)
    if sight.arrived:
        return ""
    if pods is None:
        return sight.failed or "it has not arrived"
    own = pods_of(row, pods)
    if sight.failed:
        why = reasons(own)
        said = _cut(sight.failed).rstrip(".")
        return f"{said} ({why})" if why else said
    if row["kind"] in ("StatefulSet", "DaemonSet") and any(is_stuck(pod) for pod in own):
        return reasons(own)
    return ""


def template_of(row: Row) -> Row:
    """The template of a workload's pods."""
    found: Row = part(row, TEMPLATES.get(row["kind"], ("spec", "template")))
    return found


def unit_of(row: Row) -> tuple[str, str]:
    """A workload's noun and name in the spec, by its id."""
    noun, _, name = marks.annotation(row, marks.ID).partition("/")
    return noun, name or marks.label(row, names.SERVICE)
