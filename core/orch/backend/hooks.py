"""The hooks that a plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from orch.backend.contract import BackendFactory, Policy, Reader, SecretProvider

spec = pluggy.HookspecMarker("orch")
hook = pluggy.HookimplMarker("orch")
"""Marks a plugin's implementation: `@hook` above a function named as below."""


@spec
def orch_register_backend() -> BackendFactory:  # type: ignore[empty-body]
    """Offer a backend."""


@spec
def orch_register_reader() -> Reader:  # type: ignore[empty-body]
    """Offer a format that is accepted wherever a spec is."""


@spec
def orch_register_secret_provider() -> SecretProvider:  # type: ignore[empty-body]
    """Offer a place where secret values are kept."""


@spec
def orch_register_policy() -> Policy:  # type: ignore[empty-body]
    """Offer a rule over what is about to be deployed."""


@spec
def orch_register_commands(root: click.Group) -> None:
    """Add commands to `orch`."""
