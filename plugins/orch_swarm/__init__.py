"""The Docker Swarm backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.backend.contract import BackendFactory
from orch.backend.hooks import hook
from orch.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_swarm.backend import SwarmBackend

OPTIONS = FrozenDict(
    {
        "host": "Address of a manager, such as ssh://ops@m1 or tcp://m1:2376; by default what "
        "docker itself would use.",
        "context": "Name of a docker context, used when there is no host.",
        "tls": "Folder with ca.pem, cert.pem and key.pem for a tcp host.",
        "endpoint_mode": "vip or dnsrr for services that do not say it.",
        "resolve_image": "always pins digests through the registry, never leaves tags as they are.",
        "scheduler_image": "Image with python3 (3.11 or later) and time zones that starts jobs "
        "by the clock; python:3.13-alpine by default.",
        "routes_image": "Image with Traefik 3 that answers for routes; traefik:v3 by default.",
        "routes_table_image": "Image with busybox that hands the routes to it; busybox:1.37 by "
        "default.",
        "routes_mode": "ingress opens the ports of routes on every node, host where the proxy runs "
        "and with clients' own addresses; host by default where endpoint_mode is dnsrr.",
        "routes_http": "Port of routes without TLS; 80 by default.",
        "routes_https": "Port of routes with TLS; 443 by default.",
        "socket": "Socket of the engines on managers; /var/run/docker.sock by default.",
    }
)


def create(options: Mapping[str, str]) -> SwarmBackend:
    """A Swarm backend; the manager is spoken to only when it is needed."""
    from orch_swarm.backend import SwarmBackend

    return SwarmBackend(options)


@hook
def orch_register_backend() -> BackendFactory:
    """Docker Swarm, through one of its managers."""
    return BackendFactory(
        "swarm",
        "Docker Swarm: services and jobs over the hosts of a swarm",
        create,
        requires=("docker",),
        extra="swarm",
        options=OPTIONS,
    )
