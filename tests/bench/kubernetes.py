"""1,000 services on Kubernetes, 2,000 objects: first apply (8 s), a plan of nothing (3 s).

The API is the tests' double, in a process of its own, or the cluster that ORCH_TEST_KUBECONFIG
names; there a namespace `orch-bench` is made, and removed at the end. Services want no replicas,
so that what is measured is the API and us, and no node.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from measure import ORCH, process_seconds, report
from spec import spec

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SPACE = "orch-bench"
DOUBLE = """
import sys
from pathlib import Path
from tests.kubernetes_api.server import Api
api = Api()
api.start()
api.controllers.asleep.set()  # nothing of theirs is waited for
print(api.kubeconfig(Path(sys.argv[1])), flush=True)
sys.stdin.read()
api.stop()
"""


@contextmanager
def api(scratch: Path) -> Iterator[Path]:
    """The kubeconfig of a cluster."""
    given = os.environ.get("ORCH_TEST_KUBECONFIG")
    if given:
        yield Path(given)
        return
    with subprocess.Popen(
        [sys.executable, "-c", DOUBLE, str(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as double:
        assert double.stdout is not None
        assert double.stdin is not None
        yield Path(double.stdout.readline().strip())
        double.stdin.close()


def seconds(command: list[str | Path]) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} exited {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - started


with tempfile.TemporaryDirectory() as folder:
    scratch = Path(folder)
    path = scratch / "big.yaml"
    # Without ports of the host each service is two objects, as in the goals.
    inside = re.sub(r", published: \d+, mode: host", "", spec(1000))
    path.write_text(inside.replace("replicas: 3", "replicas: 0"))
    with api(scratch) as kubeconfig:
        target = ["-b", "kubernetes", "--namespace", SPACE, "--option", f"kubeconfig={kubeconfig}"]
        app = ["-f", path, *target, "--loose"]
        report(
            "kubernetes_first_apply_1000", seconds([ORCH, "deploy", *app, "--no-wait", "-y"]), "s"
        )
        planned = [ORCH, "plan", *app]
        report("kubernetes_plan_1000_no_change", process_seconds(planned, runs=3), "s")
        changed = scratch / "changed.yaml"
        changed.write_text(path.read_text().replace("A: a7,", "A: changed,"))
        plan = [ORCH, "plan", "-f", changed, *app[2:]]
        report("kubernetes_plan_1000_one_change", process_seconds(plan, runs=3, codes=(0, 2)), "s")
        if "ORCH_TEST_KUBECONFIG" in os.environ:
            report("kubernetes_down_1000", seconds([ORCH, "down", *app[:-1], "-y"]), "s")
