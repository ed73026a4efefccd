"""Objects of the API while they are read: what each is called, and where it is looked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orch.load.item import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orch.types import FieldPath

T = TypeVar("T")
CORE = ""
OUR_GROUPS = frozenset(
    (
        CORE,
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "gateway.networking.k8s.io",
        "apps.openshift.io",
        "image.openshift.io",
        "route.openshift.io",
    )
)
"""Groups of the API whose kinds are known; the same kind in another group is another thing."""
_LISTS = "List"


@dataclass(frozen=True, eq=False)
class Thing:
    """One object: its tree, with what identifies it."""

    item: Item
    group: str
    kind: str
    name: str
    namespace: str
    title: str
    """How messages and ledgers call it: `Deployment/web`, `Deployment/shop/web`."""

    def at(self, *keys: str) -> Item | None:
        """What stands under keys of nested mappings."""
        return self.item.at(*keys)

    def texts(self, *keys: str) -> dict[str, str]:
        """A mapping of texts, such as labels."""
        return texts(self.at(*keys))


def texts(item: Item | None) -> dict[str, str]:
    """A mapping of texts as it is, without what is null."""
    pairs = item.items() if item is not None else ()
    return {key: str(member.value) for key, member in pairs if member.value is not None}


def wrap(value: Any) -> Item:
    """A JSON-shaped value, as a cluster gives it, as a tree of items without places."""
    if isinstance(value, dict):
        return Item({str(key): wrap(member) for key, member in value.items()})
    if isinstance(value, list | tuple):
        return Item([wrap(member) for member in value])
    return Item(value)


def things(documents: Sequence[Item]) -> list[Thing]:
    """The objects of documents; lists of objects are opened. What is no object is passed over."""
    bare = [thing for document in documents for thing in _opened(document)]
    same = Counter(thing.title for thing in bare)
    found = [thing if same[thing.title] == 1 else _told_apart(thing) for thing in bare]
    for thing in found:
        root(thing.item, (thing.title,))
    return found


def _opened(document: Item) -> Iterator[Thing]:
    kind = _text(document, "kind")
    if kind.endswith(_LISTS) and document.get("items") is not None:
        for member in document.get("items") or ():
            yield from _opened(member)
        for key, member in document.items():
            if key != "items":
                root(member, (kind, key))
    elif kind and _text(document, "apiVersion"):
        yield _thing(document, kind)


def _thing(document: Item, kind: str) -> Thing:
    group, slash, _ = _text(document, "apiVersion").rpartition("/")
    group = group if slash else CORE
    metadata = document.get("metadata") or Item({})
    name = _text(metadata, "name") or _text(metadata, "generateName").rstrip("-")
    return Thing(document, group, kind, name, _text(metadata, "namespace"), f"{kind}/{name}")


def _told_apart(thing: Thing) -> Thing:
    kind = thing.kind if is_standard(thing) else f"{thing.kind}.{thing.group}"
    space = f"{thing.namespace}/" if thing.namespace else ""
    return replace(thing, title=f"{kind}/{space}{thing.name}")


def _text(item: Item, key: str) -> str:
    found = item.get(key)
    return found.value if found is not None and isinstance(found.value, str) else ""


def root(item: Item, path: FieldPath) -> None:
    """Let the paths of a tree begin with the name of its object."""
    item.path = path
    if isinstance(item.value, dict):
        for key, member in item.value.items():
            root(member, (*path, key))
    elif isinstance(item.value, list):
        for index, member in enumerate(item.value):
            root(member, (*path, index))


@dataclass(frozen=True)
class Objects:
    """All objects of one reading."""

    all: tuple[Thing, ...]
    _by_name: dict[tuple[str, str, str], Thing] = field(default_factory=dict)
    _by_kind: dict[str, list[Thing]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Sequence[Thing]) -> Objects:
        """An object that comes a second time stands instead of the first, as when it is applied."""
        by_name: dict[tuple[str, str, str], Thing] = {}
        for thing in found:
            kind = thing.kind if is_standard(thing) else f"{thing.kind}.{thing.group}"
            key = (kind, thing.namespace, thing.name)
            if thing.name and key in by_name:
                by_name[key].item.replace(thing.item.place)
            by_name[key if thing.name else (*key[:2], str(id(thing)))] = thing
        by_kind: dict[str, list[Thing]] = {}
        for thing in by_name.values():
            if thing.group in OUR_GROUPS:
                by_kind.setdefault(thing.kind, []).append(thing)
        return cls(tuple(by_name.values()), by_name, by_kind)

    def find(self, kind: str, name: str, namespace: str) -> Thing | None:
        """The object of a kind by its name, None when it is not among those that were read."""
        return self._by_name.get((kind, namespace, name))

    def of_kind(self, *kinds: str) -> Iterator[Thing]:
        """All objects of these kinds, in the order of the kinds."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    @property
    def namespaces(self) -> list[str]:
        """Every namespace that is named."""
        return list(dict.fromkeys(one.namespace for one in self.all if one.namespace))


