"""Between a document and an application: validating the one, and writing out the other."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from orch.errors import InvalidSpec
from orch.frozen import FrozenDict
from orch.load.faults import EXTRA, document_path, faults_of
from orch.spec.application import Application, Config
from orch.spec.image import Image
from orch.spec.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from orch.load.faults import Fault
    from orch.types import FieldPath

EXTENSION = "x-"
_kind: Callable[[Any], Any] = type


class Invalid(Exception):
    """A document that is no application; `faults` have no places yet."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(len(faults))
        self.faults = faults


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking a tree that only grows: it doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def validated(tree: Mapping[str, Any], interpolated: Collection[FieldPath] = ()) -> Application:
    """An application from a document. Raises Invalid.

    Keys that begin with `x-` go to its `extensions`. They are looked for only after a first
    refusal, so that other files don't pay for them.
    """
    try:
        return _validate(tree)
    except ValidationError as fault:
        errors = fault.errors(include_url=False)
        paths = frozenset(_extensions(errors, tree))
        if not paths:
            raise Invalid(faults_of(errors, tree, interpolated)) from None
    rest = deepcopy(dict(tree))
    table = {path: _take(rest, path) for path in sorted(paths, key=_readable)}
    try:
        return _validate(rest).with_extensions(table)
    except ValidationError as fault:
        errors = fault.errors(include_url=False)
        raise Invalid(faults_of(errors, rest, interpolated)) from None


def _validate(tree: Mapping[str, Any]) -> Application:
    return Application.model_validate(tree, by_alias=True, by_name=False)


def _extensions(errors: list[Any], tree: Any) -> Iterator[FieldPath]:
    for error in errors:
        if error["type"] in EXTRA:
            path, _ = document_path(error["loc"], tree, error["type"])
            if str(path[-1]).startswith(EXTENSION):
                yield path


def _readable(path: FieldPath) -> tuple[str, ...]:
    return tuple(map(str, path))


def _take(tree: Any, path: FieldPath) -> Any:
    for key in path[:-1]:
        tree = tree[key]
    return tree.pop(path[-1])


def app_from_document(document: Mapping[str, Any]) -> Application:
    """The application that `document_of` wrote out; no file is read.

    Raises InvalidSpec when the document was made by something else.
    """
    with collector_paused():
        try:
            app = validated(document)
        except Invalid as invalid:
            raise InvalidSpec([fault.diagnostic for fault in invalid.faults]) from None
    return with_configs(app, {n: c for n, c in app.configs.items() if _is_filled(c)})


def _is_filled(config: Config) -> bool:
    return config.file is not None and config.content is not None


def with_configs(app: Application, filled: Mapping[str, Config]) -> Application:
    """The application with these configs, whose content counts as not written by the author."""
    if not filled:
        return app
    configs = {
        name: _unauthored(filled[name]) if name in filled else config
        for name, config in app.configs.items()
    }
    return app.model_copy(update={"configs": FrozenDict(configs)})


def _unauthored(config: Config) -> Config:
    written = config.model_fields_set - {"content", "encoding"}
    return Config.model_construct(written, **config.__dict__)


def document_of(app: Application) -> dict[str, Any]:
    """What the author set, in canonical long form and JSON-shaped, with configs' contents."""
    with collector_paused():
        document: dict[str, Any] = _written(app)
    for path, value in app.extensions.items():
        _put(document, path, value)
    return document


def _put(tree: Any, path: FieldPath, value: Any) -> None:
    """Write a value where its owner still is; profiles may have taken that away."""
    for key in path[:-1]:
        held = isinstance(tree, list) or key in tree
        if not held:
            return
        tree = tree[key]
    tree[path[-1]] = value


def _written(value: Any) -> Any:
    return _writer(_kind(value))(value)


def _same(value: Any) -> Any:
    return value


# Scalars are told apart here and not by their writer: a call for each is half of all the time.
_SCALARS = frozenset((str, int, bool, float, type(None)))


def _write_model(value: Any) -> dict[str, Any]:
    written = value.__pydantic_fields_set__
    return {
        key if key != "from_" else "from": item
        if (kind := _kind(item)) in _SCALARS
        else _writer(kind)(item)
        for key, item in value.__dict__.items()
        if key in written
    }


def _write_config(value: Config) -> dict[str, Any]:
    written = _write_model(value)
    if _is_filled(value):
        written["content"] = value.content
        if value.encoding != "utf-8":
            written["encoding"] = value.encoding
    return written


def _write_map(value: Any) -> dict[str, Any]:
    return {
        key: item if (kind := _kind(item)) in _SCALARS else _writer(kind)(item)
        for key, item in value.items()
    }


def _write_list(value: Any) -> list[Any]:
    return [item if (kind := _kind(item)) in _SCALARS else _writer(kind)(item) for item in value]


@cache
def _writer(kind: type[Any]) -> Callable[[Any], Any]:
    if kind is Config:
        return _write_config
    if issubclass(kind, BaseModel):
        return _write_model
    if issubclass(kind, Unit | Image):
        return str
    if issubclass(kind, dict):
        return _write_map
    return _write_list if issubclass(kind, tuple | list) else _same
