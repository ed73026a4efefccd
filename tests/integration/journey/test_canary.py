"""No secret value gets out: a canary is looked for in each output, log, plan, record, object."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest

from orch.cli.catalogue import SUMMARIES
from tests.integration.journey.traces import ProcessWatch, found_below, found_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Engine
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Of this process alone: another worker may show its own on purpose.
MARK = f"canary-{token_hex(3)}"
FIRST, SECOND, FROM_FILE = (f"{MARK}~{name}" for name in ("one", "two", "file"))
BYTES = b"\xff\x00" + f"{MARK}~bytes".encode() + b"\x00\xff"
CODED = base64.b64encode(BYTES).decode()
SERVE = 'exec python3 -m http.server 8080 --bind "$$ORCH_ADDRESS"'
PROCESS_APP = f"""
apiVersion: orch/v1
name: birds
services:
  web:
    command: [sh, -c, 'test -n "$$TOKEN" -a -s "$$ORCH_SECRETS_DIR/coffer" || exit 9; {SERVE}']
    environment: {{TOKEN: {{secret: token}}, RELEASE: "${{RELEASE:-1}}"}}
    secrets: [{{source: coffer, target: coffer}}]
    ports: [{{name: http, target: 8080}}]
    probes: {{readiness: {{http: {{path: "${{READY:-/}}", port: http}}, interval: 1s}}}}
    deploy: {{update_config: {{monitor: 1s, progress_deadline: 15s}}}}
secrets:
  token: {{provider: env, key: TOKEN}}
  coffer: {{provider: env, key: COFFER, encoding: base64}}
"""
DOCKER_APP = """
apiVersion: orch/v1
name: birds
services:
  web:
    image: local/tool:1
    pull_policy: never
    command:
      - sh
      - -c
      - 'cd /run/secrets; test -s password -a -s keys.p12 || exit 9; exec httpd -f -p 8080 -h /www'
    environment: {TOKEN: {secret: token}}
    secrets:
      - {source: password, target: password, mode: "0400"}
      - {source: keys, target: keys.p12, mode: "0400"}
    ports: [{name: http, target: 8080}]
    probes: {readiness: {tcp: {port: http}, interval: 1s}}
registries:
  registry.invalid: {username: ci, password: {secret: password}}
secrets:
  token: {provider: env, key: TOKEN}
  password: {provider: file, path: ./password.txt}
  keys: {provider: file, path: ./keys.p12}
