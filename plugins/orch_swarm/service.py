"""A service of the spec as one of Swarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_swarm import names
from orch_swarm.health import NANO, HealthCompiler
from orch_swarm.placement import PlacementCompiler
from orch_swarm.unit import UnitCompiler

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View

IN_LABEL = "kept as a label: every port of a task is open in its networks"
PACE = "this side watches the tasks and fails the deploy"


class ServiceCompiler(UnitCompiler):
    """A service that keeps running."""

    def __init__(self, *args: Any, endpoint_mode: str = "") -> None:
        super().__init__(*args)
        self._default_mode = endpoint_mode

    def compile(self) -> ResourceBuilder:
        """A service has ports, probes and a way to be updated too."""
        super().compile()
        self._ports()
        if self.view.probes is not None:
            ports = self.view.value.ports
            HealthCompiler(self.make, self.resource, ports).compile(self.view.probes)
        return self.resource

    def _mode(self) -> None:
        deploy = self.view.deploy
        self.resource.put("Mode", deploy.mode)
        if deploy.value.mode == "replicated":
            self.resource.put("Replicas", deploy.replicas)
        else:
            self.make.lose(deploy.replicas, "every node has one", "", Consequence.COSMETIC)
        for key, read in deploy.labels.items():
            self.resource.put(("Labels", key), read)
        self._resources(deploy.resources)
        if deploy.placement is not None:
            PlacementCompiler(self.make, self.resource).compile(deploy.placement)
        self._restart(deploy.restart_policy)
        self._roll("UpdateConfig", deploy.update_config)
        self._roll("RollbackConfig", deploy.rollback_config)
        if deploy.update_config is not None:
            self._pace(deploy.update_config)
        self._partition(deploy.on_partition)

    def _partition(self, read: Read) -> None:
        if read.value == "replace":
            told = "nothing is set: Swarm does it always, and the silent node goes on with its own"
            self.make.lose(read, told, "", Consequence.COSMETIC)
        else:
            told = "replicas of a silent node are started elsewhere, and it goes on with its own"
            self.make.lose(read, told, "pin the service to a node")

    def _roll(self, key: str, config: View | None) -> None:
        if config is None:
            return
        for field, name in (
            ("parallelism", "Parallelism"),
            ("order", "Order"),
            ("max_failure_ratio", "MaxFailureRatio"),
            ("failure_action", "FailureAction"),
        ):
            self.resource.put((key, name), config.field(field))
        for field, name in (("delay", "Delay"), ("monitor", "Monitor")):
            self.put((key, name), config.field(field), int(config.field(field).value) * NANO)

    def _pace(self, config: View) -> None:
        deadline = config.progress_deadline
        label = ("Labels", names.DEADLINE)
        told: dict[str, Any] = {"outcome": Fidelity.EMULATED, "reason": PACE}
        self.put(label, deadline, str(deadline.value), **told)
        if config.value.order == "start-first":
            self._start_first(config.order)

    def _start_first(self, order: Read) -> None:
        service = self.view.value
        if any(port.mode == "host" and port.published for port in service.ports):
            self.make.reject(
                order,
                "a replica that starts first can never have the host port of the one it replaces",
                "use order: stop-first, or mode: ingress",
            )
        for mount in service.volumes:
            volume = self.app.volumes.get(mount.source or "") if mount.type == "volume" else None
            if volume is not None and volume.access == "exclusive" and not volume.external:
                self.make.reject(
                    order,
                    f"the volume {mount.source!r} has one writer: the next one can't start first",
                    "use order: stop-first, or access: shared",
                )

    # -- ports ---------------------------------------------------------------------------------

    def _ports(self) -> None:
        mode = self.view.deploy.endpoint_mode
        chosen = mode.value if mode.authored or not self._default_mode else self._default_mode
        self.put(("EndpointSpec", "Mode"), mode, chosen)
        ports = self.view.ports
        if not isinstance(ports, ListView):
            return
        inside = [[p.value.name, p.value.target, p.value.protocol, p.value.mode] for p in ports]
        for port in ports:
            self._port(port, json.dumps(inside), chosen)

    def _port(self, port: View, inside: str, endpoint_mode: str) -> None:
        value = port.value
        label = ("Labels", names.PORTS)
        for field in ("name", "target", "protocol", "mode"):
            read = port.field(field)
            if read is not None:
                self.put(label, read, inside, reason=IN_LABEL)
        if value.host_ip is not None:
            self.make.lose(
                port.host_ip,
                "a published port is open on every address of its nodes",
                "keep it inside, or guard it with a firewall",
                Consequence.SECURITY,
            )
        if value.published is None:
            return
        if value.mode == "ingress" and endpoint_mode == "dnsrr":
            self.make.reject(
                port.published,
                "an ingress port needs a virtual address, and endpoint_mode is dnsrr",
                "use mode: host, or endpoint_mode: vip",
            )
        base = ("EndpointSpec", "Ports", f"{value.published}->{value.target}/{value.protocol}")
        self.resource.put((*base, "PublishedPort"), port.published)
        self.resource.put((*base, "TargetPort"), port.target)
        self.resource.put((*base, "Protocol"), port.protocol)
        self.resource.put((*base, "PublishMode"), port.mode)
