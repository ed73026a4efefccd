"""Where docker's own client finds its engine: variables, contexts and their certificates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Mapping

USUAL = "unix:///var/run/docker.sock"
NONE = "default"
"""The context that is none: variables and the usual socket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address, and the folder with ca.pem, cert.pem and key.pem for it."""

    host: str
    tls: Path | None = None
    verify: bool = True


def endpoint(context: str | None, variables: Mapping[str, str]) -> Endpoint:
    """What docker's client would use; `context` is one that was asked for. Raises UsageFault."""
    folder = _folder(variables)
    if context is None:
        if variables.get("DOCKER_HOST"):
            return _of_variables(variables, folder)
        context = variables.get("DOCKER_CONTEXT") or _current(folder)
    if context == NONE:
        return _of_variables(variables, folder)
    return _of_context(context, folder)


def _folder(variables: Mapping[str, str]) -> Path:
    said = variables.get("DOCKER_CONFIG")
    return Path(said) if said else Path.home() / ".docker"


def _of_variables(variables: Mapping[str, str], folder: Path) -> Endpoint:
    verify = bool(variables.get("DOCKER_TLS_VERIFY"))
    kept = variables.get("DOCKER_CERT_PATH")
    asked = verify or kept or variables.get("DOCKER_TLS")
    tls = (Path(kept) if kept else folder) if asked else None
    return Endpoint(variables.get("DOCKER_HOST") or USUAL, tls, verify)


def _current(folder: Path) -> str:
    return str(_read(folder / "config.json").get("currentContext") or NONE)


def _of_context(name: str, folder: Path) -> Endpoint:
    key = hashlib.sha256(name.encode()).hexdigest()
    file = folder / "contexts/meta" / key / "meta.json"
    if not file.is_file():
        raise UsageFault(f"there is no docker context {name!r}", mend="see `docker context ls`")
    said = (_read(file).get("Endpoints") or {}).get("docker") or {}
    tls = folder / "contexts/tls" / key / "docker"
    there = tls if tls.is_dir() else None
    return Endpoint(str(said.get("Host") or USUAL), there, not said.get("SkipTLSVerify"))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as fault:
        raise UsageFault(f"it can't be read: {fault}", place=str(file), mend="mend it") from fault
    return found if isinstance(found, dict) else {}
