"""A stack that `docker stack deploy` made is imported, taken over, and never started anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from orch.apply.session import Session
from orch.errors import UsageFault
from orch.load.document import app_from_document
from orch.types import Fidelity, Instance, Operation, Verdict
from tests.integration.swarm.test_cron import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.types import Outcome
    from orch_swarm.backend import SwarmBackend

pytestmark = [pytest.mark.docker, pytest.mark.root]

STACK = """
version: "3.9"
services:
  web:
    image: local/tool:1
    command: ["sh", "-c", "while true; do sleep 1; done"]
    environment: {MODE: "live", PRICE: "$$5"}
    working_dir: /tmp
    user: "0:0"
    init: true
    read_only: false
    cap_add: [NET_ADMIN]
    hostname: front
    stop_grace_period: 2s
    stop_signal: SIGINT
    labels: {team: storefront}
    extra_hosts: ["legacy.example.com:192.0.2.7"]
    dns_search: [example.com]
    ulimits: {nofile: {soft: 512, hard: 1024}}
    sysctls: {net.core.somaxconn: 512}
    logging: {driver: json-file, options: {max-size: 1m}}
    healthcheck: {test: "true", interval: 1s, start_period: 2s}
    volumes:
      - data_files:/data
      - {type: tmpfs, target: /scratch, tmpfs: {size: 8388608}}
      - {type: bind, source: /usr, target: /host, read_only: true}
    configs:
      - {source: page, target: /etc/page.txt, mode: 0440}
    secrets:
      - {source: token, target: token, mode: 0400}
    networks: {front: {aliases: [www]}}
    deploy:
      mode: replicated
      replicas: 2
      endpoint_mode: dnsrr
      labels: {tier: front}
      resources:
        limits: {cpus: "0.5", memory: 64M, pids: 100}
        reservations: {cpus: "0.1", memory: 16M}
      placement:
        constraints: ["node.role == manager"]
        preferences: [{spread: node.labels.zone}]
        max_replicas_per_node: 5
      restart_policy: {condition: on-failure, max_attempts: 3}
      update_config: {parallelism: 1, delay: 1s}
  slow_worker:
    image: local/tool:1
    command: ["sleep", "600"]
    stop_grace_period: 1s
    ports:
      - {target: 8080, published: PORT, protocol: tcp, mode: host}
    deploy: {mode: global, endpoint_mode: dnsrr}
networks:
  front: {driver: overlay, attachable: true}
volumes:
  data_files: {}
configs:
  page: {file: ./page.txt}
secrets:
  token: {file: ./token.txt}
