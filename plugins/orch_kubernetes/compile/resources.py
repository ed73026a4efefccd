"""What a container needs and may use: quantities of cpu, memory, scratch space and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.spec.units import Bytes
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

VENDORS = {
    "nvidia": "nvidia.com",
    "amd": "amd.com",
    "intel": "gpu.intel.com",
    "gpu.intel.com": "gpu.intel.com",
}
ADVERTISED = "nodes must advertise it as an extended resource, by a device plugin"
KUBELET_PIDS = "the kubelet bounds processes, alike for all pods of a node"
KUBELET_SWAP = "the kubelet decides on swap, for all pods of a node"
_EXTRAS = {"gpu", "compute", "utility", "graphics", "video", "display", "compat32"}
"""What a driver offers beside the device that is counted."""
_QUANTITIES = {"cpus": "cpu", "memory": "memory", "ephemeral_storage": "ephemeral-storage"}


def millis(cpus: int) -> str:
    """A share of processors as a quantity: `1500m`, or `2`."""
    return str(cpus // 1000) if cpus % 1000 == 0 else f"{cpus}m"


class ResourceCompiler:
    """Writes the resources of one container."""

    def __init__(self, scope: Scope, pod: Pod, path: FieldPath) -> None:
        self._scope, self._pod, self._resource = scope, pod, pod.resource
        self._path = (*path, "resources")

    def compile(self, resources: View | None) -> None:
        """Limits and reservations."""
        if resources is None:
            return
        for bound, key in ((resources.limits, "limits"), (resources.reservations, "requests")):
            if bound is not None:
                self._amounts(bound, key)
        if resources.limits is not None:
            lose = self._scope.make.lose
            lose(resources.limits.pids, KUBELET_PIDS, "set podPidsLimit on the nodes")
            lose(resources.limits.swap, KUBELET_SWAP, "leave it out", Consequence.COSMETIC)
        if resources.reservations is not None:
            self._extended(resources.reservations)

    def _amounts(self, bound: View, key: str) -> None:
        for field, name in _QUANTITIES.items():
            read = bound.field(field)
            if read is None:
                continue
            amount = int(read.value)
            how: dict[str, Any] = {}
            least = self._scope.facts.flavour.minimum.get(field, 0)
            if amount < least:
                said, raised = self._said(field, amount), self._said(field, least)
                how = {
                    "outcome": Fidelity.DEGRADED,
                    "reason": f"{self._scope.facts.flavour.title} gives no less than {raised}; "
                    f"{said} was asked for",
                }
                amount = least
            value = self._said(field, amount)
            self._resource.put((*self._path, key, name), read, value=value, **how)

    @staticmethod
    def _said(field: str, amount: int) -> str:
        return millis(amount) if field == "cpus" else str(Bytes(amount))

    def _extended(self, reservations: View) -> None:
        told: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": ADVERTISED}
        for kind, read in reservations.generic.items():
            self._scope.refuse("gpu", read)
            name = kind if "/" in kind else f"orch/{kind}"
            self._resource.put((*self._path, "limits", name), read, value=str(read.value), **told)
        for device in reservations.devices if reservations.value.devices else ():
            self._device(device)

    def _device(self, device: View) -> None:
        value, make = device.value, self._scope.make
        if self._scope.refuse("gpu", device):
            return
        vendor = VENDORS.get(value.driver or "nvidia", value.driver)
        kinds = value.capabilities or ("gpu",)
        kind = "gpu" if "gpu" in kinds else kinds[0]
        name = kind if "/" in kind else f"{vendor}/{kind}"
        path = (*self._path, "limits", name)
        if value.count == "all":
            make.reject(device.field("count"), "a pod asks for a number of devices", "say how many")
            return
        if not _EXTRAS.issuperset(set(kinds) - {kind}):
            make.reject(device.field("capabilities"), "a device plugin counts one kind", "name one")
            return
        amount = len(value.device_ids) or value.count
        amount += int(self._standing(name))
        put, how = self._resource.put, self._advertised()
        put(path, device.field("capabilities"), device.driver, value=str(amount), **how)
        if device.value.device_ids:
            make.lose(device.field("count"), "the devices are named", "", Consequence.COSMETIC)
        else:
            put(path, device.field("count"), value=str(amount), **how)
        if device.device_ids.authored:
            make.lose(
                device.device_ids,
                "the device plugin chooses which; their number is asked for",
                "constrain it to the node that has them",
            )
        if value.options:
            make.lose(device.options, "a device plugin takes no options", "", Consequence.COSMETIC)

    def _advertised(self) -> dict[str, Any]:
        """How a device is had: nodes tell of theirs, or are made for a label of its kind."""
        told: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": ADVERTISED}
        label = self._scope.facts.flavour.device_label
        if not label or any(label in text for text in self._constraints()):
            return told
        told["reason"] = f"nodes that have it are made for pods that name its kind by {label}"
        told["mend"] = f"add the constraint node.labels.{label} == KIND"
        return told

    def _constraints(self) -> tuple[str, ...]:
        app, name = self._scope.app, self._pod.name
        unit = app.services.get(name)
        placement = unit.deploy.placement if unit is not None else app.jobs[name].placement
        return placement.constraints if placement is not None else ()

    def _standing(self, name: str) -> str:
        part: Any = self._resource.body
        for key in (*self._path, "limits", name):
            part = part.get(key, {}) if isinstance(part, dict) else part[key]
        return part or "0"
