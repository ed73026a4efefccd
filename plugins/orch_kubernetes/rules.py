"""What Kubernetes has no words for: why, and what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.compile.losses import Loss
from orch.frozen import FrozenDict
from orch.types import Consequence

if TYPE_CHECKING:
    from collections.abc import Mapping

_AVAILABILITY, _COSMETIC = Consequence.AVAILABILITY, Consequence.COSMETIC
_NETWORK = Consequence.NETWORK
_ADDRESS = Loss("the cluster gives the addresses itself", "use its name")
_BACKOFF = Loss("the kubelet waits 10 s, then twice as long, up to 5 min", "", _COSMETIC)

CONTAINER: Mapping[str, Loss] = FrozenDict(
    {
        "build": Loss(
            "a deploy builds nothing: the image that is named must exist",
            "build it first, and push it where every node can pull it",
            _COSMETIC,
        ),
        "logging": Loss("the kubelet keeps what is printed, alike for all pods", "", _COSMETIC),
        "ulimits": Loss(
            "the container runtime's own bounds hold", "set them in the runtime of the nodes"
        ),
    }
)
POD: Mapping[str, Loss] = FrozenDict(
    {
        "domainname": Loss("the cluster's own domain is used", "write it into extra_hosts"),
        "oom_score_adj": Loss(
            "the kubelet sets it by requests and limits", "set equal requests and limits"
        ),
        "formerly": Loss(
            "the renamed one starts anew, and the earlier one is removed after it",
            "name its volumes, so that both mean the same",
        ),
        "credential_spec.file": Loss("the account is kept by the cluster", "name a config"),
        "credential_spec.registry": Loss("the account is kept by the cluster", "name a config"),
        "networks.*.ipv4_address": _ADDRESS,
        "networks.*.ipv6_address": _ADDRESS,
        "networks.*.priority": Loss("a pod has one network", "", _COSMETIC),
        "networks.*.driver_opts": Loss("a pod has one network, without options of its own"),
        "depends_on.*.restart": Loss(
            "a service is not restarted for another one", "let it connect again by itself"
        ),
    }
)
SERVICE: Mapping[str, Loss] = FrozenDict(
    {
        **POD,
        "autoscale.schedules": Loss(
            "an autoscaler follows measures alone", "change min by a scheduled run of orch"
        ),
        "deploy.restart_policy.delay": _BACKOFF,
        "deploy.restart_policy.max_attempts": Loss("a container is restarted without end"),
        "deploy.restart_policy.window": _BACKOFF,
        "deploy.rollback_config": Loss(
            "a rollback goes at the pace of the version that comes back", "", _AVAILABILITY
        ),
        **{
            f"{kind}.user": Loss("a hook runs as the container's own user")
            for kind in ("post_start.*", "pre_stop.*")
        },
    }
)
JOB: Mapping[str, Loss] = FrozenDict(
    {
        **POD,
        **{
            f"sidecars.*.ports.*.{key}": Loss("a job has no address", "make it a service")
            for key in ("published", "app_protocol", "mode", "host_ip")
        },
        "restart_policy.delay": _BACKOFF,
        "restart_policy.max_attempts": Loss("retries are counted by backoff_limit"),
        "restart_policy.window": _BACKOFF,
    }
)
UNSCHEDULED: Mapping[str, Loss] = FrozenDict(
    {
        key: Loss("it has no schedule", "", _COSMETIC)
        for key in ("time_zone", "concurrency", "starting_deadline", "history")
    }
)
"""What only a job with a schedule has."""
NETWORK: Mapping[str, Loss] = FrozenDict(
    {
        "driver": Loss("all pods have the one network of the cluster", "", _COSMETIC),
        "driver_opts": Loss("all pods have the one network of the cluster"),
        "encrypted": Loss(
            "the cluster's network plugin decides", "turn encryption on in the plugin"
        ),
        "attachable": Loss("a network here is a set of rules between pods", "", _COSMETIC),
        "enable_ipv6": Loss("the cluster decides on families of addresses", "", _NETWORK),
        "ipam": _ADDRESS,
        "external": Loss("a network here is a set of rules between pods", "", _COSMETIC),
    }
)
