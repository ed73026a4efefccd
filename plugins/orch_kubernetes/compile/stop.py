"""The stop of a pod: the time that it gets, and the pause in which it serves on.

A pod that is to end leaves the endpoints at the same moment as it is told so, but every node hears
of that a little later, and sends it requests until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.network import is_published, ports_of
from orch_kubernetes.compile.probes import seconds

if TYPE_CHECKING:
    from orch.compile.view import View
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

PAUSE = 5
"""Seconds until no node sends to a pod any more: the controller of endpoints and kube-proxy gather
changes for up to a second each, and busy ones are some seconds late."""
SLEEP = ("lifecycle", "preStop", "sleep", "seconds")
PAUSED = "{} s come on top, in which a replica serves on until no node sends to it any more"
CUT_OFF = "before 1.30 a replica ends while nodes still send to it, for a second or more"
SLEEP_YOURSELF = f'give a pre_stop, such as [{{command: [sleep, "{PAUSE}"]}}], if the image has it'


def compile_stop(pod: Pod, view: View, *, ends: bool) -> None:
    """Write the grace of a pod; before it, the pause of one that others reach."""
    grace, scope = view.stop_grace_period, pod.scope
    path = (*pod.base, "terminationGracePeriodSeconds")
    pause = 0 if ends else _pause(scope, pod.name)
    if not pause:
        pod.resource.put(path, grace, value=seconds(grace.value))
    elif scope.facts.has("sleep_hook"):
        hook = (*pod.base, "containers", 0, *SLEEP)
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": PAUSED.format(pause)}
        pod.resource.put(path, grace, value=seconds(grace.value) + pause, **told)
        pod.resource.set(hook, pause)
        pod.resource.rate(hook, grace, **told)
    else:
        told = {"outcome": Fidelity.DEGRADED, "reason": CUT_OFF, "mend": SLEEP_YOURSELF}
        told["consequence"] = Consequence.AVAILABILITY
        pod.resource.put(path, grace, value=seconds(grace.value), **told)
        if not grace.authored:
            missing = ("services", "*", "pre_stop")
            scope.make.default(missing, Fidelity.DEGRADED, f"{CUT_OFF}; {SLEEP_YOURSELF}")


def _pause(scope: Scope, name: str) -> int:
    """Seconds that a service serves on; none where nobody reaches it, or it has its own hook.

    Who gives it no time to stop wants it gone at once.
    """
    service = scope.app.services[name]
    if not ports_of(service) or service.pre_stop or not service.stop_grace_period.seconds:
        return 0
    routed = any(route.service == name for route in scope.app.routes)
    outside = routed or is_published(service)
    return max(PAUSE, scope.facts.flavour.deregistration if outside else 0)
