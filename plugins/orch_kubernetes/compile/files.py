"""Configs, secrets and registries: ConfigMaps and Secrets that never change, named by content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orch.compile.tokens import value_token, version_token
from orch.types import Consequence, Fidelity
from orch_kubernetes import names
from orch_kubernetes.capabilities import HOLDS
from orch_kubernetes.compile.objects import put_labels

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read, View
    from orch.spec.application import Application, Config
    from orch_kubernetes.compile.objects import Scope

HASHED = "its content is part of the name: a change is a new object, and rolls out"
ELSEWHERE = "it is kept with what it serves, and not once more by itself"
INSIDE = "the pull secret that is named holds it already"


def config_name(name: str, config: Config) -> str:
    """A config is named by its content, an external one by its own name."""
    if config.external:
        return config.name or names.object_name(name)
    said = names.object_name(config.name or name)
    return f"{said}-{names.digest([config.content, config.encoding])}"


def secret_name(app: Application, name: str) -> str:
    """A secret is named by its version, which is known when the plan is made."""
    secret = app.secrets.get(name)
    if secret is None:
        return names.object_name(name)
    if secret.external:
        return secret.name or names.object_name(name)
    return f"{names.object_name(secret.name or name)}-{version_token(name)}"


def secret_key(app: Application, name: str) -> str:
    """The key under which a Secret's object holds the value."""
    secret = app.secrets.get(name)
    return secret.key if secret and secret.external and secret.key else name


def use_config(scope: Scope, resource: ResourceBuilder, source: Read) -> str:
    """The name of a config's object, which the resource then waits for."""
    config = scope.app.configs.get(source.value)
    if config is None:
        return names.object_name(source.value)
    resource.depend(f"config/{source.value}")
    return config_name(source.value, config)


def use_secret(scope: Scope, resource: ResourceBuilder, source: Read) -> str:
    """The name of a secret's object, which the resource then waits for."""
    name = str(source.value)
    secret = scope.app.secrets.get(name)
    if secret is not None:
        resource.depend(f"secret/{name}")
        if not secret.external:
            resource.secret_version(name)
    return secret_name(scope.app, name)


def compile_files(scope: Scope) -> None:
    """All configs, secrets and registries."""
    for name, view in scope.make.app.configs.items():
        _config(scope, name, view)
    for name, view in scope.make.app.secrets.items():
        _secret(scope, name, view)
    for host, view in scope.make.app.registries.items():
        _registry(scope, host, view)


def _config(scope: Scope, name: str, view: View) -> None:
    config = view.value
    called = config_name(name, config)
    resource = scope.begin("v1", "ConfigMap", f"config/{name}", called, external=config.external)
    scope.make.core(view.file)
    _external(resource, view)
    if not config.external:
        resource.set("immutable", True)  # noqa: FBT003  (a value of the API)
        held = "binaryData" if config.encoding == "base64" else "data"
        resource.put((held, name), view.content)
        resource.rate((held,), view.encoding, Fidelity.NATIVE, "")
        if config.size > HOLDS:
            given = view.content if view.file is None else view.file
            scope.make.reject(given, "a ConfigMap holds 1 MiB", "put it into the image")
    _named(resource, view, called)
    put_labels(resource, ("metadata",), view.labels)


def _is_kept_elsewhere(app: Application, name: str) -> bool:
    """Whether a secret serves to pull images or to encrypt routes alone."""
    served = {registry.password.secret for registry in app.registries.values()}
    for route in app.routes:
        tls = route.tls
        if tls is not None and tls.cert is not None and tls.key is not None:
            served |= {tls.cert.secret, tls.key.secret}
    return name in served and not any(
        name in {mount.source for mount in part.secrets}
        or any(getattr(one, "secret", None) == name for one in part.environment.values())
        for unit in (*app.services.values(), *app.jobs.values())
        for part in (unit, *unit.pre_start, *unit.sidecars.values())
    )


def _secret(scope: Scope, name: str, view: View) -> None:
    secret = view.value
    if not secret.external and _is_kept_elsewhere(scope.app, name):
        for source in ("provider", "key", "path", "options", "encoding"):
            scope.make.core(view.field(source))
        for read in (view.name, view.labels, view.external):
            scope.make.lose(read, ELSEWHERE, "", Consequence.COSMETIC)
        return
    called = secret_name(scope.app, name)
    resource = scope.begin("v1", "Secret", f"secret/{name}", called, external=secret.external)
    for source in ("provider", "key", "path", "options", "encoding"):
        scope.make.core(view.field(source))
    _external(resource, view)
    if not secret.external:
        resource.secret_version(name)
        resource.set("immutable", True)  # noqa: FBT003  (a value of the API)
        resource.set("type", "Opaque")
        resource.set(("data", name), resource.secret_base64(name))
    _named(resource, view, called)
    put_labels(resource, ("metadata",), view.labels)


def _external(resource: ResourceBuilder, view: View) -> None:
    if view.value.external or view.external.authored:
        said = "true" if view.value.external else "false"
        resource.put(("metadata", "annotations", names.EXTERNAL), view.external, value=said)


def _named(resource: ResourceBuilder, view: View, called: str) -> None:
    outcome = Fidelity.NATIVE if view.value.external else Fidelity.EMULATED
    reason = "" if view.value.external else HASHED
    resource.put("metadata.name", view.name, value=called, outcome=outcome, reason=reason)


# -- registries --------------------------------------------------------------------------------


def pull_secret(app: Application, host: str) -> str:
    """The name of the Secret with which images of a registry are pulled."""
    password = app.registries[host].password.secret
    if _is_external(app, password):
        return secret_name(app, password)
    return f"{names.object_name(f'registry-{host}')}-{version_token(password)}"


def _registry(scope: Scope, host: str, view: View) -> None:
    """The password's token stands in JSON text: whoever sends it quotes the value for JSON."""
    password = view.value.password.secret
    called = pull_secret(scope.app, host)
    if _is_external(scope.app, password):
        scope.make.lose(view.username, INSIDE, "", Consequence.COSMETIC)
        return
    resource = scope.begin("v1", "Secret", f"registry/{host}", called)
    resource.secret_version(password)
    resource.secret_value(password)
    resource.set("immutable", True)  # noqa: FBT003  (a value of the API)
    resource.set("type", "kubernetes.io/dockerconfigjson")
    login = {"username": view.value.username, "password": value_token(password)}
    text = json.dumps({"auths": {host: login}})
    resource.put(
        ("stringData", ".dockerconfigjson"), view.username, view.password.secret, value=text
    )


def use_registries(scope: Scope, account: ResourceBuilder) -> None:
    """Let all pods of an account pull from every registry; a new password restarts none."""
    for index, (host, view) in enumerate(scope.make.app.registries.items()):
        password = view.value.password.secret
        held = _is_external(scope.app, password)
        account.depend(f"secret/{password}" if held else f"registry/{host}")
        if not held:
            account.secret_version(password)
        path = ("imagePullSecrets", index, "name")
        account.set(path, pull_secret(scope.app, host))
        if held:
            account.rate(path, view.password.secret, Fidelity.NATIVE, "")


def _is_external(app: Application, name: str) -> bool:
    return name in app.secrets and app.secrets[name].external
