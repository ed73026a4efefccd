"""JSON-shaped data as YAML, written as PyYAML's safe dumper writes it.

Its representer makes a node of everything and asks thrice what a plain scalar would be read as.
Here the events of its emitter are made at once, and those of a scalar once for each text.
"""

from __future__ import annotations

from functools import cache, lru_cache
from io import StringIO
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from yaml.events import Event

MAP = yaml.MappingStartEvent(None, "tag:yaml.org,2002:map", implicit=True, flow_style=False)
LIST = yaml.SequenceStartEvent(None, "tag:yaml.org,2002:seq", implicit=True, flow_style=False)
MAP_END, LIST_END = yaml.MappingEndEvent(), yaml.SequenceEndEvent()
BEFORE = (yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False))
AFTER = (yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent())
CONTAINERS = (dict, list, tuple)


def yaml_text(value: Any) -> str:
    """JSON-shaped data as YAML. No anchors: what occurs twice is written twice."""
    stream = StringIO()
    emit = _dumper(stream).emit
    for first in BEFORE:
        emit(first)
    _emit(value, emit)
    for last in AFTER:
        emit(last)
    return stream.getvalue()


def _emit(value: Any, emit: Callable[[Event], None]) -> None:
    if isinstance(value, dict):
        emit(MAP)
        for key, item in value.items():
            emit(_scalar(key))
            _emit(item, emit) if isinstance(item, CONTAINERS) else emit(_scalar(item))
        emit(MAP_END)
    elif isinstance(value, CONTAINERS):
        emit(LIST)
        for item in value:
            _emit(item, emit) if isinstance(item, CONTAINERS) else emit(_scalar(item))
        emit(LIST_END)
    else:
        emit(_scalar(value))


@lru_cache(maxsize=65536, typed=True)
def _scalar(value: object) -> Event:
    dumper = _judge()
    node = dumper.represent_data(value)
    implicit = tuple(
        node.tag == dumper.resolve(yaml.ScalarNode, node.value, plain)
        for plain in ((True, False), (False, True))
    )
    return yaml.ScalarEvent(None, node.tag, implicit, node.value, style=node.style)


@cache
def _judge() -> Any:
    return _dumper(StringIO())


def _dumper(stream: StringIO) -> Any:
    # The emitter in C is in most builds of PyYAML, but not in all.
    kind = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return kind(stream, allow_unicode=True)
