"""Which pods will never run, whatever time they are given: told long before a deadline passes."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orch_kubernetes.watch.health import is_going, statuses, template_of, why_not

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Row = dict[str, Any]
_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""No name gets valid, and no image is fetched where that is forbidden."""
_PULLS = frozenset({"ErrImagePull", "ImagePullBackOff"})
PULL_SECONDS = 45.0
"""By then a kubelet has tried three times: after 0, 10 and 30 s."""
_FINAL = re.compile(
    r"not found|manifest unknown|does not exist|unauthorized|denied|forbidden"
    r"|no match for platform",
    re.IGNORECASE,
)
"""What a registry says that has answered: a network that is down may come back, and a full disk."""
_STARTS = frozenset({"StartError", "ContainerCannotRun"})
STARTS = 3
"""How often a program that is not there, or can't be run, is started in vain."""
_RUN = ("image", "command", "args")


@dataclass
class Hopes:
    """Looks at the pods of one workload again and again. Times are by time.monotonic()."""

    _began: dict[str, float] = field(default_factory=dict)
    _final: set[str] = field(default_factory=set)

    def given_up(self, row: Row, pods: Iterable[Row]) -> str:
        """Why no waiting helps, empty while it may. Pods of another template tell nothing."""
        wanted = _containers(template_of(row).get("spec") or {})
        for pod in pods:
            if is_going(pod):
                continue
            own = _containers(pod.get("spec") or {})
            for one in statuses(pod):
                name = str(one["name"])
                if _runs(own, name) == _runs(wanted, name) and self._is_over(pod, one):
                    return why_not(pod)
        return ""

    def _is_over(self, pod: Row, one: Row) -> bool:
        key = f"{pod['metadata'].get('uid')}/{one['name']}"
        waiting = (one.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason not in _PULLS:
            self._began.pop(key, None)
            return reason in _NEVER or _can_not_start(one)
        began = self._began.setdefault(key, time.monotonic())
        if _FINAL.search(str(waiting.get("message") or "")):
            self._final.add(key)
        return key in self._final and time.monotonic() - began >= PULL_SECONDS


def _containers(spec: Mapping[str, Any]) -> dict[str, Row]:
    return {str(one["name"]): one for one in _all(spec)}


def _all(spec: Mapping[str, Any]) -> Iterator[Row]:
    for kind in ("initContainers", "containers"):
        yield from spec.get(kind) or ()


def _runs(containers: Mapping[str, Row], name: str) -> tuple[Any, ...]:
    return tuple(containers.get(name, {}).get(key) for key in _RUN)


def _can_not_start(one: Row) -> bool:
    ended = [(one.get(key) or {}).get("terminated") or {} for key in ("state", "lastState")]
    failed = any(state.get("reason") in _STARTS for state in ended)
    return failed and int(one.get("restartCount") or 0) >= STARTS
