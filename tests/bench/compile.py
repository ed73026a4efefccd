"""Compile 1,000 services: to one backend as a whole process (goal 0.7 s), to all (goal 3 s).

"All" is one process that loads once and compiles for every backend that can be used here.
`compare_1000` is `orch compare` for all of them and for every flavour, with sizes and costs.
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

REFUSED_TOO = (0, 4)  # a replica that starts first and has a host port is refused by Swarm

with tempfile.TemporaryDirectory() as scratch:
    path = Path(scratch) / "big.yaml"
    path.write_text(spec(1000))
    validate = [ORCH, "validate", "-f", path]
    report("validate_1000", process_seconds(validate), "s")
    for backend in ("native", "swarm", "kubernetes"):
        one = [ORCH, "compile", "-f", path, "--loose", "--output", "json", "--backend", backend]
        report(f"compile_1000_{backend}", process_seconds(one, codes=REFUSED_TOO), "s")
    report("compile_1000_all_backends", process_seconds([sys.executable, "-c", ALL, path]), "s")
    compare = [ORCH, "compare", "-f", path, "--loose", "--output", "json"]
    report("compare_1000_every_flavour", process_seconds(compare, runs=1, codes=REFUSED_TOO), "s")
