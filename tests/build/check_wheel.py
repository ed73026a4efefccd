"""Install the built wheel in an environment of its own and use it from outside the checkout.

Usage: check_wheel.py DIST, the folder that holds one sdist and one wheel.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"orch", *(folder.name for folder in (ROOT / "plugins").glob("orch_*"))}
EXAMPLE = """
apiVersion: orch/v1
name: hello
services:
  web:
    command: [python3, -m, http.server, "8080"]
    ports: [{target: 8080}]
"""
USE = """
from importlib.metadata import entry_points
from orch.backend.discovery import load
found = load(entry_points(group="orch"))
assert not found.broken, found.broken
assert "native" in found.backends, found.backends
assert "compose" in found.readers, found.readers
"""


def main(dist: Path) -> None:
    """Check contents, then use the wheel."""
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    check_contents(wheel, sdist)
    with tempfile.TemporaryDirectory() as scratch:
        use(wheel, Path(scratch))
    print(f"{wheel.name} and {sdist.name} are sound")


def check_contents(wheel: Path, sdist: Path) -> None:
    """The wheel holds our packages and nothing else; the sdist can build it again."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == PACKAGES, f"the wheel holds {sorted(top)}, wanted {sorted(PACKAGES)}"
    kinds = ("*.py", "*.html", "*.css", "*.js", "*.yaml")
    rooms = [ROOT / "core", ROOT / "plugins"]
    sources = [(room, path) for room in rooms for kind in kinds for path in room.rglob(kind)]
    absent = [s for room, s in sources if s.relative_to(room).as_posix() not in names]
    assert not absent, f"the wheel lacks {absent}"
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "LICENSE", "README.md", "core/orch/version.py"}
    assert wanted <= held, f"the sdist lacks {wanted - held}"


def use(wheel: Path, scratch: Path) -> None:
    """Import and call the command from a folder where no checkout can be found."""
    venv = scratch / "venv"
    run("uv", "venv", "-q", "-p", sys.executable, venv)
    run("uv", "pip", "install", "-q", "-p", venv, "-c", ROOT / "requirements.lock", wheel)
    (scratch / "orch.yaml").write_text(EXAMPLE)
    run(venv / "bin/python", "-c", USE, cwd=scratch)
    run(venv / "bin/orch", "--version", cwd=scratch)
    run(venv / "bin/orch", "validate", "-f", "orch.yaml", cwd=scratch)
    run(venv / "bin/orch", "compile", "-f", "orch.yaml", "--backend", "native", cwd=scratch)
    run(venv / "bin/orch", "compare", "--backends", "native,swarm", "-o", "html", cwd=scratch)


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a program; its failure is ours."""
    subprocess.run([str(word) for word in command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
