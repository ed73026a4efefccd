"""Three-way diff of 10,000 objects of which 1 % changed (goal 100 ms), and their plan (1 s)."""

from __future__ import annotations

import gc
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from measure import report

from orch.backend.capabilities import Capabilities
from orch.frozen import EMPTY
from orch.load.source import app_from_document
from orch.plan.diff import diff_bodies
from orch.plan.make import make_plan
from orch.plan.merge import predict
from orch.types import Instance, Ledger, Manifest, Observed, Resource, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 10_000
HERE = Instance("bench", "default", "big")
CAPABILITIES = Capabilities(EMPTY, list_keys={"service:ports": ("target", "protocol")})


def body(number: int) -> dict[str, Any]:
    """A service of 50 leaves."""
    return {
        "image": f"example.com/app-{number}:1",
        "environment": {f"VARIABLE_{n}": f"value {n} of {number}" for n in range(25)},
        "ports": [{"target": 8000 + n, "protocol": "tcp", "name": f"p{n}"} for n in range(4)],
        "deploy": {"replicas": 3, "resources": {"limits": {"cpus": "0.5", "memory": "256Mi"}}},
        "labels": {f"label-{n}": str(n) for n in range(9)},
    }


def fresh(value: Any) -> Any:
    """The same value as a platform's answer would hold it: parsed anew, nothing shared."""
    return json.loads(json.dumps(value))


resources = tuple(
    Resource(f"service/s{n}", "service", f"s{n}", body(n), rollout=True) for n in range(COUNT)
)
manifest = Manifest("big", "bench", resources, Ledger(()))
live = {
    r.id: Observed(r.id, r.kind, r.name, fresh(r.body), fresh(r.body), HERE, uid=r.id)
    for r in resources
}
unchanged = Snapshot(HERE, dict(live))
for number in range(0, COUNT, 100):
    row = live[f"service/s{number}"]
    row.body["environment"]["VARIABLE_3"] = "another"
    row.applied["environment"]["VARIABLE_3"] = "another"
snapshot = Snapshot(HERE, live)
app = app_from_document({"apiVersion": "orch/v1", "name": "big"})


def diff() -> None:
    """What would change in each object."""
    predicted = predict(manifest, snapshot, CAPABILITIES, None)
    changed = 0
    for id_, before in snapshot.objects.items():
        after = predicted.objects[id_]
        changed += bool(diff_bodies(before.body, after.body, CAPABILITIES.list_keys, "service"))
    assert changed == COUNT // 100, changed


def plan() -> None:
    """The whole plan."""
    predicted = predict(manifest, snapshot, CAPABILITIES, None)
    made = make_plan(
        HERE, "bench", app, manifest, snapshot, predicted, None, {}, capabilities=CAPABILITIES
    )
    assert len(made.pending) == COUNT // 100


def seconds(work: Callable[[], None]) -> float:
    """Median of five runs."""
    gc.collect()
    gc.freeze()
    spent = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


report("diff_10000_objects", seconds(diff) * 1000, "ms")
report("plan_10000_objects", seconds(plan), "s")