"""
KINDS = ("services", "configs", "secrets", "networks", "volumes")


@dataclass
class Stack:
    """A stack of its own name, and the ways to look at it."""

    backend: SwarmBackend
    host: str
    folder: Path
    name: str
    text: str = STACK
    secrets: dict[str, Any] = field(default_factory=dict)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program against this swarm."""
        surroundings = {**os.environ, "DOCKER_HOST": self.host}
        return subprocess.run(
            words, cwd=self.folder, env=surroundings, capture_output=True, text=True, check=False
        )

    def orch(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line, as a user has it."""
        return self.run(sys.executable, "-m", "orch.cli", *words)

    def deploy(self) -> None:
        """`docker stack deploy`, until every task runs."""
        (self.folder / "page.txt").write_text("hello\n")
        (self.folder / "token.txt").write_text("canary-8d2c")
        (self.folder / "stack.yaml").write_text(self.text)
        made = self.run(
            "docker", "stack", "deploy", "--resolve-image", "never", "-c", "stack.yaml", self.name
        )
        assert made.returncode == 0, made.stderr
        until(self.settled, lambda: [t["Status"] for t in self.tasks()])

    def settled(self) -> bool:
        wanted = {"web": 2, "slow_worker": 1}
        return len(self.running()) == sum(wanted[n] for n in wanted if f"  {n}:" in self.text)

    def tasks(self) -> list[dict[str, Any]]:
        label = f"com.docker.stack.namespace={self.name}"
        mine = {row["ID"] for row in self.backend.client.listed("services", label=[label])}
        return [t for t in self.backend.client.listed("tasks") if t["ServiceID"] in mine]

    def running(self) -> set[str]:
        return {t["ID"] for t in self.tasks() if t["Status"]["State"] == "running"}

    def names(self, kind: str) -> set[str]:
        label = f"com.docker.stack.namespace={self.name}"
        found = self.backend.client.listed(kind, label=[label])
        return {str(row.get("Spec", row)["Name"]) for row in found}

    # -- the stack as an application ---------------------------------------------------------

    @property
    def instance(self) -> Instance:
        return Instance("swarm", "default", self.name)

    def session(self) -> Session:
        return Session(self.backend, self.instance, who="tests")

    def document(self) -> dict[str, Any]:
        return dict(self.backend.read_live(self.name).document)

    def pending(self, document: dict[str, Any]) -> list[tuple[Operation, str]]:
        plan = self.session().plan(app_from_document(document)).plan
        return [(action.operation, action.id) for action in plan.pending]

    def adopt(self, document: dict[str, Any]) -> Outcome:
        session = self.session()
        outcome = session.apply(session.plan(app_from_document(document)).plan, timeout=60)
        assert outcome.verdict is Verdict.DONE, outcome
        return outcome


@pytest.fixture
def stack(swarm: str, backend: SwarmBackend, tool_image: str, tmp_path: Path) -> Iterator[Stack]:
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not installed")
    assert tool_image == "local/tool:1"
    port = 20000 + os.getpid() % 20000
    name = f"my_{uuid.uuid4().hex[:6]}"
    made = Stack(backend, swarm, tmp_path, name, STACK.replace("PORT", str(port)))
    yield made
    session = made.session()
    session.unlock()
    session.apply(session.down_plan(volumes=True), timeout=60)
    made.run("docker", "stack", "rm", name)
    until(lambda: not made.tasks() and not made.names("networks"))
    for volume in made.names("volumes"):
        until(lambda: made.run("docker", "volume", "rm", "-f", volume).returncode == 0)  # noqa: B023


def test_a_stack_is_imported_and_taken_over_without_a_restart(stack: Stack) -> None:
    stack.deploy()
    before, objects = stack.running(), {kind: stack.names(kind) for kind in KINDS}
    flags = ("--backend", "swarm", "--option", "resolve_image=always")
    imported = stack.orch("import", stack.name, "--backend", "swarm", "-o", "orch.yaml")
    assert imported.returncode == 0, imported.stderr
    assert "secrets.token" in imported.stderr
    assert "is used" in imported.stderr
    assert "canary" not in (stack.folder / "orch.yaml").read_text() + imported.stderr
    planned = stack.orch("plan", *flags)
    assert "6 to adopt, 1 unchanged" in planned.stdout + planned.stderr
    deployed = stack.orch("deploy", *flags, "--yes", "--timeout", "60")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    after = stack.orch("plan", *flags, "--exit-code")
    assert after.returncode == 0, after.stdout + after.stderr
    assert stack.running() == before
    assert len(stack.tasks()) == len(before)
    assert {kind: stack.names(kind) for kind in KINDS} == objects


def test_what_was_adopted_is_scaled_changed_and_taken_down(stack: Stack) -> None:
    stack.deploy()
    before, document = stack.running(), stack.document()
    stack.adopt(document)
    assert stack.session().drift() == ()
    document["services"]["web"]["deploy"]["replicas"] = 3
    stack.adopt(document)
    assert len(stack.running()) == len(before) + 1
    assert before < stack.running()
    document["configs"]["page"]["content"] = "changed\n"
    web = document["services"]["web"]
    web["deploy"]["update_config"] |= {"parallelism": 0, "monitor": "1s"}
    stack.adopt(document)
    assert stack.pending(document) == []
    assert len(before & stack.running()) == 1
    page = stack.backend.exec(stack.instance, "web", "", _LOOK, tty=False)
    assert page == 0
    session = stack.session()
    gone = session.apply(session.down_plan(volumes=True), timeout=60)
    assert gone.verdict is Verdict.DONE
    left = {kind: stack.names(kind) for kind in KINDS}
    assert left == {kind: set() for kind in KINDS} | {"secrets": {f"{stack.name}_token"}}


_LOOK = ["sh", "-c", "test $(cat /etc/page.txt) = changed && test -f /run/secrets/token"]


def test_it_says_why_there_is_nothing_to_import(stack: Stack) -> None:
    def told(name: str) -> str:
        with pytest.raises(UsageFault) as fault:
            stack.backend.read_live(name)
        return str(fault.value)

    client = stack.backend.client
    stack.text = SMALL
    stack.deploy()
    assert f"there are: {stack.name}" in told("nowhere")
    project = {
        "Image": "local/tool:1",
        "Cmd": ["true"],
        "Labels": {"com.docker.compose.project": "shop"},
    }
    made = client.post("/containers/create", project)
    assert "a project of docker compose" in told("shop")
    client.delete(f"/containers/{made['Id']}")
    stack.adopt(stack.document())
    assert "belongs to default/my_" in told(stack.name)
    assert "orch history" in told(stack.name)
    other = stack.orch("import", "a", "b", "--backend", "swarm")
    assert (other.returncode, "at a time" in other.stderr) == (2, True)
    native = stack.orch("import", stack.name, "--backend", "native")
    assert (native.returncode, "can't read back" in native.stderr) == (2, True)


def test_parts_of_others_stay_theirs_and_names_never_collide(stack: Stack) -> None:
    client = stack.backend.client
    driver = {"Driver": "overlay", "Name": f"{stack.name}x", "Attachable": True}
    client.post("/networks/create", driver)
    client.post("/volumes/create", {"Name": "files"})
    stack.text = SHARED.replace("OTHER", f"{stack.name}x")
    stack.deploy()
    document = stack.document()
    assert document["volumes"]["files"] == {"access": "shared"}
    assert document["volumes"]["files-2"] == {"external": True, "name": "files"}
    assert document["networks"][f"{stack.name}x"] == {"external": True}
    before = stack.running()
    stack.adopt(document)
    assert stack.pending(document) == []
    assert stack.running() == before
    session = stack.session()
    session.apply(session.down_plan(volumes=True), timeout=60)
    assert client.one("networks", f"{stack.name}x") is not None
    assert client.one("volumes", "files") is not None
    until(lambda: stack.run("docker", "volume", "rm", "files").returncode == 0)
    until(lambda: stack.run("docker", "network", "rm", f"{stack.name}x").returncode == 0)


def test_what_the_spec_has_no_words_for_is_told(stack: Stack) -> None:
    stack.text = SMALL
    stack.deploy()
    [row] = stack.backend.client.listed("services", name=[f"{stack.name}_web"])
    spec = row["Spec"]
    spec["TaskTemplate"]["ContainerSpec"]["Isolation"] = "default"
    spec["TaskTemplate"]["RestartPolicy"] = {"Condition": "any", "Window": 0}
    spec["TaskTemplate"]["Resources"] = {"Limits": {"NanoCPUs": 250_000_000}}
    spec["TaskTemplate"]["LogDriver"] = {"Name": "json-file"}
    spec["TaskTemplate"]["ContainerSpec"]["Mounts"][0]["VolumeOptions"]["Labels"]["a"] = "b"
    version = row["Version"]["Index"]
    stack.backend.client.post(f"/services/{row['ID']}/update", spec, version=version)
    rows = [r for r in stack.backend.read_live(stack.name).ledger if r.outcome is Fidelity.LOST]
    paths = [r.path[:2] + r.path[-1:] for r in rows]
    assert paths == [("services", "web", "VolumeOptions")]


SMALL = """
version: "3.9"
services:
  web:
    image: local/tool:1
    command: ["sleep", "600"]
    stop_grace_period: 1s
    volumes: ["files:/data", "theirs:/theirs"]
    deploy: {replicas: 2, endpoint_mode: dnsrr}
volumes:
  files: {}
  theirs: {external: true, name: files}
"""
SHARED = (
    SMALL.replace("    deploy:", "    networks: [default, theirs]\n    deploy:")
    + """
networks:
  theirs: {external: true, name: OTHER}
"""
)
