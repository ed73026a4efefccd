"""What each flavour of Kubernetes makes of every example, as differences to the plain one."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

import pytest
import yaml

from orch.compile.compile import compile_app
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.flavours import FLAVOURS
from tests.golden.test_golden import EXAMPLES, HERE, application, resources_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orch.spec.application import Application


def lines(app: Application, flavour: str) -> list[str]:
    manifest = compile_app(KubernetesBackend({"flavour": flavour}), app)
    said = {"resources": resources_of(manifest), "ledger": rows_of(manifest)}
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=100).splitlines()


def differences(app: Application) -> Iterator[str]:
    plain = lines(app, "plain")
    for flavour in FLAVOURS:
        if flavour != "plain":
            yield f"== {flavour}"
            found = unified_diff(plain, lines(app, flavour), n=2, lineterm="")
            yield from (line for line in found if not line.startswith(("---", "+++", "@@")))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_flavours_differ_as_kept(folder: Path, request: pytest.FixtureRequest) -> None:
    file = HERE / folder.name / "kubernetes.flavours.diff"
    text = "\n".join(differences(application(folder))) + "\n"
    if request.config.getoption("--update"):
        file.write_text(text)
    assert file.exists(), f"{file} is not there: run pytest tests/golden --update"
    assert file.read_text() == text
