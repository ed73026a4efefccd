"""The proof that no field of the spec gets lost without a word.

Every field of the model is changed, both applications are compiled, and the output must have
moved where the ledger says that the field went, or the ledger must say that it is lost. In a
plugin's test file::

    from orch.testing.mutation import FidelityMutation

    class TestFidelity(FidelityMutation):
        def make_backend(self):
            return MyBackend()
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.compile.builder import CORE, nothing_for_it
from orch.compile.view import authored_leaves
from orch.spec.application import Application
from orch.spec.consequence import consequence_of
from orch.testing.paths import ABSENT, at, without
from orch.testing.variations import IMAGE, PROCESS, Pair, application_base, application_pairs
from orch.types import Fidelity, LedgerEntry, parse_path, render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import Backend
    from orch.types import FieldPath, Manifest, Resource

CORE_FIELDS = (
    ("fidelity",),
    ("services", "*", "profiles"),
    ("jobs", "*", "profiles"),
    ("configs", "*", "file"),
    ("secrets", "*", "provider"),
    ("secrets", "*", "key"),
    ("secrets", "*", "path"),
    ("secrets", "*", "options"),
    ("secrets", "*", "encoding"),
)
"""Fields that core itself has honoured before or beside compile: no output holds them."""

_HELD = (Fidelity.NATIVE, Fidelity.EMULATED, Fidelity.DEGRADED)


@dataclass(frozen=True)
class Compiled:
    """A pair of applications, what a backend made of each, and the row of the changed field."""

    path: FieldPath
    app: Application
    before: Manifest
    after: Manifest
    rows: Mapping[FieldPath, LedgerEntry]

    @property
    def row(self) -> LedgerEntry | None:
        """What the ledger says of the field, None when it says nothing."""
        return self.rows.get(self.path)


def compile_pair(backend: Backend, pair: Pair) -> Compiled:
    """Compile both applications of a pair."""
    before = Application.model_validate(pair.before)
    after = Application.model_validate(pair.after)
    made = backend.compile(after)
    rows = {row.path: row for row in made.ledger if not row.default}
    return Compiled(pair.path, after, backend.compile(before), made, rows)


def faults(compiled: Compiled, capabilities: Capabilities) -> Iterator[str]:
    """Everything that the ledger says wrongly, or does not say, of one changed field."""
    where = render_path(compiled.path)
    for path, _ in authored_leaves(compiled.app):
        if path not in compiled.rows:
            yield f"{render_path(path)}: was set and has no row"
    row = compiled.row
    if row is None:
        return
    best = capabilities.best(compiled.path)
    if row.outcome.rank < best.rank:
        yield f"{where}: the row says {row.outcome}, and capabilities promise only {best}"
    if row.outcome is not Fidelity.NATIVE and not row.reason:
        yield f"{where}: the row says {row.outcome} and gives no reason"
    if row.outcome is Fidelity.LOST and best is not Fidelity.LOST and _unread(row, compiled):
        yield f"{where}: compile does not read it, and capabilities promise {best}"
    if row.outcome in _HELD:
        yield from (f"{where}: {fault}" for fault in _false_claims(compiled, row))


def _false_claims(compiled: Compiled, row: LedgerEntry) -> Iterator[str]:
    if row.outputs == (CORE,) and _is_core(row.path):
        return
    if not row.outputs:
        yield f"the row says {row.outcome} and names no output"
    moved = False
    for output in row.outputs:
        old, new = look(compiled.before, output), look(compiled.after, output)
        if new is ABSENT:
            yield f"the row names {output}, which is not in the manifest"
        moved = moved or old != new
    if row.outputs and not moved:
        yield f"the row says {row.outcome} at {', '.join(row.outputs)}, which did not move"


def _unread(row: LedgerEntry, compiled: Compiled) -> bool:
    return row.reason == nothing_for_it(compiled.after.backend)


def _is_core(path: FieldPath) -> bool:
    return any(
        len(path) >= len(pattern)
        and all(p in ("*", key) for p, key in zip(pattern, path, strict=False))
        for pattern in CORE_FIELDS
    )


# -- where an output points --------------------------------------------------------------------


def look(manifest: Manifest, output: str) -> Any:
    """What stands at an output such as `service/web:env.A`; ABSENT when nothing does."""
    if output.startswith("@"):
        return manifest.app if output == "@app" else ABSENT
    resource = _resource(manifest, output)
    if resource is None:
        return ABSENT
    rest = output[len(resource.id) + 1 :]
    if rest.startswith("@depends_on."):
        wanted = rest.removeprefix("@depends_on.")
        return next((edge for edge in resource.depends_on if edge.id == wanted), ABSENT)
    return at({"@name": resource.name, **resource.body}, parse_path(rest))


def _resource(manifest: Manifest, output: str) -> Resource | None:
    fitting = [r for r in manifest.resources if output.startswith(f"{r.id}:")]
    return max(fitting, key=lambda r: len(r.id), default=None)


def drop(manifest: Manifest, outputs: Iterable[str]) -> Manifest:
    """The manifest without what stands at some outputs; its ledger goes on claiming them."""
    for output in outputs:
        resource = _resource(manifest, output)
        if resource is not None:
            thinner = _drop_one(resource, output[len(resource.id) + 1 :])
            kept = tuple(thinner if r is resource else r for r in manifest.resources)
            manifest = replace(manifest, resources=kept)
    return manifest


def _drop_one(resource: Resource, rest: str) -> Resource:
    if rest.startswith("@depends_on."):
        gone = rest.removeprefix("@depends_on.")
        edges = tuple(edge for edge in resource.depends_on if edge.id != gone)
        return replace(resource, depends_on=edges)
    return replace(resource, body=without(resource.body, parse_path(rest)))


# -- the whole model ---------------------------------------------------------------------------


def overrides_pairs(settings: Mapping[str, Any], kind: str) -> Iterator[Pair]:
    """Pairs for a backend's own overrides: `settings` is `{platform: {key: (value, other)}}`."""
    for platform, keys in settings.items():
        for key, (before, after) in keys.items():
            yield Pair(
                ("services", "alpha", "overrides", platform, key),
                _with_override(kind, platform, {key: before}),
                _with_override(kind, platform, {key: after}),
            )


