"""The name alone: told although the rest of the files can't be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orch.backend.discovery import installed
from orch.errors import InvalidSpec
from orch.load.source import Source, load, load_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAULTY = """\
apiVersion: orch/v1
name: shop
services: {web: {imge: shop, environment: {TOKEN: "${TOKEN:?no token}"}}}
"""
COMPOSE = 'services: {web: {image: "shop:${TAG:?no tag}", prots: [80]}}\n'


def name(*files: Path, variables: Mapping[str, str] | None = None, env: str | None = None) -> str:
    source = Source(files, environment=env, variables=variables or {})
    return load_name(source, installed().readers)


@pytest.mark.parametrize("text", [FAULTY, "name: shop\n" + COMPOSE])
def test_faults_and_unset_variables_elsewhere_do_not_matter(tmp_path: Path, text: str) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(text)
    assert name(file) == "shop"
    with pytest.raises(InvalidSpec):
        load(Source((file,)), installed().readers)


def test_it_is_taken_from_overlays_environments_and_variables(tmp_path: Path) -> None:
    base, overlay = tmp_path / "orch.yaml", tmp_path / "more.yaml"
    base.write_text(FAULTY + "environments: {prod: {name: shop-prod}}\n")
    overlay.write_text("name: ${NAME}-of-${STAGE:-test}\n")
    assert name(base, env="prod") == "shop-prod"
    assert name(base, overlay, variables={"NAME": "shop"}) == "shop-of-test"
    (tmp_path / ".env").write_text("NAME=bazaar\n")
    assert name(base, overlay) == "bazaar-of-test"


def test_compose_asks_its_own_variable_then_the_file_then_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "My Shop"
    folder.mkdir()
    file, ours = folder / "compose.yaml", folder / "orch.yaml"
    file.write_text(COMPOSE)
    assert name(file) == "myshop"
    file.write_text("name: ${NAME:-bazaar}\n" + COMPOSE)
    assert name(file) == "bazaar"
    assert name(file, variables={"COMPOSE_PROJECT_NAME": "fair"}) == "fair"
    ours.write_text("name: market\n")
    assert name(file, ours) == "market"


@pytest.mark.parametrize(
    "text", ["apiVersion: orch/v1\n", "name: a b\n", "name: 7\n", "name: ${UNSET}\n", "name: $[\n"]
)
def test_without_a_good_name_every_fault_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "orch.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSpec) as refused:
        name(file)
    assert "name" in str(refused.value)
