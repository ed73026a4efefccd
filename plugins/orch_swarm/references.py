"""How bodies name other objects of the application, and wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.compile.tokens import version_token
from orch_swarm.names import digest

if TYPE_CHECKING:
    from orch.compile.builder import ResourceBuilder
    from orch.compile.view import Read
    from orch.spec.application import Application, Config, Secret


class References:
    """Names of the application's objects as bodies use them; `/name` is one given by the spec."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def config_name(self, name: str, config: Config) -> str:
        """A config is named by its content: it can't change, and a new one takes its place."""
        if config.external:
            return f"/{config.name or name}"
        said = f"/{config.name}" if config.name else name
        return f"{said}-{digest([config.content, config.encoding])}"

    def secret_name(self, name: str, secret: Secret) -> str:
        """A secret is named by its version."""
        if secret.external:
            return f"/{secret.name or name}"
        said = f"/{secret.name}" if secret.name else name
        return f"{said}-{version_token(name)}"

    def mounts_secret(self, name: str) -> bool:
        """Whether any service or job mounts a secret."""
        units = (*self._app.services.values(), *self._app.jobs.values())
        return any(mount.source == name for unit in units for mount in unit.secrets)

    def config(self, resource: ResourceBuilder, source: Read) -> str:
        """Use a config."""
        name = str(source.value)
        config = self._app.configs.get(name)
        if config is None:
            return f"/{name}"
        if not config.external:
            resource.depend(f"config/{name}")
        return self.config_name(name, config)

    def secret(self, resource: ResourceBuilder, source: Read) -> str:
        """Use a secret; its version is part of the name, so a new one replaces the tasks."""
        name = str(source.value)
        secret = self._app.secrets.get(name)
        if secret is None:
            return f"/{name}"
        if not secret.external:
            resource.depend(f"secret/{name}")
            resource.secret_version(name)
        return self.secret_name(name, secret)

    def network(self, resource: ResourceBuilder, name: str) -> str:
        """Join a network."""
        network = self._app.networks.get(name)
        if network is not None and network.external:
            return f"/{network.name or name}"
        if network is not None or name == "default":
            resource.depend(f"network/{name}")
        return f"/{network.name}" if network is not None and network.name else name

    def volume(self, resource: ResourceBuilder, source: Read) -> tuple[str, dict[str, Any]]:
        """Mount a volume: its name, and the driver that makes it where the task lands."""
        name = str(source.value)
        volume = self._app.volumes.get(name)
        if volume is None:
            return f"/{name}", {}
        if volume.external:
            return f"/{volume.name or name}", {}
        resource.depend(f"volume/{name}")
        driver: dict[str, Any] = {}
        if volume.driver or volume.driver_opts:
            driver = {"Name": volume.driver or "local", "Options": dict(volume.driver_opts)}
        return f"/{volume.name}" if volume.name else name, driver
