"""The validator's complaints in words that a person can act on, one for each fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.load.hints import hint_for, unknown_key_hint
from orch.spec.shape import root, shape_at
from orch.types import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orch.spec.shape import Shape
    from orch.types import FieldPath

EXTRA = frozenset(("extra_forbidden", "invalid_key"))
_LONGEST = 48


class Fault(NamedTuple):
    """A diagnostic without its place, and whether the key or the value is to blame."""

    diagnostic: Diagnostic
    at_key: bool


def faults_of(
    errors: Sequence[Any], tree: Any, interpolated: Collection[FieldPath] = ()
) -> list[Fault]:
    """Say each of pydantic's errors once. `tree` is what was validated.

    What came out of variables is not shown, since it may be a secret.
    """
    found: dict[tuple[FieldPath, bool], Fault] = {}
    for error in errors:
        path, key_only = document_path(error["loc"], tree, error["type"])
        fault = _fault(error, path, key_only=key_only, hidden=path in interpolated)
        found.setdefault((path, fault.at_key), fault)
    return list(found.values())


def document_path(loc: Sequence[Any], tree: Any, kind: str) -> tuple[FieldPath, bool]:
    """The path in the document: pydantic also names the branches of unions that it tried.

    The second answer tells whether the last key itself is at fault.
    """
    if loc and loc[-1] == "[key]":
        return _key_path(loc[:-1], tree), True
    path: list[Any] = []
    value = tree
    for step in loc:
        if _holds(value, step):
            value = value[step]
            path.append(step)
    if kind == "missing":
        path.append(loc[-1])
    return tuple(path), kind in EXTRA


def _key_path(loc: Sequence[Any], tree: Any) -> FieldPath:
    """The path of a key that is no text: pydantic spells it as Python does."""
    path, _ = document_path(loc[:-1], tree, "")
    for step in path:
        tree = tree[step]
    key = next(key for key in tree if key == loc[-1] or str(key) == loc[-1])
    return *path, key if type(key) in (str, int) else json.dumps(key)


def _holds(value: Any, step: Any) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _fault(error: Any, path: FieldPath, *, key_only: bool, hidden: bool) -> Fault:
    kind, value = error["type"], error["input"]
    if kind in EXTRA:
        return Fault(_unknown(path), at_key=True)
    if key_only:
        return Fault(_bad_key(path), at_key=True)
    if kind == "missing":
        return Fault(_missing(path), at_key=True)
    shape = shape_at(path) or root()
    if hidden:
        fault = f"the value that its variable gives is not {shape.brief}"
        return Fault(Diagnostic(fault, path, mend=_examples(shape)), at_key=False)
    if kind == "value_error":
        fault, _, mend = str(error["ctx"]["error"]).partition("; ")
        return Fault(Diagnostic(fault, path, mend=mend), at_key=isinstance(value, dict))
    return Fault(_wrong(shape, path, value, kind), at_key=isinstance(value, dict | list))


def _unknown(path: FieldPath) -> Diagnostic:
    fault = f"there is no key `{path[-1]}` here"
    if not isinstance(path[-1], str):
        return Diagnostic(fault, path, mend="keys are text; remove it")
    return Diagnostic(fault, path, mend=unknown_key_hint(path))


def _bad_key(path: FieldPath) -> Diagnostic:
    shape = shape_at(path[:-1])
    words = shape.key.words if shape is not None and shape.key is not None else "text"
    key = path[-1]
    if not isinstance(key, str) or words == "text":
        return Diagnostic(f"the key {key} is not {words}", path, mend=f'put it in quotes: "{key}"')
    return Diagnostic(f"`{key}` is not {words}", path, mend="rename it")


def _missing(path: FieldPath) -> Diagnostic:
    shape = shape_at(path)
    about = f", {shape.brief}" if shape is not None else ""
    return Diagnostic(f"`{path[-1]}` is missing", path, mend=f"add `{path[-1]}`{about}")


def _wrong(shape: Shape, path: FieldPath, value: Any, kind: str) -> Diagnostic:
    if kind == "too_short":
        return Diagnostic("this list is empty", path, mend="write at least one item")
    if value is None:
        mend = f"write {' or '.join(shape.examples) or shape.brief}, or remove the key"
        return Diagnostic("this key has no value", path, mend=mend)
    mend = hint_for(shape, value) or _examples(shape)
    return Diagnostic(f"{shown(value)} is not {shape.brief}", path, mend=mend)


def _examples(shape: Shape) -> str:
    return f"write {' or '.join(shape.examples[:3])}" if shape.examples else ""


def shown(value: Any) -> str:
    """A value as it is quoted in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
