"""YAML's merge key: a mapping that takes in others."""

from __future__ import annotations

from typing import Any

from orch.errors import InvalidSpec
from orch.types import Diagnostic, Place

MERGE_KEY = "<<"


def merged(value: Any, name: str) -> Any:
    """Resolve `<<`: keys written beside it win, then the earlier of the mappings it names."""
    if isinstance(value, list):
        return [merged(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    own = {key: merged(item, name) for key, item in value.items()}
    if MERGE_KEY not in own:
        return own
    sources = own.pop(MERGE_KEY)
    return merge_below(own, sources if isinstance(sources, list) else [sources], name)


def merge_below(own: dict[Any, Any], sources: list[Any], name: str) -> dict[Any, Any]:
    """A mapping with those that its merge key names put below it. Raises InvalidSpec."""
    below: dict[Any, Any] = {}
    for source in reversed(sources):
        if not isinstance(source, dict):
            fault = "`<<` names something that is no mapping"
            raise InvalidSpec([Diagnostic(fault, place=Place(name), mend="name a mapping")])
        below.update(source)
    return {**below, **own}
