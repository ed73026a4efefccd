"""Tokens that stand for a secret in a manifest until its version, then its value, is known.

Both replacements return a new value and leave the manifest as it was.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"\{\{orch\.(version|value|base64):([A-Za-z0-9][A-Za-z0-9._-]{0,62})\}\}")


def version_token(secret: str) -> str:
    """Stands for the secret's version."""
    return f"{{{{orch.version:{secret}}}}}"


def value_token(secret: str) -> str:
    """Stands for the secret's value, where that is text."""
    return f"{{{{orch.value:{secret}}}}}"


def base64_token(secret: str) -> str:
    """Stands for the secret's value in base64, whatever its bytes are."""
    return f"{{{{orch.base64:{secret}}}}}"


def with_versions(value: Any, versions: Mapping[str, str]) -> Any:
    """Put the versions in. Raises KeyError for a secret that has none."""
    return _replace(value, {"version": versions.__getitem__})


def with_values(value: Any, values: Mapping[str, bytes]) -> Any:
    """Put the values in; only what is about to be sent may hold the result.

    Raises UnicodeDecodeError where a value that is no text stands as text.
    """
    return _replace(
        value,
        {
            "value": lambda secret: values[secret].decode(),
            "base64": lambda secret: b64encode(values[secret]).decode(),
        },
    )


def _replace(value: Any, kinds: Mapping[str, Callable[[str], str]]) -> Any:
    def substitute(match: re.Match[str]) -> str:
        return kinds[match[1]](match[2]) if match[1] in kinds else match[0]

    return _map_strings(value, lambda text: _TOKEN.sub(substitute, text))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if "{{orch." in value else value
    if isinstance(value, dict):
        return {key: _map_strings(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(item, change) for item in value]
    return value
