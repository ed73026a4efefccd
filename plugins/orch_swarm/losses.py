"""What Swarm has no words for: lost or refused, why, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.compile.view import ListView, MapView, Node, View
from orch.frozen import FrozenDict
from orch.types import Consequence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orch.compile.builder import ManifestBuilder
    from orch.compile.view import Read

_AVAILABILITY, _COSMETIC = Consequence.AVAILABILITY, Consequence.COSMETIC
_NETWORK, _SECURITY = Consequence.NETWORK, Consequence.SECURITY


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a field has no effect; one for which `refuses` holds stops the deploy."""

    reason: str
    mend: str = ""
    consequence: Consequence | None = None
    refuses: Callable[[Any], bool] | None = None


def _never(_value: Any) -> bool:
    return False


def _always(_value: Any) -> bool:
    return True


def _refused(reason: str, mend: str, when: Callable[[Any], bool] = bool) -> Loss:
    return Loss(reason, mend, _COSMETIC, when)


_PLACEMENT: Mapping[str, Loss] = {
    "affinity": Loss("Swarm places no replica by where others run", "constrain both to one label"),
    "anti_affinity": Loss(
        "Swarm places no replica by where others run",
        "keep replicas apart with max_replicas_per_node: 1",
        _AVAILABILITY,
    ),
    "tolerations": Loss("nodes of a swarm have no taints", "", _COSMETIC),
}
_RESOURCES: Mapping[str, Loss] = {
    "limits.ephemeral_storage": Loss("Swarm does not bound what a replica writes"),
    "limits.swap": Loss("engines before API 1.52 set no swap for services"),
    "reservations.ephemeral_storage": Loss("Swarm does not count disk when it places a replica"),
    "reservations.devices.*.driver": Loss("a generic resource has no driver", "", _COSMETIC),
    "reservations.devices.*.options": Loss("a generic resource has no options", "", _COSMETIC),
}
_EVICTION = Loss("Swarm has no priorities: what comes first is placed first")
POD: Mapping[str, Loss] = FrozenDict(
    {
        "build": Loss(
            "a deploy builds nothing: the image that is named must exist",
            "build it first, and push it where every node can pull it",
            _COSMETIC,
        ),
        "pull_policy": Loss(
            "a node pulls what it does not have; images are pinned by digest", "", _COSMETIC
        ),
        "privileged": _refused(
            "Swarm runs nothing privileged", "add the capabilities it needs with cap_add"
        ),
        "devices": _refused("Swarm hands no devices to services", "run it on the host itself"),
        "pid": _refused("Swarm shares no process namespace", "run it on the host itself"),
        "userns_mode": _refused("Swarm shares no user namespace", "remove it"),
        "ipc": _refused(
            "Swarm shares no IPC namespace", "remove it", lambda value: value != "private"
        ),
        "runtime": _refused(
            "Swarm chooses no runtime", "set the default runtime of the engines", _always
        ),
        "pre_start": _refused(
            "Swarm runs one container a task",
            "make it a job, and let this depend on it: service_completed_successfully",
        ),
        "sidecars": _refused(
            "Swarm runs one container a task", "make it a service of its own, on the same network"
        ),
        "domainname": Loss("services have no domain name", "write it into hostname", _NETWORK),
        "formerly": Loss(
            "the renamed one starts anew, and the earlier one is removed after it",
            "name its volumes, so that both mean the same",
        ),
        "networks.*.ipv4_address": Loss("Swarm gives the addresses itself", "use its name"),
        "networks.*.ipv6_address": Loss("Swarm gives the addresses itself", "use its name"),
        "networks.*.priority": Loss("a task joins its networks at once", "", _COSMETIC),
        **{f"resources.{key}": loss for key, loss in _RESOURCES.items()},
    }
)
SERVICE: Mapping[str, Loss] = FrozenDict(
    {
        **POD,
        "autoscale": Loss(
            "the number of replicas does not follow the load",
            "set deploy.replicas, or run: orch scale SERVICE=N",
        ),
        "post_start": Loss("Swarm runs no commands beside the main one", "start it in the image"),
        "pre_stop": Loss("Swarm runs no commands beside the main one", "heed the stop signal"),
        "ports.*.app_protocol": Loss(
            "connections are balanced as they come, whatever is spoken", "", _COSMETIC
        ),
        "deploy.ordered": Loss("replicas start and stop in no order", "set parallelism: 1"),
        "deploy.disruption": Loss("a drained node is emptied at once", "drain nodes one by one"),
        "deploy.priority": _EVICTION,
        "deploy.update_config.canary": Loss(
            "Swarm has no canaries", "update with parallelism: 1 and a longer monitor"
        ),
        "deploy.update_config.promote": Loss("Swarm has no canaries"),
        **{f"deploy.resources.{key}": loss for key, loss in _RESOURCES.items()},
        **{f"deploy.placement.{key}": loss for key, loss in _PLACEMENT.items()},
    }
)
_NO_CLOCK = "it has no schedule"
UNSCHEDULED: Mapping[str, Loss] = FrozenDict(
    {
        **{
            key: Loss(_NO_CLOCK, "", _COSMETIC)
            for key in ("time_zone", "concurrency", "starting_deadline")
        },
        "history": Loss("the swarm's own task history says how many runs are kept", "", _COSMETIC),
        "ttl": Loss("finished tasks stay until the job is removed", "", _COSMETIC),
    }
)
"""What only a job with a schedule has."""
JOB: Mapping[str, Loss] = FrozenDict(
    {
        **POD,
        "priority": _EVICTION,
        **{f"placement.{key}": loss for key, loss in _PLACEMENT.items()},
    }
)
VOLUME: Mapping[str, Loss] = FrozenDict(
    {
        "size": Loss(
            "nothing bounds it: a volume may fill the disk", "say it in driver_opts", _AVAILABILITY
        ),
        "per_replica": _refused(
            "replicas move between nodes, and local volumes do not", "write a service for each"
        ),
    }
)
ROUTE: Mapping[str, Loss] = FrozenDict(
    {
        "tls.certificate": Loss(
            "a swarm holds no certificates by identifier: the route is left out",
            "give cert and key as secrets, or acme: true",
            _NETWORK,
        )
    }
)
_POLICY = Loss(
    "services of one network reach each other freely",
    "put those that may talk into a network of their own",
    _SECURITY,
)
POLICY: Mapping[str, Loss] = FrozenDict({"to": _POLICY, "from_": _POLICY})


def tell(make: ManifestBuilder, view: View, losses: Mapping[str, Loss]) -> None:
    """Account for every field of a view that the table names and the author wrote."""
    for pattern, loss in losses.items():
        for read in _found(view, pattern.split(".")):
            if loss.refuses is not None and loss.refuses(read.value):
                make.reject(read, loss.reason, loss.mend)
            else:
                make.lose(read, loss.reason, loss.mend, loss.consequence)


def _found(part: Any, keys: Sequence[str]) -> Iterator[Read | Node]:
    if part is None:
        return
    if not keys:
        yield part
    elif isinstance(part, Node):
        for child in _children(part, keys[0]):
            yield from _found(child, keys[1:])


def _children(part: Node, key: str) -> Iterator[Any]:
    if isinstance(part, View):
        if key in part.value.model_fields_set:
            yield part.field(key)
    elif isinstance(part, MapView):
        yield from (child for _, child in part.items())
    elif isinstance(part, ListView):
        yield from part
