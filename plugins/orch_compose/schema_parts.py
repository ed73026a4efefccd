"""The Compose specification as data: scalars, and the parts that services are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch_compose.scalars import duration, flag, integer, mode, number, size, text_of
from orch_compose.shape import Either, Free, Keys, Many, Named, Scalar, Shape

if TYPE_CHECKING:
    from collections.abc import Callable


def _text(value: Any) -> str:
    if not isinstance(value, str):
        shown = text_of(value)
        raise ValueError(f'{shown} is no text; put it in quotes: "{shown}"')  # noqa: TRY004
    return value


def of_orch(*keys: str) -> dict[str, str]:
    """Keys that orch/v1 has in the same place and Compose has not: the file is taken for it."""
    mend = "if this file is an orch spec, begin it with apiVersion: orch/v1"
    return dict.fromkeys(keys, mend)


def word(*words: str) -> Scalar:
    """One of a few words."""
    shown = " or ".join(words)

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is not known here; write {shown}")
        return str(value)

    return Scalar(shown, parse)


def matching(noun: str, pattern: str, example: str) -> Scalar:
    """Text of a form that a regular expression tells."""
    expression = re.compile(pattern)

    def parse(value: Any) -> str:
        text = text_of(value)
        if not expression.fullmatch(text):
            raise ValueError(f"{text!r} is not {noun}; write one such as {example}")
        return text

    return Scalar(noun, parse)


def _number_or(*words: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        return value if value in words else integer(value)

    return parse


TEXT = Scalar("text", _text)
LOOSE = Scalar("text or a number", text_of)
FLAG = Scalar("true or false", flag)
INTEGER = Scalar("a whole number", integer)
NUMBER = Scalar("a number", number)
DURATION = Scalar("a duration", duration)
SIZE = Scalar("a size", size)
MODE = Scalar("a file mode", mode)
FREE = Free()
TEXTS = Many(TEXT)
LOOSE_TEXTS = Many(LOOSE)
ONE_OR_MORE = Either(TEXT, TEXTS)
COMMAND = Either(TEXT, TEXTS)
PAIRS = Either(many=TEXTS, keys=Named(LOOSE))
OPTIONS = Named(LOOSE)
NAME_PATTERN = "[a-zA-Z0-9._-]+"
NAMING = "letters, digits, '.', '_' and '-'"
EXTRA_HOSTS = Either(many=TEXTS, keys=Named(ONE_OR_MORE))
ULIMIT = Keys("a limit", {"soft": INTEGER, "hard": INTEGER}, ("soft", "hard"))
ULIMITS = Named(Either(INTEGER, keys=ULIMIT), "[a-z]+", "lower-case letters")

FILE_MOUNT = Keys(
    "a config or secret",
    {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": MODE},
)
FILE_MOUNTS = Many(Either(TEXT, keys=FILE_MOUNT))

BUILD = Keys(
    "build",
    {
        "context": TEXT,
        "dockerfile": TEXT,
        "dockerfile_inline": TEXT,
        "entitlements": TEXTS,
        "args": PAIRS,
        "ssh": PAIRS,
        "labels": PAIRS,
        "cache_from": TEXTS,
        "cache_to": TEXTS,
        "no_cache": FLAG,
        "no_cache_filter": ONE_OR_MORE,
        "additional_contexts": PAIRS,
        "network": TEXT,
        "provenance": LOOSE,
        "sbom": LOOSE,
        "pull": FLAG,
        "target": TEXT,
        "shm_size": SIZE,
        "extra_hosts": EXTRA_HOSTS,
        "isolation": TEXT,
        "privileged": FLAG,
        "secrets": FILE_MOUNTS,
        "tags": TEXTS,
        "ulimits": ULIMITS,
        "platforms": TEXTS,
    },
)

BLKIO_LIMIT = Many(Keys("a device's limit", {"path": TEXT, "rate": SIZE}))
BLKIO_WEIGHT = Many(Keys("a device's weight", {"path": TEXT, "weight": INTEGER}))
BLKIO = Keys(
    "blkio_config",
    {
        "device_read_bps": BLKIO_LIMIT,
        "device_read_iops": BLKIO_LIMIT,
        "device_write_bps": BLKIO_LIMIT,
        "device_write_iops": BLKIO_LIMIT,
        "weight": INTEGER,
        "weight_device": BLKIO_WEIGHT,
    },
)

_DEVICE_REQUEST: dict[str, Shape] = {
    "capabilities": TEXTS,
    "count": Scalar("a whole number or all", _number_or("all")),
    "device_ids": TEXTS,
    "driver": TEXT,
    "options": PAIRS,
}
DEVICE_REQUEST = Keys("a device request", _DEVICE_REQUEST, ("capabilities",))
GPU_REQUEST = Keys("a GPU request", _DEVICE_REQUEST)
GENERIC_RESOURCE = Keys(
    "a generic resource",
    {"discrete_resource_spec": Keys("a resource", {"kind": TEXT, "value": NUMBER})},
)
ROLL: dict[str, Shape] = {
    "parallelism": INTEGER,
    "delay": DURATION,
    "failure_action": TEXT,
    "monitor": DURATION,
    "max_failure_ratio": NUMBER,
    "order": word("start-first", "stop-first"),
}
LIMITS = Keys("limits", {"cpus": NUMBER, "memory": SIZE, "pids": INTEGER})
RESERVATIONS = Keys(
    "reservations",
    {
        "cpus": NUMBER,
        "memory": SIZE,
        "generic_resources": Many(GENERIC_RESOURCE),
        "devices": Many(DEVICE_REQUEST),
    },
)
DEPLOY = Keys(
    "deploy",
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": INTEGER,
        "labels": PAIRS,
        "rollback_config": Keys("rollback_config", ROLL),
        "update_config": Keys("update_config", ROLL),
        "resources": Keys("resources", {"limits": LIMITS, "reservations": RESERVATIONS}),
        "restart_policy": Keys(
            "restart_policy",
            {
                "condition": TEXT,
                "delay": DURATION,
                "max_attempts": INTEGER,
                "window": DURATION,
            },
        ),
        "placement": Keys(
            "placement",
            {
                "constraints": TEXTS,
                "preferences": Many(Keys("a preference", {"spread": TEXT})),
                "max_replicas_per_node": INTEGER,
            },
        ),
    },
    elsewhere={
        key: f"move {key} one level up, to the service"
        for key in ("restart", "image", "ports", "environment", "volumes", "networks", "command")
    }
    | of_orch("disruption", "on_partition", "ordered", "priority"),
)

HEALTHCHECK = Keys(
    "healthcheck",
    {
        "disable": FLAG,
        "interval": DURATION,
        "retries": INTEGER,
        "test": COMMAND,
        "timeout": DURATION,
        "start_period": DURATION,
        "start_interval": DURATION,
    },
)
_HOOK: dict[str, Shape] = {
    "command": COMMAND,
    "user": TEXT,
    "privileged": FLAG,
    "working_dir": TEXT,
    "environment": PAIRS,
}
HOOK = Keys("a hook", _HOOK, ("command",))
PRE_START = Keys("a pre_start step", {**_HOOK, "image": TEXT})
WATCH = Keys(
    "a watch rule",
    {
        "ignore": ONE_OR_MORE,
        "include": ONE_OR_MORE,
        "path": TEXT,
        "action": word("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
        "target": TEXT,
        "exec": HOOK,
        "initial_sync": FLAG,
    },
    ("path", "action"),
)
MOUNT = Keys(
    "a volume",
    {
        "type": word("bind", "volume", "tmpfs", "cluster", "npipe", "image"),
        "source": TEXT,
        "target": TEXT,
        "read_only": FLAG,
        "consistency": TEXT,
        "bind": Keys(
            "bind",
            {
                "propagation": TEXT,
                "create_host_path": FLAG,
                "recursive": word("enabled", "disabled", "writable", "readonly"),
                "selinux": word("z", "Z"),
            },
        ),
        "volume": Keys("volume", {"labels": PAIRS, "nocopy": FLAG, "subpath": TEXT}),
        "tmpfs": Keys("tmpfs", {"size": SIZE, "mode": MODE}),
        "image": Keys("image", {"subpath": TEXT}),
    },
    ("type",),
)
PORT = Keys(
    "a port",
    {
        "name": TEXT,
        "mode": TEXT,
        "host_ip": TEXT,
        "target": INTEGER,
        "published": LOOSE,
        "protocol": TEXT,
        "app_protocol": TEXT,
    },
)
ATTACHMENT = Keys(
    "a service's network",
    {
        "aliases": TEXTS,
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": TEXTS,
        "mac_address": TEXT,
        "driver_opts": OPTIONS,
        "priority": NUMBER,
        "gw_priority": NUMBER,
    },
)
DEPENDENCY = Keys(
    "a dependency",
    {
        "restart": FLAG,
        "required": FLAG,
        "condition": word("service_started", "service_healthy", "service_completed_successfully"),
    },
    ("condition",),
)
