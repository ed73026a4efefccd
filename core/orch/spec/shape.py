"""The model seen as a tree of shapes: what may stand at a path, in words that a person uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator

from orch.spec.application import Application
from orch.spec.base import NAME_PATTERN
from orch.spec.image import Image
from orch.spec.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo

    from orch.types import FieldPath, Key

_PATTERNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    NAME_PATTERN: ("a name of letters, digits, '.', '_' and '-', at most 63 of them", ("web",)),
    "^/": ("a path that begins with /", ("/data",)),
    r"^[0-7]{3,4}$": ("a file mode of octal digits in quotes", ('"0444"',)),
    "^[rwm]{1,3}$": ("any of the letters r, w and m", ("rwm",)),
}


_LAST_PORT = 65535


@dataclass(frozen=True)
class Shape:
    """What may stand at one place.

    `words` says it with its article. `model`, `item` and `members` are set for a model, for a
    mapping or list, and for a choice between shapes; `types` are the types of a scalar, as the
    author's format has them. `free_text` says that any text is accepted as it is.
    """

    words: str
    model: type[BaseModel] | None = None
    key: Shape | None = None
    item: Shape | None = None
    members: tuple[Shape, ...] = ()
    types: frozenset[type] = frozenset()
    choices: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    anything: bool = False
    free_text: bool = False

    @property
    def brief(self) -> str:
        """What it is, without what stands in it."""
        if self.members:
            return " or ".join(member.brief for member in self.members)
        if self.is_list:
            return "a list"
        return "a mapping" if self.is_map or self.model is not None else self.words

    @property
    def is_map(self) -> bool:
        """Whether the author chooses the keys."""
        return self.key is not None

    @property
    def is_list(self) -> bool:
        """Whether it holds items by number."""
        return self.item is not None and self.key is None

    @property
    def fields(self) -> Mapping[str, FieldInfo]:
        """The model's fields by the names that files use; empty when it is no model."""
        return {} if self.model is None else fields_of(self.model)

    def child(self, key: Key) -> Shape | None:
        """What may stand under a key, None when nothing may."""
        if self.members:
            return next((c for m in self.members if (c := m.child(key)) is not None), None)
        if self.item is not None:
            return self.item
        if self.anything:
            return self
        field = self.fields.get(str(key))
        return shape_of_field(field) if field is not None else None


@cache
def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that files use."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def shape_at(path: FieldPath) -> Shape | None:
    """What may stand at a path of the application, None when nothing may."""
    shape: Shape | None = root()
    for key in path:
        shape = shape.child(key) if shape is not None else None
    return shape


@cache
def root() -> Shape:
    """The application itself."""
    return _shape(Application, ())


def shape_of_field(field: FieldInfo) -> Shape:
    """What a model's field may hold."""
    known = _BY_FIELD.get(id(field))
    if known is None:
        known = _BY_FIELD[id(field)] = _shape(field.annotation, field.metadata)
    return known


# Fields belong to model classes, which live as long as the program.
_BY_FIELD: dict[int, Shape] = {}


def _shape(annotation: Any, metadata: Iterable[Any]) -> Shape:
    rules = list(metadata)
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        rules += more
    rules = [inner for rule in rules for inner in (rule, *getattr(rule, "metadata", ()))]
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _union([_shape(a, ()) for a in get_args(annotation) if a is not NoneType])
    if origin is Literal:
        return _choice(get_args(annotation))
    if origin in (dict, tuple):
        return _container(origin, get_args(annotation))
    return _scalar(annotation, rules)


def _union(members: list[Shape]) -> Shape:
    if len(members) == 1:
        return members[0]
    return Shape(
        " or ".join(member.words for member in members),
        members=tuple(members),
        types=frozenset().union(*(member.types for member in members)),
        choices=tuple(choice for member in members for choice in member.choices),
        examples=tuple(example for member in members for example in member.examples),
        free_text=any(member.free_text for member in members),
    )


def _choice(choices: tuple[Any, ...]) -> Shape:
    names = tuple(str(choice) for choice in choices)
    words = names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    return Shape(words, types=frozenset((str,)), choices=names, examples=names[:1])


def _container(origin: Any, arguments: tuple[Any, ...]) -> Shape:
    if origin is tuple:
        item = _shape(arguments[0], ())
        return Shape(f"a list, each item {item.words}", item=item)
    key, item = (_shape(argument, ()) for argument in arguments)
    return Shape(f"a mapping from {_plural(key)} to {item.words}", key=key, item=item)


def _plural(key: Shape) -> str:
    return "names" if key.words.startswith("a name") else "keys"


def _scalar(annotation: Any, rules: list[Any]) -> Shape:
    if annotation is Any:
        return Shape("anything", anything=True)
    if issubclass(annotation, BaseModel):
        return Shape(f"a mapping with {_listed(fields_of(annotation))}", model=annotation)
    if issubclass(annotation, Unit):
        types = frozenset((str, int, float))
        return Shape(annotation.noun, types=types, examples=annotation.forms)
    if annotation in (int, float):
        return _number(annotation, rules)
    return _OTHERS.get(annotation) or _text(rules)


_OTHERS = {
    Image: Shape("an image", types=frozenset((str,)), examples=("ghcr.io/acme/web:1.4",)),
    bool: Shape("true or false", types=frozenset((bool,)), examples=("true", "false")),
}


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:6]) + (" and more" if len(shown) > 6 else "")  # noqa: PLR2004


def _number(kind: type, rules: list[Any]) -> Shape:
    bounds = {
        bound: value
        for rule in rules
        for bound in ("ge", "gt", "le", "lt")
        if (value := getattr(rule, bound, None)) is not None
    }
    words = "a whole number" if kind is int else "a number"
    if "ge" in bounds and "le" in bounds:
        words += f" from {bounds['ge']} to {bounds['le']}"
    elif "ge" in bounds:
        words += f" of {bounds['ge']} or more"
    elif "gt" in bounds:
        words += f" above {bounds['gt']}"
    types = frozenset((int,)) if kind is int else frozenset((int, float))
    if bounds.get("le") == _LAST_PORT:
        return Shape(words, types=types, examples=("8080",))
    return Shape(words, types=types, examples=("1" if kind is int else "0.5",))


def _text(rules: list[Any]) -> Shape:
    pattern = next((p for rule in rules if (p := getattr(rule, "pattern", None))), None)
    if pattern is not None:
        words, examples = _PATTERNS.get(pattern, (f"text that matches {pattern}", ()))
        return Shape(words, types=frozenset((str,)), examples=examples)
    lenient = any(isinstance(rule, BeforeValidator) for rule in rules)
    types = frozenset((str, int, float, bool) if lenient else (str,))
    return Shape("text", types=types, free_text=True)