def _with_override(kind: str, platform: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    base = application_base(kind)
    service = {**base["services"]["alpha"], "overrides": {platform: dict(settings)}}
    return {**base, "services": {**base["services"], "alpha": service}}


class Proof(NamedTuple):
    """What a backend's account of the whole model lacks; it holds when both are empty."""

    faults: list[str]
    """What the ledger says wrongly, and promises of the capabilities that nothing got."""
    unnoticed: list[str]
    """Fields whose handling can be taken out of the backend without any such fault."""

    def __str__(self) -> str:
        lines = [*self.faults, *(f"{path}: can be taken out unnoticed" for path in self.unnoticed)]
        return f"{len(lines)} faults:\n" + "\n".join(lines[:50])


def prove(backend: Backend, pairs: Iterable[Pair]) -> Proof:
    """Look for faults at every pair, and for faults again once its field's handling is taken out.

    It is taken out in both ways: the output is gone and the row still claims it, and the field
    is not read at all.
    """
    capabilities = backend.capabilities()
    found: dict[str, None] = {}
    unnoticed: list[str] = []
    reached: dict[FieldPath, int] = {}
    for pair in pairs:
        compiled = compile_pair(backend, pair)
        found.update(dict.fromkeys(faults(compiled, capabilities)))
        if compiled.row is not None:
            rank = compiled.row.outcome.rank
            reached[pair.path] = min(reached.get(pair.path, rank), rank)
        if _claims(compiled):
            broken = (_with_output_gone(compiled), _with_field_unread(compiled))
            if not all(any(faults(case, capabilities)) for case in broken):
                unnoticed.append(render_path(pair.path))
    return Proof([*found, *unkept(capabilities, reached)], unnoticed)


def unkept(capabilities: Capabilities, reached: Mapping[FieldPath, int]) -> Iterator[str]:
    """Promises of the capabilities that no application got: handling that is not there."""
    outcomes = list(Fidelity)
    for path, rank in reached.items():
        best = capabilities.best(path)
        if rank > best.rank and outcomes[rank] is not Fidelity.REJECTED:
            yield f"{render_path(path)}: capabilities promise {best}, it gets {outcomes[rank]}"


def _claims(compiled: Compiled) -> bool:
    row = compiled.row
    return row is not None and row.outcome in _HELD and not row.outputs[0].startswith("@")


def _with_output_gone(compiled: Compiled) -> Compiled:
    outputs = compiled.row.outputs if compiled.row else ()
    return replace(
        compiled, before=drop(compiled.before, outputs), after=drop(compiled.after, outputs)
    )


def _with_field_unread(compiled: Compiled) -> Compiled:
    reason = nothing_for_it(compiled.after.backend)
    row = LedgerEntry(compiled.path, Fidelity.LOST, consequence_of(compiled.path), reason=reason)
    return replace(compiled, rows={**compiled.rows, compiled.path: row})


class FidelityMutation:
    """The mutation test of one backend; `overrides` are its own platform's settings."""

    kinds: tuple[str, ...] = (IMAGE, PROCESS)
    overrides: Mapping[str, Any] = {}

    def make_backend(self) -> Backend:
        """The backend under test; it is asked to compile only."""
        raise NotImplementedError

    def pairs(self) -> Iterator[Pair]:
        """Every field of the model, in every kind of application."""
        for kind in self.kinds:
            yield from application_pairs(kind)
            yield from overrides_pairs(self.overrides, kind)

    def test_every_field_arrives_or_its_loss_is_told(self) -> None:
        proof = prove(self.make_backend(), self.pairs())
        assert proof == ([], []), proof