"""
FORMS = ("json", "yaml", "markdown", "html")  # beside text, which all have
NEED_NO_SPEC = {"schema", "completion", "explain", "backends", "import"}
LOOKS = {
    "validate": [],
    "compile": ["--all"],
    "compare": ["--backends", "native"],
    "explain": ["services.web.environment", "--backend", "native"],
    "plan": ["--all"],
    "diff": [],
    "status": [],
    "ps": [],
    "logs": ["--tail", "50"],
    "events": [],
    "history": [],
    "drift": [],
    "top": ["--once"],
    "wait": ["--timeout", "20s"],
    "exec": ["web", "--", "true"],
    "port-forward": ["web", ":8080"],
    "backends": [],
    "schema": [],
    "completion": ["bash"],
    "import": ["app.yaml"],
    "unlock": ["--yes"],
}
CHANGES = {"deploy", "apply", "rollback", "scale", "restart", "down"}


def spec_words(verb: str) -> list[str]:
    return [] if verb in NEED_NO_SPEC else ["-f", "app.yaml"]


def look_at_everything(orch: Orch, env: dict[str, str], forms: tuple[str, ...] = FORMS) -> None:
    """Every verb that changes nothing, in every form of output that it knows."""
    for verb, words in LOOKS.items():
        orch(verb, *before_dashes(words, spec_words(verb)), code=None, env=env)
        for form in forms:
            given = before_dashes(words, [*spec_words(verb), "--output", form])
            orch(verb, *given, code=None, env=env)
        orch("--debug", verb, *before_dashes(words, spec_words(verb)), code=None, env=env)


def before_dashes(words: list[str], options: list[str]) -> list[str]:
    at = words.index("--") if "--" in words else len(words)
    return [*words[:at], *options, *words[at:]]


def change_everything(orch: Orch, env: dict[str, str], later: dict[str, str]) -> None:
    """Every verb that changes something, failures among them."""
    spec = ["-f", "app.yaml"]
    orch("deploy", *spec, env=env)
    orch("plan", *spec, "--out", "plan.json", env=later)
    orch("apply", "plan.json", "--yes", "--json", env=env, code=8)
    orch("apply", "plan.json", "--yes", "--json", env=later)
    orch("deploy", *spec, "--json", env={**later, "RELEASE": "2"})
    orch("scale", "web=2", *spec, env=later)
    orch("restart", "web", *spec, "--output", "json", env=later)
    orch("rollback", *spec, "--yes", env=later)
    orch("deploy", *spec, env={}, code=2)


def test_every_verb_is_tried() -> None:
    assert set(LOOKS) | CHANGES == set(SUMMARIES)


def test_processes(orch: Orch, tmp_path: Path) -> None:
    (orch.folder / "app.yaml").write_text(PROCESS_APP)
    first, second = ({"TOKEN": token, "COFFER": CODED} for token in (FIRST, SECOND))
    with ProcessWatch(MARK) as watch:
        change_everything(orch, first, second)
        orch("deploy", "-f", "app.yaml", env={**second, "READY": "/missing"}, code=5)
        look_at_everything(orch, second)
    assert_silent(orch)
    assert watch.rounds > 10
    assert not watch.hits
    assert not found_below(tmp_path, MARK)
    orch("down", "-f", "app.yaml", "--volumes", "--yes", env=second)
    assert_silent(orch)
    assert not found_below(tmp_path, MARK)


@pytest.mark.docker
@pytest.mark.root
def test_containers(orch_docker: Orch, dockerd: Engine, tmp_path: Path) -> None:
    orch = orch_docker
    (orch.folder / "app.yaml").write_text(DOCKER_APP)
    (orch.folder / "password.txt").write_text(FROM_FILE)
    (orch.folder / "keys.p12").write_bytes(BYTES)
    env = {"TOKEN": FIRST}
    with ProcessWatch(MARK) as watch:
        orch("deploy", "-f", "app.yaml", env=env)
        orch("plan", "-f", "app.yaml", "--out", "plan.json", env=env)
        look_at_everything(orch, env, ("json",))  # the forms are the same for both drivers
    assert_silent(orch)
    assert not watch.hits
    inspected = inspect_everything(dockerd)
    assert FROM_FILE not in inspected
    assert not found_in(inspected.replace(f"TOKEN={FIRST}", "").encode(), MARK)
    assert inspected.count(FIRST) == inspected.count(f"TOKEN={FIRST}"), "only the asked variable"
    for name in ("password.txt", "keys.p12"):
        (orch.folder / name).unlink()
    left = found_below(tmp_path, MARK)
    mounted = {path for path in left if "secrets" in path.parts}
    assert set(left) == mounted, left
    for path in mounted:
        assert_owner_only(tmp_path / path, tmp_path)
    orch("down", "-f", "app.yaml", "--volumes", "--yes", env=env)
    assert not found_below(tmp_path, MARK)


def inspect_everything(dockerd: Engine) -> str:
    client = dockerd.client()
    containers = [
        client.api.inspect_container(c.id)
        for c in client.containers.list(all=True, ignore_removed=True)
    ]
    networks, volumes = client.api.networks(), client.api.volumes()
    client.close()
    assert containers
    return json.dumps([containers, networks, volumes])


def assert_owner_only(path: Path, top: Path) -> None:
    """Some folder on the way to it lets nobody but its owner in."""
    ways = [p for p in path.parents if p.is_relative_to(top) and p != top]
    assert any(p.stat().st_mode & 0o077 == 0 for p in ways), path


def assert_silent(orch: Orch) -> None:
    for ran in orch.ran:
        for stream in (ran.stdout, ran.stderr):
            seen = found_in(stream.encode(), MARK)
            assert not seen, f"orch {' '.join(ran.command)} printed it: {seen}"


def test_the_search_finds(tmp_path: Path) -> None:
    """What would be a leak is found: plain, encoded, packed, in a process list."""
    import gzip

    (tmp_path / "plain").write_text(f"x{FIRST}y")
    (tmp_path / "packed").write_bytes(b"junk" + gzip.compress(FIRST.encode()) + b"more")
    for pad in range(3):
        (tmp_path / f"base64-{pad}").write_bytes(base64.b64encode(b"x" * pad + FIRST.encode()))
    (tmp_path / "hex").write_text(FIRST.encode().hex())
    assert len(found_below(tmp_path, MARK)) == len(list(tmp_path.iterdir()))
    program = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program, FIRST], stdin=subprocess.PIPE) as child:
        with ProcessWatch(MARK) as watch:
            while not watch.hits and watch.rounds < 500:
                os.sched_yield()
        child.communicate()
    assert watch.hits