def is_a(thing: Thing, kind: str) -> bool:
    """Whether it is of a kind of the API's own, and not of another group's of that name."""
    return thing.kind == kind and thing.group in OUR_GROUPS


def is_standard(thing: Thing) -> bool:
    """Whether its group belongs to Kubernetes or OpenShift, and to no addition."""
    return thing.group in OUR_GROUPS or thing.group.endswith((".k8s.io", ".openshift.io"))


def selects(selector: Item | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector with `matchLabels` and `matchExpressions` means what has these labels."""
    if selector is None:
        return False
    wanted = texts(selector.get("matchLabels"))
    rules = selector.get("matchExpressions") or ()
    return is_part(wanted, labels) and all(_holds(rule, labels) for rule in rules)


def is_part(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all of these labels are among those."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _holds(rule: Item, labels: Mapping[str, str]) -> bool:
    key, operator = _text(rule, "key"), _text(rule, "operator")
    values = [member.value for member in rule.get("values") or ()]
    if operator in ("In", "NotIn"):
        return (labels.get(key) in values) is (operator == "In")
    return (key in labels) is (operator == "Exists")


class Pods(Generic[T]):
    """What has pods, found by their labels: an application may have thousands."""

    def __init__(self, entries: Iterable[tuple[T, str, Mapping[str, str]]]) -> None:
        self._entries = list(entries)
        self._by_label: dict[tuple[str, str, str], list[int]] = {}
        self._by_space: dict[str, list[int]] = {}
        for number, (_, space, labels) in enumerate(self._entries):
            self._by_space.setdefault(space, []).append(number)
            for pair in labels.items():
                self._by_label.setdefault((space, *pair), []).append(number)

    def with_labels(self, space: str, wanted: Mapping[str, str]) -> list[T]:
        """All that a Service means with these labels: none, when it names none."""
        if not wanted:
            return []
        return self._those(self._near(space, wanted), lambda labels: is_part(wanted, labels))

    def meant(self, space: str, selector: Item | None) -> list[T]:
        """All that a selector with `matchLabels` and `matchExpressions` means."""
        if selector is None:
            return []
        near = self._near(space, texts(selector.get("matchLabels")))
        for rule in selector.get("matchExpressions") or ():
            if _text(rule, "operator") == "In":
                near = min(near, self._any_of(space, rule), key=len)
        return self._those(near, lambda labels: selects(selector, labels))

    def _those(self, near: Sequence[int], fits: Callable[[Mapping[str, str]], bool]) -> list[T]:
        return [self._entries[n][0] for n in near if fits(self._entries[n][2])]

    def _near(self, space: str, wanted: Mapping[str, str]) -> list[int]:
        """The shortest list of those that have one of the labels."""
        lists = [self._by_label.get((space, *pair), []) for pair in wanted.items()]
        return min(lists, key=len, default=self._by_space.get(space, []))

    def _any_of(self, space: str, rule: Item) -> list[int]:
        key = _text(rule, "key")
        values = [str(value.value) for value in rule.get("values") or ()]
        return sorted({n for value in values for n in self._by_label.get((space, key, value), ())})
