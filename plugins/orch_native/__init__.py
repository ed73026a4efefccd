"""The native backend: our own scheduler for bare hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.backend.contract import BackendFactory
from orch.backend.hooks import hook
from orch.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import click

    from orch_native.backend import NativeBackend

OPTIONS = FrozenDict(
    {
        "state": "Folder of the server; by default $ORCH_STATE or ~/.local/state/orch.",
        "socket": "Socket of a server that runs already; none is started then.",
        "docker_host": "Address of the Docker engine, such as unix:///run/docker.sock.",
        "labels": "Labels of this host for placement, such as tier=web,zone=a; kept once given.",
        "driver": "Allow one driver alone: docker or process.",
    }
)


def create(options: Mapping[str, str]) -> NativeBackend:
    """A native backend; the server is looked for only when it is needed."""
    from orch_native.backend import NativeBackend

    return NativeBackend(options)


@hook
def orch_register_backend() -> BackendFactory:
    """This host, run by our own scheduler: containers with docker, plain processes without."""
    return BackendFactory(
        "native",
        "this host: containers or plain processes, with nothing to install",
        create,
        options=OPTIONS,
    )


@hook
def orch_register_commands(root: click.Group) -> None:
    """`orch server`, `orch why` and `orch promote`."""
    from orch_native.commands import register

    register(root)
