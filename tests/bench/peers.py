"""The same services through other tools, for comparison; opt-in, since it installs them.

Usage: peers.py [SERVICES]. Each tool that can be installed makes Kubernetes manifests of the
services of spec.py, said in what that tool reads, beside `orch compile` of the very same text
where it is Compose. Lines that begin with # tell what a tool could not be given, or leaves out:
a key counts as left out when the output is the same without it. `podman-compose` only prints the
file again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from measure import ORCH, process_seconds, report
from spec import spec

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]
OURS = "compile --loose --output json --backend kubernetes -f"


def compose(services: int) -> Document:
    """The services as a Compose file: what both can say."""
    document: Document = yaml.safe_load(spec(services))
    for service in document["services"].values():
        service.pop("probes")
        service["volumes"] = [m for m in service["volumes"] if m["type"] == "volume"]
        service["deploy"]["restart_policy"].pop("window")
    document.pop("apiVersion")
    document["volumes"] = {"uploads": {}}
    return document


def plain_ports(document: Document) -> Document:
    """komposer takes ports of the container alone, as text, each once: all go into one pod."""
    for number, service in enumerate(document["services"].values()):
        if "ports" in service:
            service["ports"] = [str(10000 + number), str(20000 + number)]
    return document


def infra(document: Document) -> str:
    """The services in infra-lang's own language; the second port and all that it lacks go."""
    return "\n".join(_infra(name, body) for name, body in document["services"].items())


def _infra(name: str, body: Document) -> str:
    deploy = body.get("deploy", {})
    sizes = deploy.get("resources", {})
    pairs = {key: ", ".join(f'{k}: "{v}"' for k, v in body.get(key, {}).items()) for key in _MAPS}
    lines = [
        f'image: "{body["image"]}"',
        f"replicas: {deploy.get('replicas', 1)}",
        *(
            f"command: {str(body['command']).replace(chr(39), chr(34))}"
            for _ in _has(body, "command")
        ),
        *(f"port {port['target']}" for port in body.get("ports", [])[:1]),
        *(
            f"env {{ {pairs['environment'].replace(', ', chr(10))} }}"
            for _ in _has(body, "environment")
        ),
        *(f"labels: {{ {pairs['labels']} }}" for _ in _has(body, "labels")),
        f"resources {{ requests {_size(sizes['reservations'])} limits {_size(sizes['limits'])} }}"
        if sizes
        else "",
    ]
    return f"service {name} {{\n" + "\n".join(f"  {line}" for line in lines if line) + "\n}\n"


_MAPS = ("environment", "labels")


def _has(body: Document, key: str) -> tuple[str, ...]:
    return (key,) if key in body else ()


def _size(bound: Document) -> str:
    return f"{{ cpu: {int(float(bound['cpus']) * 1000)}m, memory: {bound['memory']}i }}"


def dumped(document: Document) -> str:
    """As YAML."""
    return str(yaml.safe_dump(document))


@dataclass(frozen=True)
class Peer:
    """A tool: its package, how its input is written, and the command; `{file}` is the input."""

    package: str
    command: str
    write: Callable[[Document], str]
    file: str = "compose.yaml"


PEERS = (
    Peer(
        "komposer",
        "komposer -f {file} -p bench -r bench -b main",
        lambda document: dumped(plain_ports(document)),
    ),
    Peer("infra-lang", "infra compile {file} --dry-run", infra, "bench.infra"),
    Peer("podman-compose", "podman-compose -f {file} config", dumped),
)


def main(services: int) -> None:
    """Measure ourselves, then each tool that there is."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        measure_ourselves("compose", dumped(compose(services)), folder, services)
        for peer in PEERS:
            if (program := installed(peer, folder)) is not None:
                measure(peer, program, folder, services)
        plain = dumped(plain_ports(compose(services)))
        measure_ourselves("compose_as_komposer_reads_it", plain, folder, services)


def measure_ourselves(name: str, text: str, folder: Path, services: int) -> None:
    """Time `orch compile` of a Compose file."""
    file = folder / "compose.yaml"
    file.write_text(text)
    report(f"orch_{name}_{services}", process_seconds([ORCH, *OURS.split(), file], runs=3), "s")


def installed(peer: Peer, folder: Path) -> Path | None:
    """The tool's program, in an environment of its own; None when it can't be had."""
    venv = folder / peer.package
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/pip", "install", "-q", peer.package]
    if subprocess.run(pip, check=False, capture_output=True).returncode:
        print(f"# {peer.package}: can't be installed here", flush=True)
        return None
    program: Path = venv / "bin" / peer.command.split()[0]
    if not program.exists():
        print(f"# {peer.package}: has no command {program.name}", flush=True)
        return None
    return program


def measure(peer: Peer, program: Path, folder: Path, services: int) -> None:
    """Time one tool, and tell what it leaves out."""
    file = folder / peer.file
    words = [word.format(file=file) for word in peer.command.split()[1:]]

    def made(document: Document) -> str:
        file.write_text(peer.write(document))
        ran = subprocess.run([program, *words], capture_output=True, text=True, check=True)
        return ran.stdout

    try:
        tell_what_is_left_out(peer, made)
        file.write_text(peer.write(compose(services)))
        report(f"{peer.package}_{services}", process_seconds([program, *words], runs=1), "s")
    except (SystemExit, subprocess.CalledProcessError) as fault:
        told = getattr(fault, "stderr", "") or str(fault)
        print(f"# {peer.package}: {told.strip().splitlines()[-1][:200]}", flush=True)


def tell_what_is_left_out(peer: Peer, made: Callable[[Document], str]) -> None:
    """Keys of a service without which the output is the same."""
    whole = made(compose(1))
    silent = []
    for key in compose(1)["services"]["s0"]:
        less = compose(1)
        if key != "image":
            del less["services"]["s0"][key]
            if made(less) == whole:
                silent.append(key)
    print(f"# {peer.package}: leaves out {', '.join(silent) or 'nothing'}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
