"""Secrets from the process environment and from files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orch.backend.hooks import hook
from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orch.backend.contract import SecretProvider


class EnvironmentSecrets:
    """`{provider: env, key: DB_PASSWORD}`: a variable; without a key, the secret's own name."""

    name = "env"

    def read(self, name: str, source: Mapping[str, Any], base: Path) -> str:  # noqa: ARG002
        """The variable's value. Raises UsageFault when it is not set."""
        key = str(source.get("key") or name)
        value = os.environ.get(key)
        if value is None:
            raise UsageFault(
                f"the variable {key} is not set",
                place=f"secrets.{name}",
                mend=f"run: export {key}=…, or change the secret's `key`",
            )
        return value

    def version(self, name: str, source: Mapping[str, Any], base: Path) -> str | None:  # noqa: ARG002
        """None: the environment knows no versions."""
        return None


class FileSecrets:
    """`{provider: file, path: ./db_password.txt}`: a file, relative to the spec.

    Its content is the secret to the byte, as with Docker's and Kubernetes' files: a newline at the
    end belongs to it. `options: {trim: "true"}` takes one such newline away, for the files
    that editors write.
    """

    name = "file"

    def read(self, name: str, source: Mapping[str, Any], base: Path) -> bytes:
        """The file's content. Raises UsageFault when it can't be read; never shows it."""
        place = f"secrets.{name}"
        given = source.get("path")
        if not given:
            mend = "write path: FILE beside provider: file"
            raise UsageFault("the provider `file` needs a path", place=place, mend=mend)
        data = _content(base / str(given), place)
        if str((source.get("options") or {}).get("trim", "false")).lower() == "true":
            return data.removesuffix(b"\n").removesuffix(b"\r")
        return data

    def version(self, name: str, source: Mapping[str, Any], base: Path) -> str | None:  # noqa: ARG002
        """None: a file knows no versions, and its time of change proves nothing."""
        return None


def _content(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise UsageFault(
            f"{path} can't be read: {fault.strerror}", place=place, mend="write the file"
        ) from None


@hook
def orch_register_secret_provider() -> tuple[SecretProvider, ...]:
    """Offer both providers."""
    return (EnvironmentSecrets(), FileSecrets())
