"""Application to manifest: objects of the Kubernetes API as they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.compile.builder import ManifestBuilder
from orch_kubernetes import names
from orch_kubernetes.capabilities import capabilities
from orch_kubernetes.compile.account import compile_accounts
from orch_kubernetes.compile.files import compile_files
from orch_kubernetes.compile.job import JobCompiler
from orch_kubernetes.compile.network import compile_addresses, compile_aliases
from orch_kubernetes.compile.objects import Scope
from orch_kubernetes.compile.overrides import compile_overrides
from orch_kubernetes.compile.policies import PolicyCompiler
from orch_kubernetes.compile.routes import compile_routes
from orch_kubernetes.compile.scaling import (
    compile_autoscale,
    compile_disruption,
    compile_priorities,
)
from orch_kubernetes.compile.security import tell_of_users
from orch_kubernetes.compile.storage import compile_volumes
from orch_kubernetes.compile.workload import WorkloadCompiler, kind_of

if TYPE_CHECKING:
    from orch.spec.application import Application
    from orch.types import Manifest
    from orch_kubernetes.facts import ClusterFacts


CHANGED = frozenset({"CronJob", "HorizontalPodAutoscaler", "PodDisruptionBudget"})
"""Kinds whose API version depends on the cluster's."""


def compile_kubernetes(app: Application, facts: ClusterFacts) -> Manifest:
    """The application for a cluster of which these facts are known."""
    make = ManifestBuilder(app, names.BACKEND, capabilities(facts))
    scope = Scope(make, app, facts)
    make.note(f"compiled for {facts.flavour.title} {facts.said_version}")
    if facts.flavour.note:
        make.note(facts.flavour.note)
    compile_files(scope)
    compile_accounts(scope)
    compile_volumes(scope)
    compile_priorities(scope)
    for name, view in make.app.jobs.items():
        JobCompiler(scope, name, view).compile()
    for name, view in make.app.services.items():
        kind = kind_of(app, view.value)
        compile_addresses(scope, name, view, kind)
        WorkloadCompiler(scope, name, view).compile()
        compile_autoscale(scope, name, view, kind)
        compile_disruption(scope, name, view, kind)
    compile_aliases(scope)
    PolicyCompiler(scope).compile()
    compile_routes(scope)
    compile_overrides(scope)
    tell_of_users(scope)
    make.core(make.app.fidelity)
    _tell_of_versions(scope)
    return make.build()


def _tell_of_versions(scope: Scope) -> None:
    """Say which API versions were chosen, and what a sidecar is, where versions differ in it."""
    app, facts = scope.app, scope.facts
    chosen = {
        resource.kind: resource.body["apiVersion"]
        for resource in scope.begun.values()
        if resource.kind in CHANGED
    }
    said = [f"{kind} of {version}" for kind, version in sorted(chosen.items())]
    if any(unit.sidecars for unit in (*app.services.values(), *app.jobs.values())):
        said.append("sidecars natively" if facts.has("sidecars") else "sidecars as containers")
    if said:
        scope.make.note(f"by its version: {', '.join(said)}")
