"""References of a refused document, checked where its faults can't have caused what is found.

So a person mends a typo and a cycle in one go. Whatever a fault might have hidden, such as a
port whose name others use, ends this: a false complaint is worse than a late one.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from orch.load.document import Invalid, validated
from orch.load.hints import nearest
from orch.load.resolve import resolve
from orch.spec.shape import shape_at

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from orch.load.faults import Fault
    from orch.types import Diagnostic, FieldPath

_OWNERS = ("services", "jobs")
_NAMING = ("ports", "sidecars", "profiles", "pre_start", "formerly")
"""Parts of a service that others refer to, or that change which other parts there are."""


def unrelated(
    tree: dict[str, Any], faults: Sequence[Fault], profiles: Collection[str]
) -> list[Diagnostic]:
    """What the references of a refused document get wrong apart from its `faults`."""
    paths = [fault.diagnostic.path for fault in faults]
    if not all(map(_is_local, paths)):
        return []
    rest = deepcopy(tree)
    for path in sorted(paths, key=len, reverse=True):
        if not _removed(rest, path):
            return []
    try:
        app = validated(rest)
    except Invalid:
        return []
    _, found = resolve(app, profiles)
    return [d for d in found if not any(_touches(d.path, path) for path in paths)]


def _is_local(path: FieldPath) -> bool:
    """Whether the fault lies within one service or job, in a part that others don't refer to."""
    if len(path) <= 2 or path[0] not in _OWNERS:  # noqa: PLR2004  (section, name, part)
        return False
    part = str(path[2])
    owner = shape_at(path[:2])
    meant = part if owner is None or part in owner.fields else nearest(part, owner.fields)
    return meant not in _NAMING and not any(isinstance(key, int) for key in path)


def _removed(tree: Any, path: FieldPath) -> bool:
    """Take away what is at fault; a missing key can't be."""
    for key in path[:-1]:
        if key not in tree:
            return True
        tree = tree[key]
    if path[-1] not in tree:
        return False
    del tree[path[-1]]
    return True


def _touches(one: FieldPath, other: FieldPath) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
