"""Validate and plan 10,000 services without a change. Goals: 5 s and 500 MB.

The target holds everything already, as the native backend's compile makes it, so that what is
measured is ours: load, resolve, compile, predict, diff and plan.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import peak_megabytes, process_seconds, report
from spec import spec

PROGRAM = """
import gc; gc.disable()
import os
import sys
from pathlib import Path
from orch.backend.discovery import installed
from orch.compile.compile import compile_app
from orch.load.source import Source, load
from orch.plan.make import make_plan
from orch.plan.merge import predict
from orch.types import Instance, Observed, Snapshot

instance = Instance("native", "default", "big")
plugins = installed()
backend = plugins.backend("native")
app = load(Source(files=(Path(sys.argv[1]),)), plugins.readers).app
manifest = compile_app(backend, app)
live = {
    r.id: Observed(r.id, r.kind, r.name, r.body, r.body, instance) for r in manifest.resources
}
snapshot = Snapshot(instance, live)
predicted = predict(manifest, snapshot, backend.capabilities(), None)
plan = make_plan(instance, "native", app, manifest, snapshot, predicted, None, {})
assert not plan.pending, plan.pending[0]
assert len(plan.actions) >= 10_000
os._exit(0)  # as `orch` leaves: see orch.cli.program
"""

with tempfile.TemporaryDirectory() as scratch:
    path = Path(scratch) / "big.yaml"
    path.write_text(spec(10_000))
    command = [sys.executable, "-c", PROGRAM, path]
    report("plan_10000_no_change", process_seconds(command, runs=3), "s")
    report("plan_10000_no_change_memory", peak_megabytes(command), "MB")
