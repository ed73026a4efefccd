"""An agent in a process of its own, to be killed: STATE DOCKER_HOST ASSIGNMENT REPORTS."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from orch_native.agent import LocalAgent
from orch_native.messages import Allocation, Observation, Routing

state, host, assignment, reports = sys.argv[1:]
lock = threading.Lock()


def report(observations: list[Observation]) -> None:
    with lock, Path(reports).open("a") as out:
        out.writelines(json.dumps(asdict(observation)) + "\n" for observation in observations)


agent = LocalAgent(Path(state), report, docker_host=host)
raws = json.loads(Path(assignment).read_text())
for raw in raws:
    raw["files"] = {name: text.encode() for name, text in raw.get("files", {}).items()}
agent.assign([Allocation(**raw) for raw in raws])
agent.route(Routing(1))
print("assigned", flush=True)
sys.stdin.read()
agent.close()
