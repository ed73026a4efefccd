"""Compile 1,000 services: to one backend as a whole process (goal 0.7 s), to all (goal 3 s).

"All" is one process that loads once and compiles for every backend that can be used here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import ORCH, process_seconds, report
from spec import spec

ALL = """
import gc; gc.disable()
import os
import sys
from pathlib import Path
from orch.backend.discovery import installed, missing_modules
from orch.compile.compile import compile_app
from orch.load.source import Source, load
plugins = installed()
app = load(Source(files=(Path(sys.argv[1]),)), plugins.readers).app
for name, factory in plugins.backends.items():
    if not missing_modules(factory):
        compile_app(plugins.backend(name), app)
os._exit(0)  # as `orch` leaves: see orch.cli.program
"""

with tempfile.TemporaryDirectory() as scratch:
    path = Path(scratch) / "big.yaml"
    path.write_text(spec(1000))
    validate = [ORCH, "validate", "-f", path]
    report("validate_1000", process_seconds(validate), "s")
    one = [ORCH, "compile", "-f", path, "--backend", "native", "--output", "json"]
    report("compile_1000_one_backend", process_seconds(one), "s")
    report("compile_1000_all_backends", process_seconds([sys.executable, "-c", ALL, path]), "s")
