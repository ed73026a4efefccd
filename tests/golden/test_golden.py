"""Every example, compiled for every backend here: the manifest and its ledger, side by side.

`pytest tests/golden --update` writes what is seen; read the difference before it is kept.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import BaseModel

from orch.backend.discovery import installed
from orch.compile.compile import compile_app
from orch.load.source import Source, load
from orch.types import render_path

if TYPE_CHECKING:
    from orch.backend.contract import Backend
    from orch.spec.application import Application
    from orch.types import Manifest

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE.parents[1] / "specs/examples").iterdir())
BACKENDS = ("native", "swarm", "kubernetes")
LONGEST = 3000
PARTS = ("Container", "Model", "PodFields", "RollConfig", "InitContainer", "Sidecar", "Job")


def application(folder: Path) -> Application:
    file = folder / "orch.yaml"
    said = yaml.safe_load(file.read_text())
    environment = "prod" if "environments" in said else None
    profiles = sorted({p for s in said.get("services", {}).values() for p in s.get("profiles", ())})
    return load(Source((file,), environment=environment, profiles=tuple(profiles)), {}).app


def resources_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "id": r.id,
            "name": r.name,
            "body": shortened(dict(r.body)),
            "depends_on": [f"{d.id} {d.condition}" for d in r.depends_on],
        }
        for r in manifest.resources
    ]


def shortened(value: Any) -> Any:
    """A body in which long files, such as programs that a backend carries, are a digest."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return value


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "path": render_path(row.path),
            "outcome": str(row.outcome),
            "outputs": list(row.outputs),
            **({"reason": row.reason, "class": str(row.consequence)} if row.reason else {}),
        }
        for row in manifest.ledger
    ]


def compare(file: Path, seen: Any, *, update: bool) -> None:
    text = yaml.safe_dump(seen, sort_keys=False, allow_unicode=True, width=100)
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"{file} is not there: run pytest tests/golden --update"
    assert file.read_text() == text


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return installed().backend(request.param)


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_manifest_and_ledger_are_as_kept(
    folder: Path, backend: Backend, request: pytest.FixtureRequest
) -> None:
    update = bool(request.config.getoption("--update"))
    manifest = compile_app(backend, application(folder))
    kept = HERE / folder.name
    compare(kept / f"{backend.name}.manifest.yaml", resources_of(manifest), update=update)
    compare(kept / f"{backend.name}.ledger.yaml", rows_of(manifest), update=update)


def test_the_full_example_sets_every_field() -> None:
    written: dict[type[BaseModel], set[str]] = {}
    _collect(application(HERE.parents[1] / "specs/examples/17-full"), written)
    missing = [
        f"{model.__name__}.{name}"
        for model, names in written.items()
        if model.__name__ not in PARTS
        for name in set(model.model_fields) - names
        # A service says its resources under `deploy`; loading refuses them beside it.
        if f"{model.__name__}.{name}" != "Service.resources"
    ]
    assert not missing


def _collect(value: Any, written: dict[type[BaseModel], set[str]]) -> None:
    if isinstance(value, BaseModel):
        written.setdefault(type(value), set()).update(value.model_fields_set)
        for item in value.__dict__.values():
            _collect(item, written)
    elif isinstance(value, dict | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _collect(item, written)
