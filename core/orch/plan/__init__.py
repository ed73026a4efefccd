"""From two snapshots to a graph of steps, pure: no clock, no network, no process environment."""

from orch.plan.diff import diff_bodies
from orch.plan.file import load_plan, save_plan
from orch.plan.make import make_plan
from orch.plan.merge import predict

__all__ = ["diff_bodies", "load_plan", "make_plan", "predict", "save_plan"]
