"""What each of several backends would make of one application: held, emulated, changed or lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from orch.compare.cost import estimate
from orch.compare.sizes import sizes_of
from orch.compile.compile import compile_app, judge
from orch.compile.levels import ACCEPTABLE
from orch.compile.naming import platform_name
from orch.errors import InvalidSpec
from orch.types import Consequence, Fidelity, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orch.backend.contract import Backend
    from orch.compare.cost import Estimate
    from orch.compare.prices import PriceTable
    from orch.compare.sizes import Sized
    from orch.compile.levels import Level
    from orch.spec.application import Application
    from orch.types import Diagnostic, FieldPath, Ledger, LedgerEntry, Resource

_NAMED = ("services", "jobs", "volumes", "networks", "configs", "secrets")


@dataclass(frozen=True, slots=True)
class Limit:
    """A part of the spec that meets a bound of the platform, and what becomes of it there."""

    path: FieldPath
    told: str


@dataclass(frozen=True)
class Standing:
    """How one backend, or one flavour of it, stands to an application.

    `rows` has one row for each field that the author set, native ones too, then the defaults
    that the platform can't hold. `refused` are those that forbid a deploy at the chosen level.
    One that can't be compiled at all has `faults` and no rows. `cost` is None where no table has
    prices for what runs.
    """

    backend: str
    rows: tuple[LedgerEntry, ...] = ()
    refused: tuple[LedgerEntry, ...] = ()
    resources: tuple[Resource, ...] = ()
    sizes: tuple[Sized, ...] = ()
    cost: Estimate | None = None
    limits: tuple[Limit, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[Diagnostic, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether a deploy at the chosen level would go ahead."""
        return not self.refused and not self.faults

    @cached_property
    def objects(self) -> Mapping[str, int]:
        """How many objects of each kind would be made."""
        return Counter(resource.kind for resource in self.resources)

    @cached_property
    def counts(self) -> Mapping[Fidelity, int]:
        """How many fields had each outcome; defaults are not counted."""
        found = Counter(row.outcome for row in self.rows if not row.default)
        return {outcome: found[outcome] for outcome in Fidelity}

    @property
    def held(self) -> float:
        """The share of fields that mean there what they say, native or emulated; 1 for none."""
        fields = sum(self.counts.values())
        return sum(self.counts[outcome] for outcome in ACCEPTABLE) / fields if fields else 1.0

    @cached_property
    def by_consequence(self) -> Mapping[Consequence, Mapping[Fidelity, int]]:
        """Outcomes by what a loss of the field would touch, gravest first."""
        found = Counter((row.consequence, row.outcome) for row in self.rows if not row.default)
        return {
            touched: {outcome: found[touched, outcome] for outcome in Fidelity}
            for touched in Consequence
        }

    @property
    def notable(self) -> tuple[LedgerEntry, ...]:
        """Every row that is not native."""
        return tuple(row for row in self.rows if row.outcome is not Fidelity.NATIVE)


@dataclass(frozen=True)
class Comparison:
    """One application on several backends, in the order in which they were asked for."""

    app: str
    level: Level
    standings: tuple[Standing, ...]

    @property
    def refusing(self) -> tuple[Standing, ...]:
        """The backends to which a deploy would be refused."""
        return tuple(standing for standing in self.standings if not standing.accepted)

    def differing(self) -> dict[FieldPath, dict[str, Fidelity]]:
        """Fields whose outcome is not the same everywhere, with that of each backend."""
        found: dict[FieldPath, dict[str, Fidelity]] = {}
        for standing in self.standings:
            for row in standing.rows:
                if not row.default:
                    found.setdefault(row.path, {})[standing.backend] = row.outcome
        return {path: seen for path, seen in found.items() if len(set(seen.values())) > 1}

    def alike(self) -> tuple[tuple[Standing, ...], ...]:
        """The backends, those side by side to which nothing happens otherwise."""
        groups: dict[object, list[Standing]] = {}
        for standing in self.standings:
            groups.setdefault(_account(standing), []).append(standing)
        return tuple(tuple(group) for group in groups.values())


def _account(standing: Standing) -> object:
    """What happens to the application there; notes, sizes and cost are each backend's own."""
    rows = frozenset((r.path, r.outcome, r.reason, r.mend, r.default) for r in standing.notable)
    return rows, standing.limits, standing.faults, len(standing.refused)


def compare(
    app: Application,
    backends: Mapping[str, Backend],
    level: Level,
    reading: Ledger | None = None,
    tables: Sequence[PriceTable] = (),
) -> Comparison:
    """Compile for each backend and judge what came out; no platform is asked.

    `backends` are by the name under which each is compared. `reading` tells what was lost before,
    in reading another format: it counts for each of them. A backend is priced by the last of the
    `tables` that has rows for it.
    """
    lost = judge(app, Manifest(app.name, "", (), reading), level).refused if reading else ()
    made = (_standing(app, name, backends[name], level, lost, tables) for name in backends)
    return Comparison(app.name, level, tuple(made))


def _standing(
    app: Application,
    name: str,
    backend: Backend,
    level: Level,
    lost: tuple[LedgerEntry, ...],
    tables: Sequence[PriceTable],
) -> Standing:
    try:
        manifest = compile_app(backend, app)
    except InvalidSpec as fault:
        return Standing(name, faults=fault.diagnostics)
    sizes = sizes_of(app, backend.capabilities().sizes)
    return Standing(
        name,
        rows=tuple(manifest.ledger),
        refused=(*lost, *judge(app, manifest, level).refused),
        resources=manifest.resources,
        sizes=sizes,
        cost=_cost(app, name, sizes, manifest, tables),
        limits=(*_names(app, backend, manifest), *_unheld(sizes)),
        notes=manifest.notes,
    )


def _cost(
    app: Application,
    name: str,
    sizes: Sequence[Sized],
    manifest: Manifest,
    tables: Sequence[PriceTable],
) -> Estimate | None:
    for table in reversed(tables):
        if rows := table.of(name):
            return estimate(app, sizes, manifest.resources, rows, table)
    return None


def _unheld(sizes: Iterable[Sized]) -> Iterable[Limit]:
    """What asks for more than a replica can get there."""
    for row in sizes:
        if row.gets is None:
            yield Limit((row.kind, row.name), "asks for more than any size there has")


def _names(app: Application, backend: Backend, manifest: Manifest) -> Iterable[Limit]:
    """Names that the platform does not take as they stand; only of what is an object there."""
    rule = backend.capabilities().names
    made = {resource.id.partition("/")[2] for resource in manifest.resources}
    for noun in _NAMED:
        for name in getattr(app, noun):
            mapped = platform_name(name, rule)
            if mapped != name and name in made:
                bound = f"at most {rule.max_length} characters of {rule.allowed}"
                yield Limit((noun, name), f"is called {mapped} there: {bound}")
