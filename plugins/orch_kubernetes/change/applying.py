"""Applying one object: what is sent, what others own of it, and who gives way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_kubernetes import names
from orch_kubernetes.api import marks
from orch_kubernetes.api.client import MANAGER
from orch_kubernetes.api.faults import FieldConflict, Invalid, holds
from orch_kubernetes.api.kinds import CONTENT_NAMED
from orch_kubernetes.api.wire import kept_selector, real_name, sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.types import Instance
    from orch_kubernetes.api.client import KubernetesClient
    from orch_kubernetes.api.faults import Owner
    from orch_kubernetes.api.kinds import Kind

Row = dict[str, Any]
TRIES = 5


@dataclass(frozen=True, slots=True)
class Applying:
    """One object of an instance on its way to the API.

    `applied` is what was last applied, `adopting` says that it was made by hand and is to be
    taken over, `take_over` that fields are taken from whoever owns them.
    """

    client: KubernetesClient
    kind: Kind
    instance: Instance
    id: str
    revision: int
    body: Mapping[str, Any]
    applied: Mapping[str, Any] | None = None
    adopting: bool = False
    take_over: bool = False

    def path(self) -> str:
        """Where the object is."""
        space = marks.space_of(self.instance)
        return self.kind.path(
            space, real_name(self.kind.name, self.body["metadata"]["name"], space)
        )

    def request(self, row: Row | None) -> Row:
        """What is sent, upon what is there."""
        replicas = (row or {}).get("spec", {}).get("replicas")
        made = sent(self.body, self.instance, self.id, self.revision, replicas=replicas)
        if (selector := kept_selector(made, row)) is not None:
            made["spec"]["selector"] = selector
        if row is not None and self.kind.name in CONTENT_NAMED:
            # It is named by its content, and that never changes.
            for key in ("data", "stringData"):
                made.pop(key, None)
            made |= {key: row[key] for key in ("data", "binaryData") if key in row}
        return made

    def send(self, made: Row, *, dry_run: bool = False) -> Row:
        """Apply it. Raises FieldConflict for what others own and nobody gives up."""
        try:
            return self._sent(made, dry_run=dry_run)
        except Invalid as fault:
            if not self._shares_ports(fault):
                raise
        ports = {"spec": {"ports": made["spec"]["ports"]}}
        row = self.client.merge(self.path(), ports, MANAGER, dry_run=dry_run)
        return row if dry_run else self._sent(made, dry_run=False)

    def _shares_ports(self, fault: Invalid) -> bool:
        """Whether a Service that others made has the name of a port of ours at another number.

        Two ports of one name can't be, so that theirs go first.
        """
        return self.adopting and self.kind.name == "Service" and "Duplicate value" in fault.fault

    def _sent(self, made: Row, *, dry_run: bool) -> Row:
        path = self.path()
        if self.take_over:
            return self.client.apply(path, made, force=True, dry_run=dry_run)
        try:
            return self.client.apply(path, made, dry_run=dry_run)
        except FieldConflict as fault:
            if not all(self._gives_way(owner) for owner in fault.owners):
                kept = [owner for owner in fault.owners if not self._gives_way(owner)]
                raise FieldConflict(kept, self.id) from fault
            return self.client.apply(path, made, force=True, dry_run=dry_run)

    def _gives_way(self, owner: Owner) -> bool:
        """Whether a field may be taken: it was changed by hand since we set it, as drift shows.

        Whoever applies it again and again would take it back, and goes on owning it. Where an
        autoscaler decides on the size, the size is its own.
        """
        if owner.manager.startswith("orch") or _is_mark(owner):
            return True
        annotations = self.body["metadata"].get("annotations", {})
        if owner.path == ("spec", "replicas") and names.AUTOSCALED in annotations:
            return False
        ours = self.applied is not None and holds(self.applied, owner.path)
        return not owner.applies and (ours or self.adopting)


def _is_mark(owner: Owner) -> bool:
    return (
        len(owner.path) == 3  # noqa: PLR2004  (metadata, labels or annotations, key)
        and owner.path[0] == "metadata"
        and str(owner.path[2]).startswith("orch/")
    )


def is_race_for_size(fault: FieldConflict) -> bool:
    """Whether an autoscaler changed the size between our look and our write."""
    return all(owner.path == ("spec", "replicas") and not owner.applies for owner in fault.owners)
