"""The Compose specification as data: every key, and what it may hold."""

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


def _word(*words: str) -> Scalar:
    shown = " or ".join(words)

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is not known here; write {shown}")
        return str(value)

    return Scalar(shown, parse)


def _matching(noun: str, pattern: str, example: str) -> Scalar:
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
_NAMING = "letters, digits, '.', '_' and '-'"
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
    "order": _word("start-first", "stop-first"),
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
    },
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
        "action": _word("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
        "target": TEXT,
        "exec": HOOK,
        "initial_sync": FLAG,
    },
    ("path", "action"),
)
MOUNT = Keys(
    "a volume",
    {
        "type": _word("bind", "volume", "tmpfs", "cluster", "npipe", "image"),
        "source": TEXT,
        "target": TEXT,
        "read_only": FLAG,
        "consistency": TEXT,
        "bind": Keys(
            "bind",
            {
                "propagation": TEXT,
                "create_host_path": FLAG,
                "recursive": _word("enabled", "disabled", "writable", "readonly"),
                "selinux": _word("z", "Z"),
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
        "condition": _word("service_started", "service_healthy", "service_completed_successfully"),
    },
    ("condition",),
)

SERVICE_FIELDS: dict[str, Shape] = {
    "develop": Keys("develop", {"watch": Many(WATCH)}),
    "deploy": DEPLOY,
    "annotations": PAIRS,
    "attach": FLAG,
    "build": Either(TEXT, keys=BUILD),
    "blkio_config": BLKIO,
    "cap_add": TEXTS,
    "cap_drop": TEXTS,
    "cgroup": _word("host", "private"),
    "cgroup_parent": TEXT,
    "command": COMMAND,
    "configs": FILE_MOUNTS,
    "container_name": _matching("a container's name", "[a-zA-Z0-9][a-zA-Z0-9_.-]+", "web-1"),
    "cpu_count": INTEGER,
    "cpu_percent": NUMBER,
    "cpu_shares": INTEGER,
    "cpu_quota": LOOSE,
    "cpu_period": LOOSE,
    "cpu_rt_period": LOOSE,
    "cpu_rt_runtime": LOOSE,
    "cpus": NUMBER,
    "cpuset": TEXT,
    "credential_spec": Keys("credential_spec", {"config": TEXT, "file": TEXT, "registry": TEXT}),
    "depends_on": Either(many=TEXTS, keys=Named(DEPENDENCY, NAME_PATTERN, _NAMING)),
    "device_cgroup_rules": TEXTS,
    "devices": Many(
        Either(
            TEXT,
            keys=Keys(
                "a device", {"source": TEXT, "target": TEXT, "permissions": TEXT}, ("source",)
            ),
        )
    ),
    "dns": ONE_OR_MORE,
    "dns_opt": TEXTS,
    "dns_search": ONE_OR_MORE,
    "domainname": TEXT,
    "entrypoint": COMMAND,
    "env_file": Either(
        TEXT,
        Many(
            Either(
                TEXT,
                keys=Keys(
                    "an env_file", {"path": TEXT, "format": TEXT, "required": FLAG}, ("path",)
                ),
            )
        ),
    ),
    "label_file": ONE_OR_MORE,
    "environment": PAIRS,
    "expose": LOOSE_TEXTS,
    "extends": Either(TEXT, keys=Keys("extends", {"service": TEXT, "file": TEXT}, ("service",))),
    "provider": Keys(
        "provider", {"type": TEXT, "options": Named(Either(LOOSE, LOOSE_TEXTS))}, ("type",)
    ),
    "external_links": TEXTS,
    "extra_hosts": EXTRA_HOSTS,
    "gpus": Either(_word("all"), Many(GPU_REQUEST)),
    "group_add": LOOSE_TEXTS,
    "healthcheck": HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": FLAG,
    "ipc": TEXT,
    "isolation": TEXT,
    "labels": PAIRS,
    "links": TEXTS,
    "logging": Keys("logging", {"driver": TEXT, "options": OPTIONS}),
    "mac_address": TEXT,
    "mem_limit": SIZE,
    "mem_reservation": SIZE,
    "mem_swappiness": INTEGER,
    "memswap_limit": SIZE,
    "network_mode": TEXT,
    "models": Either(
        many=TEXTS,
        keys=Named(
            Either(keys=Keys("a service's model", {"endpoint_var": TEXT, "model_var": TEXT}))
        ),
    ),
    "networks": Either(many=TEXTS, keys=Named(Either(keys=ATTACHMENT), NAME_PATTERN, _NAMING)),
    "oom_kill_disable": FLAG,
    "oom_score_adj": INTEGER,
    "pid": TEXT,
    "pids_limit": INTEGER,
    "platform": TEXT,
    "ports": Many(Either(LOOSE, keys=PORT)),
    "post_start": Many(HOOK),
    "pre_start": Many(PRE_START),
    "pre_stop": Many(HOOK),
    "privileged": FLAG,
    "profiles": TEXTS,
    "pull_policy": _matching(
        "a pull policy",
        "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
        "missing",
    ),
    "pull_refresh_after": TEXT,
    "read_only": FLAG,
    "restart": TEXT,
    "runtime": TEXT,
    "scale": INTEGER,
    "security_opt": TEXTS,
    "shm_size": SIZE,
    "secrets": FILE_MOUNTS,
    "sysctls": PAIRS,
    "stdin_open": FLAG,
    "stop_grace_period": DURATION,
    "stop_signal": TEXT,
    "storage_opt": OPTIONS,
    "tmpfs": ONE_OR_MORE,
    "tty": FLAG,
    "ulimits": ULIMITS,
    "use_api_socket": FLAG,
    "user": TEXT,
    "uts": TEXT,
    "userns_mode": TEXT,
    "volumes": Many(Either(TEXT, keys=MOUNT)),
    "volumes_from": TEXTS,
    "working_dir": TEXT,
}
_OF_DEPLOY = ("replicas", "placement", "resources", "restart_policy", "update_config")
_RENAMED = {
    "net": "write network_mode: (net is of the format of 2014)",
    "dockerfile": "move it under build:",
    "log_driver": "write logging: {driver: …}",
    "log_opt": "write logging: {options: …}",
    "volume_driver": "name the driver at the volume, under the top-level volumes:",
}
SERVICE = Keys(
    "a service",
    SERVICE_FIELDS,
    elsewhere={**{key: f"move {key} under deploy:" for key in _OF_DEPLOY}, **_RENAMED},
)

EXTERNAL = Either(FLAG, keys=Keys("external", {"name": TEXT}))
IPAM = Keys(
    "ipam",
    {
        "driver": TEXT,
        "config": Many(
            Keys(
                "an address range",
                {
                    "subnet": TEXT,
                    "ip_range": TEXT,
                    "gateway": TEXT,
                    "aux_addresses": Named(TEXT),
                },
            )
        ),
        "options": Named(TEXT),
    },
)
NETWORK = Keys(
    "a network",
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": IPAM,
        "external": EXTERNAL,
        "internal": FLAG,
        "enable_ipv4": FLAG,
        "enable_ipv6": FLAG,
        "attachable": FLAG,
        "labels": PAIRS,
    },
)
VOLUME = Keys(
    "a volume",
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "external": EXTERNAL,
        "labels": PAIRS,
    },
)
SECRET = Keys(
    "a secret",
    {
        "name": TEXT,
        "environment": TEXT,
        "file": TEXT,
        "external": EXTERNAL,
        "labels": PAIRS,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "template_driver": TEXT,
    },
)
CONFIG = Keys(
    "a config",
    {
        "name": TEXT,
        "content": TEXT,
        "environment": TEXT,
        "file": TEXT,
        "external": EXTERNAL,
        "labels": PAIRS,
        "template_driver": TEXT,
    },
)
MODEL = Keys(
    "a model",
    {"name": TEXT, "model": TEXT, "context_size": INTEGER, "runtime_flags": TEXTS},
    ("model",),
)
INCLUDE = Many(
    Either(
        TEXT,
        keys=Keys(
            "an include",
            {"path": ONE_OR_MORE, "env_file": ONE_OR_MORE, "project_directory": TEXT},
            ("path",),
        ),
    )
)


def _section(shape: Shape) -> Shape:
    return Named(Either(keys=shape), NAME_PATTERN, _NAMING)


COMPOSE = Keys(
    "a Compose file",
    {
        "version": LOOSE,
        "name": TEXT,
        "include": INCLUDE,
        "services": _section(SERVICE),
        "models": _section(MODEL),
        "networks": _section(NETWORK),
        "volumes": _section(VOLUME),
        "secrets": _section(SECRET),
        "configs": _section(CONFIG),
    },
    elsewhere={
        key: f"move {key} under one of the services:"
        for key in ("image", "ports", "environment", "build", "command", "depends_on", "restart")
    },
)
