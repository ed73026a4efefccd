"""Values for every key of the Compose specification, made from its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Make = Callable[[int], Any]
Path = tuple[str | int, ...]


class Case(NamedTuple):
    """A leaf of the schema: its path below `services.web`, and two values of the key."""

    path: Path
    make: Make


# By the last two names of the path, or the last one: two values that Compose accepts.
TEXTS: dict[str, tuple[Any, Any]] = {
    "interval": ("7s", "8s"),
    "timeout": ("3s", "4s"),
    "start_period": ("20s", "40s"),
    "start_interval": ("2s", "4s"),
    "stop_grace_period": ("7s", "8s"),
    "delay": ("7s", "8s"),
    "monitor": ("7s", "8s"),
    "window": ("7s", "8s"),
    "memory": ("64M", "128M"),
    "cpus": ("0.5", "0.25"),
    "mem_limit": ("256m", "512m"),
    "mem_reservation": ("64m", "128m"),
    "memswap_limit": ("1g", "2g"),
    "shm_size": ("64m", "128m"),
    "cpu_quota": (50000, 25000),
    "cpu_period": (100000, 50000),
    "condition": ("service_started", "service_healthy"),
    "restart_policy.condition": ("on-failure", "none"),
    "deploy.mode": ("replicated", "global"),
    "endpoint_mode": ("vip", "dnsrr"),
    "failure_action": ("pause", "continue"),
    "max_failure_ratio": (0.25, 0.5),
    "constraints": ("node.labels.a == b", "node.labels.a != b"),
    "ports": ("8001:81", "8002:82"),
    "ports.mode": ("host", "ingress"),
    "published": ("8001", "8002"),
    "ports.protocol": ("udp", "tcp"),
    "ports.target": (81, 82),
    "expose": ("91", "92"),
    "restart": ("always", "no"),
    "depends_on": ("db", "cache"),
    "links": ("db:a", "cache:b"),
    "volumes_from": ("db", "cache"),
    "network_mode": ("host", "none"),
    "networks": ("front", "back"),
    "pull_policy": ("always", "never"),
    "volumes": ("data:/a", "other:/b"),
    "volumes.target": ("/a", "/b"),
    "volumes.source": ("data", "other"),
    "propagation": ("rshared", "rslave"),
    "tmpfs": ("/run", "/scratch"),
    "tmpfs.size": ("1m", "2m"),
    "tmpfs.mode": ("0700", "0755"),
    "devices": ("/dev/a", "/dev/b:/dev/c"),
    "count": (2, 3),
    "ulimits": (100, 200),
    "soft": (10, 20),
    "hard": (100, 200),
    "extra_hosts": ("a=10.0.0.1", "b=10.0.0.2"),
    "extra_hosts.k": ("10.0.0.1", "10.0.0.2"),
    "pid": ("host", "service:db"),
    "ipc": ("host", "shareable"),
    "userns_mode": ("host", "other"),
    "uts": ("host", "other"),
    "gpus": ("all", "all"),
    "storage_opt.k": ("1g", "2g"),
    "env_file": ("one.env", "two.env"),
    "env_file.path": ("one.env", "two.env"),
    "env_file.format": ("raw", "raw"),
    "label_file": ("one.env", "two.env"),
    "extends": ("db", "cache"),
    "extends.service": ("db", "cache"),
    "extends.file": ("one.yaml", "two.yaml"),
    "mode": ("0440", "0400"),
    "configs": ("plain", "other"),
    "secrets": ("plain", "other"),
    "configs.source": ("plain", "other"),
    "secrets.source": ("plain", "other"),
    "test": ("true", "false"),
    "depends_on.db.restart": (True, False),
    "cpu_count": (2, 3),
    "cpu_percent": (20, 30),
    "value": (2, 3),
    "image": ("a:1", "b:2"),
    "replicas": (2, 3),
    "ipv4_address": ("10.0.0.4", "10.0.0.5"),
    "oom_score_adj": (100, 200),
    "labels": ("a=1", "b=2"),
    "environment": ("A=1", "B=2"),
    "annotations": ("a=1", "b=2"),
    "sysctls": ("a=1", "b=2"),
    "args": ("a=1", "b=2"),
    "options": ("a=1", "b=2"),
    "rate": ("1m", "2m"),
}


def cases(definitions: dict[str, Any]) -> Iterator[Case]:
    """Every leaf of a service, each form of it on its own."""
    service = definitions["service"]
    for key, schema in service["properties"].items():
        yield from _Walk(definitions).below(schema, (key,))


SECTIONS = {"networks": "network", "volumes": "volume", "configs": "config", "secrets": "secret"}


def shared_cases(definitions: dict[str, Any]) -> Iterator[Case]:
    """Every leaf of a network, volume, config and secret; the path begins with the section."""
    for section, name in SECTIONS.items():
        for key, given in definitions[name]["properties"].items():
            schema, kinds = given, given.get("type", ())
            if isinstance(kinds, list) and "object" in kinds and len(kinds) > 1:
                schema = {"type": kinds[0]}
            yield from _Walk(definitions).below(schema, (section, key))


class _Walk:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def below(self, schema: dict[str, Any], path: Path) -> Iterator[Case]:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        forms = schema.get("oneOf") or schema.get("anyOf")
        if forms:
            for form in forms:
                if form.get("type") != "null":
                    yield from self.below(form, path)
            return
        kind = schema.get("type")
        kinds = [k for k in kind if k != "null"] if isinstance(kind, list) else [kind]
        if kinds[0] == "array":
            for case in self.below(schema["items"], (*path, 0)):
                yield Case(case.path, lambda n, make=case.make: [make(n)])
        elif kinds[0] == "object":
            yield from self._object(schema, path)
        else:
            yield Case(path, lambda n: _scalar(schema, kinds, path, n))

    def _object(self, schema: dict[str, Any], path: Path) -> Iterator[Case]:
        fields = schema.get("properties", {})
        required = {
            name: next(iter(self.below(fields[name], (*path, name)))).make
            for name in schema.get("required", ())
        }
        for name, field in fields.items():
            for case in self.below(field, (*path, name)):

                def make(n: int, name: str = name, inner: Make = case.make) -> Any:
                    others = {key: value(0) for key, value in required.items()}
                    return {**others, name: inner(n)}

                yield Case(case.path, make)
        if not fields:
            inner = next(iter(schema.get("patternProperties", {".": {"type": "string"}}).values()))
            name = NAMES.get(str(path[-1]), "k")
            if inner == {}:
                inner = {"type": "string"}
            for case in self.below(inner, (*path, name)):
                yield Case(case.path, lambda n, make=case.make: {name: make(n)})


NAMES = {"depends_on": "db", "networks": "front", "ulimits": "nofile", "storage_opt": "size"}


def _scalar(schema: dict[str, Any], kinds: list[str], path: Path, n: int) -> Any:
    names = [str(key) for key in path if isinstance(key, str)]
    short = ".".join(names[-2:])
    alias = f"{names[-2]}.k" if len(names) > 1 and names[-1] in ("k", "size") else short
    if path[-2:] == ("test", 0):
        return "NONE"
    for key in (".".join(names[-3:]), short, alias, names[-1]):
        if key in TEXTS:
            return TEXTS[key][n]
    if "enum" in schema:
        return schema["enum"][min(n, len(schema["enum"]) - 1)]
    if kinds[0] == "boolean":
        return n == 0
    if kinds[0] in ("integer", "number"):
        return 3 + n
    return ("alpha", "beta")[n]
