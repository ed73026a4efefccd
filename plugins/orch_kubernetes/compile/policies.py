"""Networks and policies as rules between pods, which a network plugin has to enforce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.losses import tell
from orch.compile.view import ListView
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.compile.network import port_number, ports_of
from orch_kubernetes.compile.objects import put_labels
from orch_kubernetes.rules import NETWORK

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope

API = "networking.k8s.io/v1"
BETWEEN = "rules between pods say who reaches whom"
UNENFORCED = "the cluster's network plugin must enforce rules between pods; not all of them do"
TELL_ENFORCED = "turn it on in the cluster, and set the target's enforces_policies to yes"
NOBODY = ""
"""A value that no pod has: its label is never empty."""
STAYS_OPEN = "its routed and published ports stay open to all, or no proxy would reach them"
NOT_OURS = "networks of other applications are not joined: their services are reached by full name"


class PolicyCompiler:
    """Writes the rules of a whole application."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._make, self._app = scope, scope.make, scope.app
        enforced = scope.facts.enforces_policies
        self._told: dict[str, Any] = {
            "outcome": Fidelity.EMULATED if enforced else Fidelity.DEGRADED,
            "reason": BETWEEN if enforced else UNENFORCED,
            "mend": "" if enforced else TELL_ENFORCED,
        }
        self._units = {**scope.app.services, **scope.app.jobs}
        self._open = _open_ports(scope)
        self._guarded = {policy.to.service for policy in scope.app.policies}

    def compile(self) -> None:
        """A rule for each network, for what has none, and for each policy."""
        declared = self._make.app.networks
        for name, view in declared.items():
            if view.value.external:
                self._foreign(view)
            else:
                self._network(name, view)
        if len(declared) and "default" not in self._app.networks and self._members("default"):
            self._rule("default", self._members("default"))
        self._attachments()
        self._openings(everywhere=bool(len(declared)))
        for name in self._units:
            if self._units[name].network_mode == "none":
                self._isolate(name)
        policies = self._make.app.policies
        for index, view in enumerate(policies if isinstance(policies, ListView) else ()):
            self._policy(index, view)

    # -- networks ------------------------------------------------------------------------------

    def _members(self, network: str) -> list[str]:
        return [
            name
            for name, unit in self._units.items()
            if unit.network_mode == "app"
            and (network in unit.networks or (network == "default" and not unit.networks))
        ]

    def _begin(self, id_: str, called: str) -> ResourceBuilder:
        return self._scope.begin(API, "NetworkPolicy", id_, called)

    def _rule(self, name: str, members: list[str]) -> ResourceBuilder:
        said = self._app.networks.get(name)
        called = names.object_name(said.name if said and said.name else f"network-{name}")
        resource = self._begin(f"network/{name}", called)
        open_ones = [one for one in members if one not in self._guarded]
        resource.set("spec.podSelector", self._any_of(open_ones))
        resource.set("spec.policyTypes", ["Ingress"])
        resource.set("spec.ingress", [{"from": [{"podSelector": self._any_of(members)}]}])
        return resource

    def _any_of(self, units: list[str]) -> dict[str, Any]:
        app = {names.APP: names.label_value(self._app.name)}
        values = [names.label_value(name) for name in units] or [NOBODY]
        rule = {"key": names.SERVICE, "operator": "In", "values": values}
        return {"matchLabels": app, "matchExpressions": [rule]}

    def _network(self, name: str, view: View) -> None:
        tell(self._make, view, NETWORK)
        members = self._members(name)
        resource = self._rule(name, members)
        how = self._told
        resource.put("metadata.name", view.name, value=resource.name, **how)
        resource.rate(("spec",), view.here, **how)
        put_labels(resource, ("metadata",), view.labels)
        if any(network.internal for network in self._app.networks.values()):
            self._ways_out(name, members, view)
        elif view.internal.authored:
            resource.rate(("spec", "policyTypes"), view.internal, Fidelity.NATIVE, "")

    def _ways_out(self, name: str, members: list[str], view: View) -> None:
        """Where one network is internal, the others have to say that theirs lead out."""
        resource = self._begin(f"egress/{name}", names.object_name(f"egress-{name}"))
        resource.set("spec.podSelector", self._any_of(members))
        resource.set("spec.policyTypes", ["Egress"])
        inside = [{"to": [{"podSelector": self._any_of(members)}]}, {"ports": self._names()}]
        said = inside if view.value.internal else [{}]
        if view.internal.authored:
            resource.put("spec.egress", view.internal, value=said, **self._told)
        else:
            resource.set("spec.egress", said)

    def _names(self) -> list[dict[str, Any]]:
        """Ports of the pods of name servers: rules look at those, not at their Service's."""
        ports = self._scope.facts.flavour.dns_ports
        return [{"protocol": kind, "port": port} for port in ports for kind in ("UDP", "TCP")]

    def _foreign(self, view: View) -> None:
        self._make.lose(view, NOT_OURS, "write their full names", Consequence.NETWORK)

    def _attachments(self) -> None:
        rules = {one.id: one for one in self._make._resources}  # noqa: SLF001
        for units in (self._make.app.services, self._make.app.jobs):
            for _, unit in units.items():  # noqa: PERF102  (a view)
                for network, attachment in unit.networks.items():
                    said = self._app.networks.get(network)
                    if said is not None and said.external:
                        self._make.lose(attachment.here, NOT_OURS, "write their full names")
                    elif said is not None or network == "default":
                        self._joins(rules.get(f"network/{network}"), attachment)

    def _joins(self, resource: ResourceBuilder | None, attachment: View) -> None:
        if resource is not None:
            path: FieldPath = ("spec", "ingress", 0)
            resource.rate(path, attachment.here, **self._told)

    def _openings(self, *, everywhere: bool) -> None:
        """What is open to the outside stays so, from wherever a proxy asks."""
        for name, ports in self._open.items():
            if everywhere or name in self._guarded:
                resource = self._begin(f"open/{name}", names.object_name(f"open-{name}"))
                resource.set("spec.podSelector", self._any_of([name]))
                resource.set("spec.policyTypes", ["Ingress"])
                said = [{"port": port, "protocol": kind.upper()} for port, kind in sorted(ports)]
                resource.set("spec.ingress", [{"ports": said}])

    def _isolate(self, name: str) -> None:
        units = self._make.app.services if name in self._app.services else self._make.app.jobs
        resource = self._begin(f"isolated/{name}", names.object_name(f"isolated-{name}"))
        resource.set("spec.podSelector", self._any_of([name]))
        mode = units[name].network_mode
        resource.put("spec.policyTypes", mode, value=["Ingress", "Egress"], **self._told)

    # -- policies ------------------------------------------------------------------------------

    def _policy(self, index: int, view: View) -> None:
        policy, how = view.value, self._told
        if policy.to.service in self._open:
            how = {"outcome": Fidelity.DEGRADED, "reason": STAYS_OPEN}
        called = names.object_name(f"policy-{policy.to.service}-{index}")
        resource = self._begin(f"policy/{index}", called)
        to = self._any_of([policy.to.service])
        resource.put("spec.podSelector", view.to.service, value=to, **how)
        resource.set("spec.policyTypes", ["Ingress"])
        resource.set("spec.ingress", [])
        peers = view.from_ if isinstance(view.from_, ListView) else ()
        if not policy.from_:
            resource.rate(("spec", "ingress"), view.from_, **how)
        for number, peer in enumerate(peers):
            path: FieldPath = ("spec", "ingress", 0, "from", number, "podSelector")
            who = self._any_of([peer.value.service])
            resource.put(path, peer.service, value=who, **how)
            self._make.lose(
                peer.port, "rules know the port that is reached, not the one it comes from"
            )
        if policy.to.port is not None:
            self._port(resource, policy.to.service, view, has_peers=bool(policy.from_))

    def _port(
        self, resource: ResourceBuilder, service: str, view: View, *, has_peers: bool
    ) -> None:
        if not has_peers:
            self._make.lose(view.to.port, "nobody may reach it", "", Consequence.COSMETIC)
            return
        number = port_number(self._scope, service, view.value.to.port)
        resource.put(
            ("spec", "ingress", 0, "ports", 0, "port"), view.to.port, value=number, **self._told
        )


def _open_ports(scope: Scope) -> dict[str, set[tuple[int, str]]]:
    """Ports of services that are published, or that a route leads to."""
    found: dict[str, set[tuple[int, str]]] = {}
    for name, service in scope.app.services.items():
        for port in ports_of(service):
            if port.published is not None:
                found.setdefault(name, set()).add((port.target, port.protocol))
    for route in scope.app.routes:
        number = port_number(scope, route.service, route.port)
        if isinstance(number, int):
            found.setdefault(route.service, set()).add((number, "tcp"))
    return found
