"""Our reading of docker/cli's full example, field by field beside what docker/cli makes of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from orch.spec.units import Bytes, Duration
from orch_compose import ComposeReader
from tests.corpus.outcomes import CORPUS

GOLDEN = CORPUS.parent / "golden/docker+cli/full-example.json.golden"
DOCKER_CLI = CORPUS / "docker+cli/cli/compose/loader/full-example.yml"
COMPOSE_GO = CORPUS / "compose-spec+compose-go@pre-2026-03/loader/full-example.yml"
DIFFERENCES = Path(__file__).with_name("golden_differences.tsv")
VARIABLES = {"HOME": "/bar", "QUX": "qux_from_environment"}
ENV_FILES = {
    "example1.env": "FOO=foo_from_env_file\nBAR=bar_from_env_file\n",
    "example2.env": "BAR=bar_from_env_file_2\nQUX=quz_from_env_file_2\n",
    "example1.label": "",
    "example2.label": "",
}
AS_THEY_ARE = (
    "image",
    "build",
    "cap_add",
    "cap_drop",
    "command",
    "entrypoint",
    "dns",
    "dns_search",
    "domainname",
    "environment",
    "hostname",
    "ipc",
    "labels",
    "logging",
    "pid",
    "privileged",
    "read_only",
    "security_opt",
    "stdin_open",
    "stop_signal",
    "sysctls",
    "tty",
    "user",
    "working_dir",
    "networks",
)


def reading(source: Path, folder: Path) -> dict[str, Any]:
    if not source.exists():
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    shutil.copy(source, folder / "compose.yaml")
    for name, text in ENV_FILES.items():
        (folder / name).write_text(text)
    read = ComposeReader().read([folder / "compose.yaml"], VARIABLES, ())
    text = json.dumps(read.document).replace(str(folder), "/foo")
    document: dict[str, Any] = json.loads(text)
    return document


def in_their_words(document: dict[str, Any]) -> dict[str, Any]:
    """Our document in docker/cli's form."""
    return {
        "services": {name: their_service(part) for name, part in document["services"].items()},
        "networks": {
            name: their_network(name, part) for name, part in document["networks"].items()
        },
        "volumes": {name: their_external(name, part) for name, part in document["volumes"].items()},
        "configs": {name: their_source(name, part) for name, part in document["configs"].items()},
        "secrets": {name: their_source(name, part) for name, part in document["secrets"].items()},
        **{key: part for key, part in document.items() if key.startswith("x-")},
    }


def their_service(part: dict[str, Any]) -> dict[str, Any]:
    deploy, probe = part["deploy"], part["probes"]["readiness"]
    startup, resources = part["probes"]["startup"], deploy["resources"]
    return {
        **{key: part[key] for key in AS_THEY_ARE if key in part},
        "configs": [their_file(item, "/") for item in part["configs"]],
        "secrets": [their_file(item, "") for item in part["secrets"]],
        "depends_on": list(part["depends_on"]),
        "devices": [f"{item['source']}:{item['target']}" for item in part["devices"]],
        "extra_hosts": [f"{host}:{address}" for host, address in part["extra_hosts"].items()],
        "stop_grace_period": part["stop_grace_period"],
        "healthcheck": {
            "test": ["CMD-SHELL", probe["exec"]["command"][2]],
            "interval": probe["interval"],
            "timeout": probe["timeout"],
            "retries": probe["failure_threshold"],
            "start_interval": startup["interval"],
            "start_period": their_period(startup, probe),
        },
        "ports": [
            {"mode": "ingress", "protocol": "tcp"}
            | {key: value for key, value in port.items() if key != "host_ip"}
            for port in part["ports"]
        ],
        "tmpfs": [m["target"] for m in part["volumes"] if m["target"] in ("/run", "/tmp")],
        "ulimits": {
            name: limit["soft"] if limit["soft"] == limit["hard"] else limit
            for name, limit in part["ulimits"].items()
        },
        "volumes": {
            m["target"]: their_mount(m)
            for m in part["volumes"]
            if m["target"] not in ("/run", "/tmp")
        },
        "deploy": {
            **deploy,
            "resources": {
                "limits": in_bytes(resources["limits"]),
                "reservations": in_bytes(resources["reservations"]),
            },
        },
    }


def their_period(startup: dict[str, Any], probe: dict[str, Any]) -> str:
    rounds = startup["failure_threshold"] - probe["failure_threshold"]
    return str(Duration(int(Duration.parse(startup["interval"])) * rounds))


