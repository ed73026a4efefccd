"""A dictionary that can't be changed after it was made."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """A read-only dict: it serialises, compares and prints as one, and every change raises."""

    __slots__ = ()

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        msg = "this mapping is read-only"
        raise TypeError(msg)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __copy__(self) -> FrozenDict[K, V]:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> FrozenDict[K, V]:
        return self

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return FrozenDict, (dict(self),)


EMPTY: FrozenDict[Any, Any] = FrozenDict()


def thawed(value: Any) -> Any:
    """A copy of JSON-shaped data in plain dicts and lists, to be changed at will."""
    if isinstance(value, dict):
        return {
            key: thawed(item) if isinstance(item, dict | list | tuple) else item
            for key, item in value.items()
        }
    return [thawed(item) for item in value] if isinstance(value, list | tuple) else value
