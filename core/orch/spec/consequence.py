"""What the loss of a field touches, so that losses of data and security are never waved through."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from orch.types import Consequence

if TYPE_CHECKING:
    from orch.types import FieldPath

_BY_KEY: dict[str, Consequence] = {
    **dict.fromkeys(("labels", "annotations", "logging", "history", "ttl"), Consequence.COSMETIC),
    **dict.fromkeys(("volumes", "access", "per_replica", "on_partition"), Consequence.DATA),
    **dict.fromkeys(
        (
            "secrets",
            "secret",
            "user",
            "group_add",
            "read_only",
            "cap_add",
            "cap_drop",
            "security_opt",
            "privileged",
            "userns_mode",
            "policies",
            "registries",
            "tls",
            "encrypted",
            "internal",
            "network_mode",
            "credential_spec",
            "mode",
            "uid",
            "gid",
            "runtime",
        ),
        Consequence.SECURITY,
    ),
    **dict.fromkeys(
        (
            "ports",
            "networks",
            "routes",
            "dns",
            "dns_search",
            "dns_opt",
            "extra_hosts",
            "hostname",
            "domainname",
            "endpoint_mode",
        ),
        Consequence.NETWORK,
    ),
}
_EXACT: dict[tuple[str, ...], Consequence] = {
    ("deploy", "mode"): Consequence.AVAILABILITY,
    ("ports", "mode"): Consequence.NETWORK,
    ("volumes", "labels"): Consequence.COSMETIC,
    ("volumes", "create_host_path"): Consequence.AVAILABILITY,
    ("networks", "labels"): Consequence.COSMETIC,
}


@lru_cache(maxsize=1 << 16)
def consequence_of(path: FieldPath) -> Consequence:
    """The class of the nearest key, from the leaf upwards, that has one."""
    keys = [key for key in path if isinstance(key, str)]
    for last in range(len(keys), 0, -1):
        for first in range(max(last - 3, 0), last):
            pair = (keys[first], keys[last - 1])
            if pair in _EXACT:
                return _EXACT[pair]
        found = _BY_KEY.get(keys[last - 1])
        if found is not None and not _is_name(keys, last - 1):
            return found
    return Consequence.AVAILABILITY


def _is_name(keys: list[str], index: int) -> bool:
    """Whether this key was chosen by the author (`services.user` is a service named user)."""
    return index == 1 and keys[0] in ("services", "jobs", "volumes", "networks", "secrets")
