"""How a backend writes a manifest: fields are put into resources, and the ledger keeps itself."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from orch.compile.tokens import base64_token, value_token, version_token
from orch.compile.view import (
    HERE,
    Node,
    Read,
    View,
    asks_nothing,
    children,
    node_kind,
    plain,
    spelt,
    view_of,
)
from orch.spec.consequence import consequence_of
from orch.types import (
    Condition,
    Dependency,
    Fidelity,
    Ledger,
    LedgerEntry,
    Manifest,
    Resource,
    render_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.spec.application import Application
    from orch.types import Consequence, FieldPath, Key

    _Steps = tuple[tuple[Key, Callable[[], Any]], ...]

_ABSENT: Any = object()
CORE = "@core"
"""The output of a field that core honours itself, as it does where a secret's value is read."""


class Carried(NamedTuple):
    """One way in which a field arrived: the output it went to, and how well.

    `depth` counts the keys of the node that was written as it is, so that a leaf below it can
    be told its exact output; -1 when the output holds something else.
    """

    output: str
    outcome: Fidelity
    reason: str = ""
    mend: str = ""
    consequence: Consequence | None = None
    depth: int = -1


_HONOURED = Carried(CORE, Fidelity.NATIVE)


class ResourceBuilder:
    """One resource in the making."""

    def __init__(self, kind: str, id_: str, name: str, *, rollout: bool, stateful: bool) -> None:
        self.id, self.kind, self.name = id_, kind, name
        self._rollout, self._stateful = rollout, stateful
        self.body: dict[str, Any] = {}
        self._depends_on: dict[str, Dependency] = {}
        self._secrets: dict[str, None] = {}
        self._sends: dict[str, None] = {}

    def put(
        self,
        output: str | FieldPath,
        *reads: Read | Node | None,
        value: Any = _ABSENT,
        outcome: Fidelity = Fidelity.NATIVE,
        reason: str = "",
        mend: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Write fields of the spec at an output path and account for them.

        Without `value` the first read's own value is written. A node carries everything below
        it. A read of None (an absent part) writes nothing.
        """
        for first in reads:
            if first is not None:
                break
        else:
            return
        depth = -1
        if value is _ABSENT:
            value = plain(first.value)
            depth = first.depth if isinstance(first, Node) else -1
        name, steps, last = _route(output)
        _assign(self.body, steps, last, value)
        carried = Carried(f"{self.id}:{name}", outcome, reason, mend, consequence, depth)
        for read in reads:
            carry(read, carried)

    def put_all(self, node: Node) -> None:
        """Write everything of a model under its own names at the top of the body.

        What is not native may be put, lost or rejected on its own: what is nearest to a leaf
        decides its row.
        """
        self.body.update(plain(node.value))
        carry(node, Carried(f"{self.id}:", Fidelity.NATIVE, depth=node.depth))

    def rate(
        self,
        path: FieldPath,
        read: Read | Node,
        outcome: Fidelity,
        reason: str,
        *,
        mend: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Say how well something is held that stands in the body already."""
        output = f"{self.id}:{_rendered(path)}"
        depth = read.depth if isinstance(read, Node) else -1
        carry(read, Carried(output, outcome, reason, mend, consequence, depth))

    def hold_empty(self, node: Node, path: FieldPath) -> None:
        """Say where parts below a node stand that were written empty, such as `deploy: {}`."""
        node.empty = Carried(f"{self.id}:{_rendered(path)}", Fidelity.NATIVE)

    def leave_out(self, path: FieldPath) -> None:
        """Take something out of the body again; one that is not there is no fault."""
        target: Any = self.body
        for key in path[:-1]:
            if not _holds(target, key):
                return
            target = target[key]
        if _holds(target, path[-1]):
            del target[path[-1]]

    def set(self, output: str | FieldPath, value: Any) -> None:
        """Write something that comes from no field of the spec."""
        _, steps, last = _route(output)
        _assign(self.body, steps, last, value)

    def depend(
        self,
        id_: str,
        condition: Condition = Condition.CREATED,
        *reads: Read | Node | None,
        required: bool = True,
        outcome: Fidelity = Fidelity.NATIVE,
        reason: str = "",
    ) -> None:
        """Let this resource wait for another one, and account for the fields that say so."""
        self._depends_on[id_] = Dependency(id_, condition, required)
        carried = Carried(f"{self.id}:@depends_on.{id_}", outcome, reason, "", None)
        for read in reads:
            carry(read, carried)

    def secret_version(self, secret: str) -> str:
        """A token that stands for the secret's version; usable in the name and the body."""
        self._secrets[secret] = None
        return version_token(secret)

    def secret_value(self, secret: str) -> str:
        """A token for the secret's value, which must be text; replaced as the object is sent.

        Call it also where the value travels beside the body, and drop the token.
        """
        self._send(secret)
        return value_token(secret)

    def secret_base64(self, secret: str) -> str:
        """A token for the secret's value in base64; replaced only as the object is sent."""
        self._send(secret)
        return base64_token(secret)

    def _send(self, secret: str) -> None:
        self._secrets[secret] = None
        self._sends[secret] = None

    def build(self) -> Resource:
        """The finished resource."""
        return Resource(
            self.id,
            self.kind,
            self.name,
            self.body,
            tuple(self._depends_on.values()),
            self._rollout,
            self._stateful,
            tuple(self._secrets),
            tuple(self._sends),
        )


class ManifestBuilder:
    """An application on its way to a manifest. Read from `app`, write to `resource(…)`."""

    def __init__(self, app: Application, backend: str, capabilities: Capabilities) -> None:
        self.app: View = view_of(type(app))(app)
        self._application = app
        self._backend = backend
        self._capabilities = capabilities
        self._resources: list[ResourceBuilder] = []
        self._defaults: dict[FieldPath, LedgerEntry] = {}
        self._notes: list[str] = []
        carry(self.app.apiVersion, Carried("@format", Fidelity.NATIVE))
        carry(self.app.name, Carried("@app", Fidelity.NATIVE))

    def resource(
        self,
        kind: str,
        id_: str,
        name: str,
        *,
        rollout: bool = False,
        stateful: bool = False,
    ) -> ResourceBuilder:
        """Begin a resource."""
        made = ResourceBuilder(kind, id_, name, rollout=rollout, stateful=stateful)
        self._resources.append(made)
        return made

    def lose(
        self,
        read: Read | Node | None,
        reason: str,
        mend: str = "",
        consequence: Consequence | None = None,
    ) -> None:
        """Say why a field has no effect here; one that asks for nothing loses nothing."""
        if type(read) is Read and asks_nothing(read.node.value, read.key, read.value):
            carry(read, _HONOURED)
            return
        self._account(read, Fidelity.LOST, reason, mend, consequence)

    def reject(self, read: Read | Node | None, reason: str, mend: str = "") -> None:
        """Say that this can't be compiled at all."""
        self._account(read, Fidelity.REJECTED, reason, mend)

    def core(self, read: Read | Node | None) -> None:
        """Account for a field that core has honoured itself, before or beside the platform."""
        carry(read, _HONOURED)

    def emulate(self, read: Read | Node | None, reason: str) -> None:
        """Account for a field that core itself honours, such as the order of a deploy."""
        self._account(read, Fidelity.EMULATED, reason, "")

    def default(self, path: FieldPath, outcome: Fidelity, reason: str) -> None:
        """Say, once an application, that a default can't be held; `*` stands for any name."""
        self._defaults[path] = LedgerEntry(
            path, outcome, consequence_of(path), reason=reason, default=True
        )

    def note(self, text: str) -> None:
        """Tell the user something about the whole manifest."""
        self._notes.append(text)

    def build(self) -> Manifest:
        """The finished manifest with its ledger."""
        notable = tuple(e for e in self._rows(native=False)) + tuple(self._defaults.values())
        return Manifest(
            self._application.name,
            self._backend,
            tuple(builder.build() for builder in self._resources),
            Ledger(notable, lambda: self._rows(native=True)),
            tuple(self._notes),
        )

    def _account(
        self,
        read: Read | Node | None,
        outcome: Fidelity,
        reason: str,
        mend: str,
        consequence: Consequence | None = None,
    ) -> None:
        carry(read, Carried("", outcome, reason, mend, consequence))

    def _rows(self, *, native: bool) -> Iterator[LedgerEntry]:
        """One row for each leaf that the author wrote: the native ones, or all others."""
        for path, ways in _accounts(self._application, self.app, native=native):
            yield self._row(path, ways, max(ways, key=_rank, default=None))

    def _row(self, path: FieldPath, ways: Sequence[Carried], worst: Carried | None) -> LedgerEntry:
        if worst is None:
            reason = self._capabilities.reason(path) or nothing_for_it(self._backend)
            return LedgerEntry(path, Fidelity.LOST, consequence_of(path), reason=reason)
        outputs = tuple(dict.fromkeys(_output(way, path) for way in ways if way.output))
        consequence = worst.consequence or consequence_of(path)
        return LedgerEntry(path, worst.outcome, consequence, outputs, worst.reason, worst.mend)


def nothing_for_it(backend: str) -> str:
    """The reason of a field that compile did not read at all."""
    return f"{backend} has nothing for it"


def carry(read: Read | Node | None, carried: Carried) -> None:
    """Note that a field, or all that is below a node, arrived; what is absent needs no note."""
    if type(read) is Read:
        ways = read.node.carried
        if read.key in ways:
            ways[read.key].append(carried)
        else:
            ways[read.key] = [carried]
    elif isinstance(read, Node):
        read.whole.append(carried)


def _output(way: Carried, path: FieldPath) -> str:
    """Where exactly a leaf went, when all that is above it was written as it stands."""
    rest = render_path(path[way.depth :]) if way.depth >= 0 else ""
    joint = "." if rest and rest[0] != "[" and way.output[-1] != ":" else ""
    return f"{way.output}{joint}{rest}"


def _holds(target: Any, key: Key) -> bool:
    return key < len(target) if isinstance(key, int) else key in target


def _rank(way: Carried) -> int:
    return way.outcome.rank


def _is_native(ways: Sequence[Carried]) -> bool:
    if len(ways) == 1:
        return ways[0].outcome is Fidelity.NATIVE
    return bool(ways) and all(way.outcome is Fidelity.NATIVE for way in ways)


def _touched(node: Node, items: Iterable[tuple[Key, Any]]) -> list[tuple[Key, Any]]:
    return [(key, item) for key, item in items if node.touched(key)]


def _accounts(
    app: Application, view: Node, *, native: bool
) -> list[tuple[FieldPath, Sequence[Carried]]]:
    """Authored leaves with the ways in which they arrived; what is nearest to a leaf counts.

    Gives the native ones or all others. A subtree that a node carried whole, and below which
    nothing was looked at, is walked only when its rows are wanted.
    """
    found: list[tuple[FieldPath, Sequence[Carried]]] = []
    path: list[Key] = []

    def walk(
        value: Any, node: Node | None, above: Sequence[Carried], empty: Sequence[Carried]
    ) -> None:
        if node is not None:
            above = node.whole or above
            empty = (node.empty,) if node.empty is not None else empty
        settled = above and _is_native(above) is not native
        if settled and (node is None or node.untouched):
            return
        below = children(value)
        carried = node.carried if node is not None else {}
        for key, item in _touched(node, below) if settled and node is not None else below:
            ways: Sequence[Carried] | None = carried.get(key)
            if ways is None and node_kind(item) is None:
                ways = above or ((_HONOURED,) if asks_nothing(value, key, item) else ())
            if ways is not None:
                if _is_native(ways) is native:
                    found.append(((*path, spelt(value, key)), ways))
            else:
                path.append(spelt(value, key))
                walk(item, node.seen(key) if node is not None else None, above, empty)
                path.pop()
        if not below and path and isinstance(value, BaseModel):
            here = carried.get(HERE) or above or empty
            if _is_native(here) is native:
                found.append((tuple(path), here))

    walk(app, view, (), ())
    return found


# The parts of one kind of object have the same paths in every one of them.
_rendered = lru_cache(maxsize=65536)(render_path)


@lru_cache(maxsize=65536)
def split_path(text: str) -> tuple[Key, ...]:
    """`a.b[0].c` as its keys. A key that itself holds a dot must be given as a tuple."""
    keys: list[Key] = []
    for part in text.split("."):
        name, *indexes = part.split("[")
        if name:
            keys.append(name)
        keys.extend(int(index.rstrip("]")) for index in indexes)
    return tuple(keys)


@lru_cache(maxsize=65536)
def _route(output: str | FieldPath) -> tuple[str, _Steps, Key]:
    """An output as text, the way to what holds it with what is made there, and its last key."""
    path = split_path(output) if isinstance(output, str) else output
    steps = tuple(
        (key, list if isinstance(following, int) else dict) for key, following in pairwise(path)
    )
    return output if isinstance(output, str) else _rendered(output), steps, path[-1]


def _assign(body: dict[str, Any], steps: _Steps, last: Key, value: Any) -> None:
    target: Any = body
    for key, make in steps:
        try:
            target = target[key]
        except KeyError:
            target[key] = target = make()
        except IndexError:
            if key != len(target):
                raise
            target.append(made := make())
            target = made
    if isinstance(last, int) and last == len(target):
        target.append(value)
    else:
        target[last] = value
