"""The same spec through other tools, for comparison; opt-in, since it installs them.

Usage: peers.py [SERVICES]. Makes a Compose file of equal content and lets each tool that can be
installed convert it, beside `orch compile` of the same file. A tool that can't be had is said.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from measure import ORCH, process_seconds, report
from spec import spec

PEERS = {
    "infra-lang": ("infra-lang", ["infra", "compile", "{file}"]),
    "komposer": ("komposer", ["komposer", "convert", "{file}"]),
    "podman-compose": ("podman-compose", ["podman-compose", "-f", "{file}", "config"]),
}


def as_compose(text: str) -> str:
    """The spec as a Compose file: what both can say."""
    document = yaml.safe_load(text)
    for service in document["services"].values():
        service.pop("probes")
        service["volumes"] = [m for m in service["volumes"] if m["type"] == "volume"]
        service["deploy"]["restart_policy"].pop("window")
    document.pop("apiVersion")
    document["volumes"] = {"uploads": {}}
    return str(yaml.safe_dump(document))


def main(services: int) -> None:
    """Measure each tool that there is."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "compose.yaml"
        file.write_text(as_compose(spec(services)))
        ours = [ORCH, "compile", "-f", file, "--backend", "native", "--output", "json", "--loose"]
        report(f"orch_compose_{services}", process_seconds(ours, runs=3), "s")
        for name, (package, command) in PEERS.items():
            measure_peer(name, package, command, Path(scratch), file, services)


def measure_peer(
    name: str, package: str, command: list[str], scratch: Path, file: Path, services: int
) -> None:
    """Install one tool in an environment of its own and time it."""
    venv = scratch / name
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/pip", "install", "-q", package]
    if subprocess.run(pip, check=False, capture_output=True).returncode:
        print(f"# {name}: can't be installed here")
        return
    words = [word.format(file=file) for word in command]
    program = venv / "bin" / words[0]
    if not program.exists():
        print(f"# {name}: has no command {words[0]}")
        return
    try:
        report(f"{name}_compose_{services}", process_seconds([program, *words[1:]], runs=1), "s")
    except SystemExit as fault:
        print(f"# {name}: {str(fault)[:300]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
