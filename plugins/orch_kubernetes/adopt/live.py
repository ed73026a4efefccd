"""What runs in a namespace as a spec: which objects are asked for, and what may not be seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch.errors import Denied, UsageFault
from orch.types import Consequence, Fidelity, Ledger, LedgerEntry
from orch_kubernetes import names
from orch_kubernetes.adopt.belonging import (
    RUNNING,
    Circle,
    by_labels,
    by_name,
    is_selector,
    names_in,
    own_rows,
    references,
)
from orch_kubernetes.api import marks
from orch_kubernetes.api.discovery import AT_ONCE, PASSING, discover, group_of
from orch_kubernetes.api.faults import Missing
from orch_kubernetes.api.kinds import WORKLOADS
from orch_kubernetes.reader.objects import OUR_GROUPS
from orch_kubernetes.reader.reading import read_live
from orch_kubernetes.reader.values import spec_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orch.backend.contract import Reading
    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.api.kinds import Kind

Row = dict[str, Any]
NEEDED = frozenset((*WORKLOADS, "Service"))
"""Without these there is no telling what runs."""
_PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
HIDDEN = "objects of this kind may not be seen with these rights"
SHOWN_NAMES = 10


@dataclass
class LiveRead:
    """Reads one application of a cluster. `namespace` is where it runs, empty to look for it."""

    client: KubernetesClient
    selector: str
    namespace: str = ""
    _hidden: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._labelled: Callable[[Row], bool] | None = None
        if is_selector(self.selector):
            try:
                self._labelled = by_labels(self.selector)
            except ValueError as fault:
                raise UsageFault(
                    f"{self.selector!r} is neither a name nor a selector of labels",
                    mend="write a name, or labels such as app.kubernetes.io/name=shop",
                ) from fault

    def read(self) -> Reading:
        """The spec and its account. Raises UsageFault when nothing that is meant runs there."""
        kinds = [kind for kind in discover(self.client) if kind.name not in PASSING]
        space = self.namespace or self._found_space(kinds)
        rows = own_rows(self._rows(kinds, space))
        holds = self._labelled or by_name(self.selector, rows)
        if holds is None and space == self.selector:
            chosen = rows
        else:
            chosen = Circle(rows).around(holds) if holds is not None else []
        if not any(row["kind"] in RUNNING for row in chosen):
            raise self._nothing(space, rows)
        chosen = [*chosen, *self._priorities(chosen)]
        reading = read_live(chosen, self._name())
        further = (*reading.ledger.notable, *self._unseen())
        return replace(reading, ledger=Ledger(further, lambda: _native(reading)))

    def _name(self) -> str:
        """The application's name, as far as the command tells it."""
        _, equals, value = self.selector.partition("=")
        if self._labelled is None:
            return spec_name(self.selector)
        plain = equals and not set("=!,( ") & set(value.lstrip("="))
        return spec_name(value.lstrip("=")) if plain and value.lstrip("=") else ""

    # -- where ---------------------------------------------------------------------------------

    def _found_space(self, kinds: Sequence[Kind]) -> str:
        """The namespace of that name where it runs something, else the only one that is meant."""
        own = names.object_name(self.selector) if self._labelled is None else ""
        workloads = [k for k in kinds if k.name in WORKLOADS and group_of(k.api) in OUR_GROUPS]
        if own and any(self._listed(kind, own, metadata=True) for kind in workloads):
            return own
        everywhere = [row for kind in workloads for row in self._anywhere(kind)]
        holds = self._labelled or by_name(self.selector, everywhere)
        spaces = sorted({_space(row) for row in everywhere if holds is not None and holds(row)})
        if len(spaces) > 1:
            raise UsageFault(
                f"{self.selector} runs in several namespaces: {', '.join(spaces)}",
                mend=f"name one: --namespace {spaces[0]}",
            )
        if not spaces:
            raise self._nothing("", everywhere)
        return spaces[0]

    def _anywhere(self, kind: Kind) -> list[Row]:
        try:
            return self._listed(kind, "", metadata=True)
        except Denied as fault:
            raise Denied(
                fault.fault,
                place=f"looking for {self.selector} in all namespaces",
                mend="name the one where it runs: --namespace NAME",
            ) from fault

    def _nothing(self, space: str, rows: Sequence[Row]) -> UsageFault:
        known = [f"{name}" for name in names_in(rows)]
        shown = ", ".join(known[:SHOWN_NAMES]) + (", …" if len(known) > SHOWN_NAMES else "")
        where = f"in the namespace {space}" if space else "in any namespace"
        hint = f"there run {shown}" if known else "nothing else runs there; see --namespace"
        return UsageFault(f"nothing runs {where} that {self.selector} means", mend=hint)

    # -- what is there -------------------------------------------------------------------------

    def _rows(self, kinds: Sequence[Kind], space: str) -> list[Row]:
        """All objects of the namespace; of kinds that no spec can hold, their names and labels."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda kind: self._seen(kind, space), kinds)
            return [row for rows in found for row in rows]

    def _seen(self, kind: Kind, space: str) -> list[Row]:
        try:
            return self._listed(kind, space, metadata=group_of(kind.api) not in OUR_GROUPS)
        except Denied as fault:
            if kind.name in NEEDED and group_of(kind.api) in OUR_GROUPS:
                raise
            self._hidden[kind.name] = fault.mend
            return []

    def _listed(self, kind: Kind, space: str, *, metadata: bool) -> list[Row]:
        try:
            rows = self.client.listed(kind.collection(space), metadata=metadata)
        except Missing:
            return []
        return [{**row, "apiVersion": kind.api, "kind": kind.name} for row in rows]

    def _priorities(self, chosen: Sequence[Row]) -> Iterator[Row]:
        """Classes of priority belong to the whole cluster: those that are named are asked for."""
        for kind, name in dict.fromkeys(ref for row in chosen for ref in references(row)):
            if kind == "PriorityClass":
                try:
                    row = self.client.one(f"{_PRIORITIES}/{name}")
                except Denied as fault:
                    self._hidden[kind] = fault.mend
                    return
                if row is not None:
                    yield row

    def _unseen(self) -> Iterator[LedgerEntry]:
        for kind, mend in sorted(self._hidden.items()):
            yield LedgerEntry(
                (kind,), Fidelity.LOST, Consequence.AVAILABILITY, reason=HIDDEN, mend=mend
            )


def _space(row: Row) -> str:
    return str(row["metadata"].get("namespace", marks.DEFAULT_NAMESPACE))


def _native(reading: Reading) -> Iterator[LedgerEntry]:
    notable = {id(row) for row in reading.ledger.notable}
    return (row for row in reading.ledger if id(row) not in notable)
