"""What `docker stack` made: how it is known, and what bodies call it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from orch_swarm import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.types import Instance

Row = dict[str, Any]
OF_DOCKER = "com.docker."


def short_of(stack: str, real: str) -> str:
    """What the stack's own file calls an object; `/name` for one that it gave a name."""
    prefix = f"{stack}_"
    return real[len(prefix) :] if real.startswith(prefix) and real != prefix else f"/{real}"


def text_of(data: bytes) -> dict[str, str]:
    """A config's content, as the spec holds it."""
    try:
        return {"Content": data.decode(), "Encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"Content": base64.b64encode(data).decode(), "Encoding": "base64"}


def data_of(row: Row) -> bytes:
    """A config's content."""
    return base64.b64decode(row["Spec"].get("Data") or "")


def is_template(row: Row) -> bool:
    """Whether an engine fills a config's content in: what is kept is not what tasks see."""
    return bool(row["Spec"].get("Templating"))


def config_name(stack: str, row: Row) -> str:
    """What bodies call a stack's config: as its content never changes, it serves as a version."""
    text = text_of(data_of(row))
    return f"{short_of(stack, row['Spec']['Name'])}-{names.digest([*text.values()])}"


def taken_names(instance: Instance, kinds: Mapping[str, Iterable[Row]]) -> dict[str, str]:
    """What bodies call objects of the instance's stack to their real names, where these differ.

    Adopted objects keep the names that `docker stack` gave them.
    """
    if instance.namespace != names.DEFAULT_NAMESPACE:
        return {}
    found: dict[str, str] = {}
    for kind, rows in kinds.items():
        for row, labels, real in _of_stack(instance.name, rows):
            if names.owner_of(labels, instance.target) not in (None, instance):
                continue
            if kind == "configs" and not is_template(row):
                found[config_name(instance.name, row)] = real
            elif names.real_name(instance, short := short_of(instance.name, real)) != real:
                found[short] = real
    return found


def _of_stack(stack: str, rows: Iterable[Row]) -> Iterator[tuple[Row, dict[str, str], str]]:
    for row in rows:
        spec = row.get("Spec", row)
        labels = spec.get("Labels") or {}
        if labels.get(names.STACK) == stack:
            yield row, labels, str(spec["Name"])
