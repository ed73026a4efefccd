"""The template of a plugin, copied as its README says: what it does not claim to do is listed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def test_a_copy_of_the_template_passes_its_tests_without_a_warning(
    project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "plugin"
    shutil.copytree(
        project / "contrib/plugin-template", copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "tests"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTEST_ADDOPTS": f"--basetemp={tmp_path}/run"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    (counts,) = re.findall(r"=+ (\d+ passed, .*) in ", ran.stdout)
    assert re.fullmatch(r"\d+ passed, \d+ skipped, \d+ xfailed", counts)
