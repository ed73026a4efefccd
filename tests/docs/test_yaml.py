"""Every YAML block of the pages is compiled, or is one of another kind that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from orch.backend.discovery import installed
from orch.compile.compile import compile_app
from orch.load.source import Source, load
from tests.docs.blocks import Block, all_blocks

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {"TAG": "1.4.2"}
OTHER_KINDS = (
    "# .gitlab-ci.yml",
    "# .github/workflows/",
    "# targets.yaml",
    "# .pre-commit-config.yaml",
    "# file: prices.yaml",
)


def name_of(text: str) -> str:
    if "orch/v1" in text:
        return "orch.yaml"
    return "manifests.yaml" if "apiVersion" in text else "compose.yaml"


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_yaml_block(block: Block, tmp_path: Path) -> None:
    if block.text.startswith(OTHER_KINDS):
        assert isinstance(yaml.safe_load(block.text), dict)
        return
    path = tmp_path / name_of(block.text)
    path.write_text(block.text)
    loaded = load(Source(files=(path,), variables=VARIABLES), installed().readers)
    manifest = compile_app(installed().backend("native"), loaded.app)
    assert manifest.resources
