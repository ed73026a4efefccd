"""What has no counterpart in the spec: why, what follows from it, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.account import Loss
from orch.types import Consequence

if TYPE_CHECKING:
    from orch.types import FieldPath

_C = Consequence


_UNKNOWN = Loss("the spec has nothing that holds it", None, "see `orch explain` for what there is")
_DEVELOP = Loss("it serves development on one's own machine", _C.COSMETIC)
_BUILDER = Loss(
    "the build is described by context, dockerfile, target, args and platforms alone",
    _C.COSMETIC,
    "build and push the image beforehand, and name it",
)
_TUNING = Loss(
    "it is a setting of one host's kernel scheduler",
    _C.AVAILABILITY,
    "use deploy.resources, or the platform's overrides",
)
_MODEL = Loss(
    "models are run by Docker's own model runner",
    _C.AVAILABILITY,
    "run a model server as a service and set its address as a variable",
)
_HOOK = Loss("a hook has the container's privileges", _C.AVAILABILITY)
_ADDRESS = Loss(
    "the platform gives out addresses and interfaces", _C.NETWORK, "reach services by name"
)
_LOSSES: dict[tuple[str, ...], Loss] = {
    ("version",): Loss(
        "the format's version has had no effect since 2020", _C.COSMETIC, "remove it"
    ),
    ("models",): _MODEL,
    ("services", "models"): _MODEL,
    ("services", "develop"): _DEVELOP,
    ("services", "attach"): Loss("it is about the terminal of `docker compose up`", _C.COSMETIC),
    ("services", "build"): _BUILDER,
    ("services", "build", "dockerfile_inline"): Loss(
        "a Dockerfile can't be held in the spec",
        _C.AVAILABILITY,
        "write it to a file and name it as dockerfile",
    ),
    ("services", "build", "additional_contexts"): Loss(
        "the build has one context", _C.AVAILABILITY, "build and push the image beforehand"
    ),
    ("services", "build", "secrets"): Loss(
        "secrets of a build are not passed on",
        _C.AVAILABILITY,
        "build and push the image beforehand",
    ),
    ("services", "blkio_config"): _TUNING,
    ("services", "cgroup"): Loss("the platform chooses the cgroup namespace", _C.AVAILABILITY),
    ("services", "cgroup_parent"): Loss("the platform chooses the cgroup", _C.AVAILABILITY),
    ("services", "cpu_percent"): _TUNING,
    ("services", "cpu_shares"): Loss(
        "a relative weight means nothing beyond one host",
        _C.AVAILABILITY,
        "reserve processors with deploy.resources.reservations.cpus",
    ),
    ("services", "cpu_quota"): _TUNING,
    ("services", "cpu_period"): _TUNING,
    ("services", "cpu_rt_period"): _TUNING,
    ("services", "cpu_rt_runtime"): _TUNING,
    ("services", "cpuset"): _TUNING,
    ("services", "mem_swappiness"): _TUNING,
    ("services", "memswap_limit"): _TUNING,
    ("services", "oom_kill_disable"): Loss(
        "a platform needs the kernel to end what is out of bounds",
        _C.AVAILABILITY,
        "set a memory limit that is large enough",
    ),
    ("services", "deploy"): Loss(
        "a job has no updates, labels or address of its own", _C.AVAILABILITY, "remove it"
    ),
    ("services", "device_cgroup_rules"): Loss(
        "access is given by device, not by rule", _C.AVAILABILITY, "list them under devices:"
    ),
    ("services", "external_links"): Loss(
        "containers outside the application have no name in it",
        _C.NETWORK,
        "join an external network, or set the address as a variable",
    ),
    ("services", "isolation"): Loss("it is about Windows hosts", _C.SECURITY),
    ("services", "mac_address"): _ADDRESS,
    ("services", "networks", "mac_address"): _ADDRESS,
    ("services", "networks", "link_local_ips"): _ADDRESS,
    ("services", "networks", "interface_name"): _ADDRESS,
    ("services", "networks", "gw_priority"): _ADDRESS,
    ("services", "pull_refresh_after"): Loss(
        "images are not pulled again by age", _C.COSMETIC, "pin the image by digest"
    ),
    ("services", "use_api_socket"): Loss(
        "the engine's socket is not handed to containers", _C.AVAILABILITY
    ),
    ("services", "uts"): Loss("the host's name is not shared", _C.AVAILABILITY),
    ("services", "volumes", "consistency"): Loss("it has no effect on Linux", _C.COSMETIC),
    ("services", "volumes", "labels"): Loss(
        "labels stand at the volume itself", _C.COSMETIC, "move them to the top-level volume"
    ),
    ("services", "volumes", "selinux"): Loss(
        "files are not relabelled for SELinux", _C.AVAILABILITY, "label them on the host with chcon"
    ),
    ("services", "volumes", "recursive"): Loss(
        "mounts below the path are mounted too", _C.SECURITY
    ),
    ("services", "volumes", "option"): Loss("this option is not known", _C.AVAILABILITY),
    ("services", "post_start", "privileged"): _HOOK,
    ("services", "pre_stop", "privileged"): _HOOK,
    ("networks", "enable_ipv4"): Loss("IPv4 is always given", _C.NETWORK),
    ("networks", "ipam", "driver"): Loss("the platform gives out addresses", _C.NETWORK),
    ("networks", "ipam", "options"): Loss("the platform gives out addresses", _C.NETWORK),
    ("networks", "ipam", "aux_addresses"): _ADDRESS,
    ("configs", "template_driver"): Loss(
        "contents are not templates", _C.AVAILABILITY, "write the final text"
    ),
    ("secrets", "template_driver"): Loss(
        "contents are not templates", _C.AVAILABILITY, "store the final text"
    ),
    ("secrets", "driver"): Loss(
        "the driver is a plugin of one engine",
        _C.SECURITY,
        "name a secret provider, or write external: true",
    ),
}
_LOSSES["secrets", "driver_opts"] = _LOSSES["secrets", "driver"]


def loss_of(path: FieldPath) -> Loss:
    """The loss of a leaf: that of its own key, else of the nearest key above."""
    keys = [key for key in path if isinstance(key, str)]
    named = [keys[0], *keys[2:]] if keys and keys[0] in _SECTIONS else keys
    for length in range(len(named), 0, -1):
        for candidate in (tuple(named[:length]), (named[0], *named[1:2], named[length - 1])):
            found = _LOSSES.get(candidate)
            if found is not None:
                return found
    if any(key.startswith("x-") for key in keys):
        return Loss("extensions are carried where the spec has the same part", _C.COSMETIC)
    return _UNKNOWN


_SECTIONS = frozenset(("services", "networks", "volumes", "configs", "secrets", "models"))
