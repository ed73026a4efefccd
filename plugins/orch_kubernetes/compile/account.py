"""ServiceAccounts: one of the application, and one of each part that has settings for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch_kubernetes import names
from orch_kubernetes.compile.files import use_registries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.spec.application import Application
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

KEY = "serviceaccount"
"""The kind by which `overrides.kubernetes` speaks of an account, in lower case."""


def compile_accounts(scope: Scope) -> None:
    """An account of the application's own, so that it shares no rights with others.

    What a part says of its account holds for that part alone, so that it gets one of its own.
    """
    app = scope.app
    _account(scope, f"account/{app.name}", names.object_name(app.name))
    for name in (*app.services, *app.jobs):
        if _own(app, name):
            _account(scope, f"account/{app.name}/{name}", own_account(app.name, name))


def use_account(pod: Pod) -> None:
    """Name the pod's account. It has no token for the API, unless its own account gives it one.

    What clouds read of an account they read as a pod is made, so that a change of it rolls out.
    """
    app, name = pod.scope.app, pod.name
    own = _own(app, name)
    pod.resource.depend(f"account/{app.name}/{name}" if own else f"account/{app.name}")
    called = own_account(app.name, name) if own else names.object_name(app.name)
    pod.resource.set((*pod.base, "serviceAccountName"), called)
    if not own:
        pod.resource.set((*pod.base, "automountServiceAccountToken"), value=False)
    elif name in app.services:
        pod.resource.set((*pod.metadata, "annotations", names.ACCOUNT), names.digest(own))


def own_account(app: str, name: str) -> str:
    """What the account of one part is called, as rights in a cloud are bound to it."""
    return names.object_name(f"{app}-{name}")


def _own(app: Application, name: str) -> Mapping[str, Any]:
    """What a part says of its account, by the keys as they are written."""
    unit = app.services.get(name) or app.jobs[name]
    said = unit.overrides.get(names.BACKEND, EMPTY)
    return {key: value for key, value in said.items() if key.lower() == KEY}


def _account(scope: Scope, id_: str, called: str) -> None:
    resource = scope.begin("v1", "ServiceAccount", id_, called)
    resource.set("automountServiceAccountToken", value=False)
    use_registries(scope, resource)