def in_bytes(part: dict[str, Any]) -> dict[str, Any]:
    sized = {**part, "memory": str(int(Bytes.parse(part["memory"])))}
    generic = sized.pop("generic", None)
    if generic is not None:
        sized["generic_resources"] = [
            {"discrete_resource_spec": {"kind": kind, "value": value}}
            for kind, value in generic.items()
        ]
    return sized


def their_file(item: dict[str, Any], default: str) -> dict[str, Any]:
    found = dict(item)
    if found["target"] == f"{default}{found['source']}":
        del found["target"]
    if "mode" in found:
        found["mode"] = int(found["mode"], 8)
    return found


def their_mount(mount: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in mount.items() if key != "bind"}
    if "tmpfs" in found:
        found["tmpfs"] = {"size": int(Bytes.parse(found["tmpfs"]["size"]))}
    return found


def their_external(name: str, part: dict[str, Any]) -> dict[str, Any]:
    external = part.get("external", False)
    kept = {key: value for key, value in part.items() if key not in ("access", "per_replica")}
    return {**({"name": name} if external else {}), **kept, "external": external}


def their_network(name: str, part: dict[str, Any]) -> dict[str, Any]:
    found = their_external(name, part)
    found.pop("ipam", None)
    return found | {
        "ipam": {"config": part["ipam"]} if "ipam" in part else {},
    }


def their_source(name: str, part: dict[str, Any]) -> dict[str, Any]:
    found = their_external(name, part)
    path = found.pop("path", None) or found.pop("file", None)
    found.pop("provider", None)
    return found | ({"file": path.replace("./", "/foo/")} if path else {})


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        parts = [leaves(item, f"{path}.{key}" if path else key) for key, item in value.items()]
        return {key: item for part in parts for key, item in part.items()}
    if isinstance(value, list) and value:
        parts = [leaves(item, f"{path}[{index}]") for index, item in enumerate(value)]
        return {key: item for part in parts for key, item in part.items()}
    if value is None or value == {}:
        return {path: None}
    if isinstance(value, str) and re.fullmatch(r"(\d+[hms])+", value):
        return {path: str(Duration.parse(value))}
    return {path: value}


def golden() -> dict[str, Any]:
    if not GOLDEN.exists():
        pytest.skip(f"the corpus is not at {CORPUS}; ORCH_CORPUS names its place")
    found: dict[str, Any] = json.loads(GOLDEN.read_text())
    for service in found["services"].values():
        service["volumes"] = {mount["target"]: mount for mount in service["volumes"]}
    return found


def justified() -> dict[str, str]:
    lines = DIFFERENCES.read_text().splitlines()[1:]
    return dict(line.split("\t") for line in lines if line)


def covers(pattern: str, path: str) -> bool:
    return path == pattern or re.match(re.escape(pattern) + r"[.\[]", path) is not None


def test_every_field_agrees_or_its_difference_is_justified(tmp_path: Path) -> None:
    theirs, ours = leaves(golden()), leaves(in_their_words(reading(DOCKER_CLI, tmp_path)))
    absent = object()
    differing = {
        path
        for path in {*theirs, *ours}
        if theirs.get(path, absent) != ours.get(path, absent)
        and not (theirs.get(path) is None and ours.get(path) is None)
    }
    reasons = justified()
    unexplained = {
        p: (theirs.get(p), ours.get(p))
        for p in sorted(differing)
        if not any(covers(pattern, p) for pattern in reasons)
    }
    assert not unexplained
    stale = [pattern for pattern in reasons if not any(covers(pattern, p) for p in differing)]
    assert not stale
    assert len(theirs.keys() - differing) > 200


def test_both_full_examples_agree_where_they_say_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    docker = leaves(reading(DOCKER_CLI, first))
    compose = leaves(reading(COMPOSE_GO, second))
    differing = {path for path in docker.keys() & compose.keys() if docker[path] != compose[path]}
    # The two files say different things there; everything else that both say is read alike.
    assert {re.sub(r"\[\d+\]", "[]", path) for path in differing} == {
        "name",
        "networks.other-network.ipam[].subnet",
        "services.foo.probes.startup.failure_threshold",
        "services.foo.probes.startup.interval",
        "services.foo.volumes[].source",
        "services.foo.volumes[].target",
        "services.foo.volumes[].type",
        "services.foo.secrets[].target",
    }
