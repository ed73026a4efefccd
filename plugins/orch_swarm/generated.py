"""Services that the spec does not name: they do what Swarm itself has no words for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch_swarm.names import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.spec.application import Application
    from orch_swarm.references import References

READABLE = 0o444


def service(
    make: ManifestBuilder, app: Application, name: str, body: Mapping[str, Any]
) -> ResourceBuilder:
    """A service of ours beside those of the spec; a name that is taken is refused."""
    for part in (make.app.services, make.app.jobs):
        for taken, view in part.items():
            if taken == name:
                make.reject(view.here, f"a service called {name} is made", "give it another name")
    resource = make.resource("service", f"service/{name}", name, rollout=True)
    for key, value in body.items():
        resource.set((key,), value)
    for key, value in app.labels.items():
        resource.set(("Labels", key), value)
    return resource


def config(make: ManifestBuilder, name: str, content: str) -> ResourceBuilder:
    """A config of ours, named by its content as all are."""
    resource = make.resource("config", f"config/{name}", f"{name}-{digest([content, 'utf-8'])}")
    resource.set("Content", content)
    resource.set("Encoding", "utf-8")
    return resource


def mount(service: ResourceBuilder, config: ResourceBuilder, target: str) -> None:
    """Let a service see a config as a file."""
    service.depend(config.id)
    file = {"Name": config.name, "File": target, "UID": "0", "GID": "0", "Mode": READABLE}
    service.set(("Container", "Configs", target), file)


def mount_secret(service: ResourceBuilder, app: Application, refs: References, name: str) -> str:
    """Let a service see a secret of the application; gives its path."""
    secret = app.secrets[name]
    if not secret.external:
        service.depend(f"secret/{name}")
        service.secret_version(name)
    real = refs.secret_name(name, secret)
    file = {"Name": real, "File": name, "UID": "0", "GID": "0", "Mode": READABLE}
    service.set(("Container", "Secrets", name), file)
    return f"/run/secrets/{name}"
