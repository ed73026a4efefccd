"""How processes of an app find its services: variables and a hosts file."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orch.spec.container import Port
    from orch_native.agent.addresses import Addresses
    from orch_native.agent.pod import Pod


HOST = "host-gateway"
"""How a spec calls the host itself; a process is on it."""


class Names:
    """The services of each app that this node knows of, with their own stable addresses."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._lock = threading.Lock()
        self._apps: dict[tuple[str, str], dict[str, tuple[Port, ...]]] = {}
        self._aliases: dict[tuple[str, str], dict[str, set[str]]] = {}

    def learn(self, pods: Iterable[Pod]) -> None:
        """Take in the services of these pods, in place of all that was known."""
        apps: dict[tuple[str, str], dict[str, tuple[Port, ...]]] = {}
        aliases: dict[tuple[str, str], dict[str, set[str]]] = {}
        for pod in pods:
            app = (pod.allocation.namespace, pod.allocation.app)
            if pod.is_job or pod.spec.network_mode == "none":
                continue
            apps.setdefault(app, {})[pod.allocation.unit] = pod.ports
            names = aliases.setdefault(app, {}).setdefault(pod.allocation.unit, set())
            names |= {alias for join in pod.spec.networks.values() for alias in join.aliases}
        with self._lock:
            self._apps, self._aliases = apps, aliases

    def _services(self, pod: Pod) -> Mapping[str, tuple[Port, ...]]:
        with self._lock:
            return self._apps.get((pod.allocation.namespace, pod.allocation.app), {})

    def _address(self, pod: Pod, service: str) -> str:
        owner = f"{pod.allocation.namespace}/{pod.allocation.app}/{service}"
        return self._addresses.give(owner)

    def variables(self, pod: Pod) -> dict[str, str]:
        """ORCH_SERVICE_NAME=ADDRESS:PORT for each service, and one more for each named port."""
        found = {}
        for service, ports in self._services(pod).items():
            address, name = self._address(pod, service), _upper(service)
            if ports:
                found[f"ORCH_SERVICE_{name}"] = f"{address}:{ports[0].target}"
            for port in ports:
                if port.name:
                    found[f"ORCH_SERVICE_{name}_{_upper(port.name)}"] = f"{address}:{port.target}"
        return found

    def hosts(self, pod: Pod, own: str) -> str:
        """The hosts file of a task: itself, the services of its app, and what the spec adds."""
        lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        if pod.spec.hostname:
            full = f"{pod.spec.hostname}.{pod.spec.domainname} " if pod.spec.domainname else ""
            lines.append(f"{own} {full}{pod.spec.hostname}")
        app = (pod.allocation.namespace, pod.allocation.app)
        for service in self._services(pod):
            known = sorted(self._aliases.get(app, {}).get(service, ()))
            names = [service, f"{service}.{pod.allocation.app}.internal", *known]
            lines.append(f"{self._address(pod, service)} {' '.join(names)}")
        for name, address in pod.spec.extra_hosts.items():
            lines.append(f"{'127.0.0.1' if address == HOST else address} {name}")
        return "\n".join(lines) + "\n"


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
