"""The Compose specification as data: every key, and what it may hold."""

from __future__ import annotations

from orch_compose.schema_parts import (
    ATTACHMENT,
    BLKIO,
    BUILD,
    COMMAND,
    DEPENDENCY,
    DEPLOY,
    DURATION,
    EXTRA_HOSTS,
    FILE_MOUNTS,
    FLAG,
    GPU_REQUEST,
    HEALTHCHECK,
    HOOK,
    INTEGER,
    LOOSE,
    LOOSE_TEXTS,
    MOUNT,
    NAME_PATTERN,
    NAMING,
    NUMBER,
    ONE_OR_MORE,
    OPTIONS,
    PAIRS,
    PORT,
    PRE_START,
    SIZE,
    TEXT,
    TEXTS,
    ULIMITS,
    WATCH,
    matching,
    of_orch,
    word,
)
from orch_compose.shape import Either, Keys, Many, Named, Shape

SERVICE_FIELDS: dict[str, Shape] = {
    "develop": Keys("develop", {"watch": Many(WATCH)}),
    "deploy": DEPLOY,
    "annotations": PAIRS,
    "attach": FLAG,
    "build": Either(TEXT, keys=BUILD),
    "blkio_config": BLKIO,
    "cap_add": TEXTS,
    "cap_drop": TEXTS,
    "cgroup": word("host", "private"),
    "cgroup_parent": TEXT,
    "command": COMMAND,
    "configs": FILE_MOUNTS,
    "container_name": matching("a container's name", "[a-zA-Z0-9][a-zA-Z0-9_.-]+", "web-1"),
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
    "depends_on": Either(many=TEXTS, keys=Named(DEPENDENCY, NAME_PATTERN, NAMING)),
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
    "gpus": Either(word("all"), Many(GPU_REQUEST)),
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
    "networks": Either(many=TEXTS, keys=Named(Either(keys=ATTACHMENT), NAME_PATTERN, NAMING)),
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
    "pull_policy": matching(
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
    elsewhere={
        **{key: f"move {key} under deploy:" for key in _OF_DEPLOY},
        **_RENAMED,
        **of_orch("autoscale", "formerly", "overrides", "probes", "sidecars"),
    },
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
    return Named(Either(keys=shape), NAME_PATTERN, NAMING)


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
    }
    | of_orch("environments", "fidelity", "jobs", "labels", "policies", "registries", "routes"),
)
