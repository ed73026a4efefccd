"""What an application would cost in a month, by a table of prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.backend.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orch.compare.prices import Price, PriceTable
    from orch.compare.sizes import Sized
    from orch.spec.application import Application, Volume
    from orch.types import Resource

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of an estimate: how much of what, its month's price, and the row it rests on."""

    told: str
    amount: float
    month: float
    row: Price


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of a month with the fewest replicas, and with the most that autoscaling may make.

    `missing` tells what a bill would hold and this one can't, for want of prices or sizes, and
    `left_out` what none holds; one that misses nothing can be held against another.
    """

    currency: str
    charges: tuple[Charge, ...]
    month: float
    at_most: float
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def estimate(
    app: Application,
    sizes: Sequence[Sized],
    resources: Sequence[Resource],
    rows: Sequence[Price],
    table: PriceTable,
) -> Estimate | None:
    """The estimate for one backend; None where its table can't price what runs."""
    bill = _Bill(app, sizes, resources, rows)
    elsewhere = [row for row in table.prices if row.item == "object"]
    least = bill.charges([row.least for row in bill.services])
    most = bill.charges([row.most for row in bill.services])
    if least is None or most is None:
        return None
    return Estimate(
        table.currency,
        least,
        _sum(least),
        _sum(most),
        tuple(bill.missing(elsewhere)),
        tuple(bill.left_out()),
    )


def _sum(charges: Iterable[Charge]) -> float:
    return round(sum(charge.month for charge in charges), 2)


class _Bill:
    """Adds up what is paid for."""

    def __init__(
        self,
        app: Application,
        sizes: Sequence[Sized],
        resources: Sequence[Resource],
        rows: Sequence[Price],
    ) -> None:
        self._app, self._resources, self._rows = app, resources, rows
        self.services = [row for row in sizes if row.is_service]
        self._is_by_size = any(row.item == "cpu" for row in rows)

    def charges(self, counts: Sequence[int]) -> tuple[Charge, ...] | None:
        """Everything that is paid for with so many replicas of each service."""
        running = self._by_size(counts) if self._is_by_size else self._by_node(counts)
        if running is None:
            return None
        return (*self._clusters(), *running, *self._volumes(counts), *self._objects())

    def _of(self, item: str) -> list[Price]:
        return [row for row in self._rows if row.item == item]

    def _clusters(self) -> list[Charge]:
        return [_charge("cluster", 1, row) for row in self._of("cluster")]

    def _by_size(self, counts: Sequence[int]) -> list[Charge] | None:
        total = Size()
        for row, count in zip(self.services, counts, strict=True):
            if row.gets is None:
                return None
            total += row.gets.times(count)
        cpus, memory = total.cpus / 1000, total.memory / _GIB
        return [
            *(_charge(f"{cpus:g} processors", cpus, row) for row in self._of("cpu")),
            *(_charge(f"{memory:g} GiB of memory", memory, row) for row in self._of("memory")),
        ]

    def _by_node(self, counts: Sequence[int]) -> list[Charge] | None:
        """The kind of node of which all that is needed costs least."""
        offers = []
        for node in self._of("node"):
            count = self._nodes(counts, Size(node.cpus or 0, node.memory or 0))
            if count:
                offers.append(_charge(f"{count} × {node.name or 'node'}", count, node))
        return [min(offers, key=lambda charge: charge.month)] if offers else None

    def _nodes(self, counts: Sequence[int], room: Size) -> int:
        """How many nodes hold every replica; 0 when such a node is too small for one."""
        everywhere, replicas = Size(), []
        for row, count in zip(self.services, counts, strict=True):
            if row.gets is None:
                return 0
            if row.per_node:
                everywhere += row.gets
            else:
                replicas += [row.gets] * count
        free = Size(room.cpus - everywhere.cpus, room.memory - everywhere.memory)
        return _packed(replicas, free) if min(free.cpus, free.memory) >= 0 else 0

    def _volumes(self, counts: Sequence[int]) -> list[Charge]:
        copies = dict(zip((row.name for row in self.services), counts, strict=True))
        size = sum(
            (volume.size or 0) * _copies(self._app, name, volume, copies)
            for name, volume in self._app.volumes.items()
            if not volume.external
        )
        told = f"{size / _GIB:g} GiB in volumes"
        return [_charge(told, size / _GIB, row) for row in self._of("volume") if size]

    def _objects(self) -> list[Charge]:
        charges = []
        for row in self._of("object"):
            count = sum(_is_meant(resource, row) for resource in self._resources)
            if count:
                charges.append(_charge(f"{count} × {row.name or row.kind}", count, row))
        return charges

    def missing(self, elsewhere: Sequence[Price]) -> Iterable[str]:
        """What can't be priced; `elsewhere` are rows of objects that are paid for somewhere."""
        unsaid = [r.name for r in self.services if r.gets and not (r.gets.cpus and r.gets.memory)]
        if unsaid:
            yield f"cpu or memory of {', '.join(unsaid)}, which reserve none"
        named = [(n, v) for n, v in self._app.volumes.items() if not v.external]
        if named and not self._of("volume"):
            yield f"volumes ({', '.join(name for name, _ in named)})"
        elif sizeless := [name for name, volume in named if volume.size is None]:
            yield f"volumes without a size ({', '.join(sizeless)})"
        own = [(row.kind, row.where) for row in self._of("object")]
        for kind, where in dict.fromkeys((row.kind, row.where) for row in elsewhere):
            row = next(r for r in elsewhere if (r.kind, r.where) == (kind, where))
            count = sum(_is_meant(resource, row) for resource in self._resources)
            if count and (kind, where) not in own:
                yield f"{count} × {kind}, which others charge for"
        if self._is_by_size and (daemons := [r.name for r in self.services if r.per_node]):
            yield f"more than one replica of {', '.join(daemons)}, which run on every node"

    def left_out(self) -> Iterable[str]:
        """What is never in an estimate."""
        if self._app.jobs:
            yield f"runs of {', '.join(self._app.jobs)}"
        yield "traffic, images, logs and what a cluster itself needs of its nodes"


def _charge(told: str, amount: float, row: Price) -> Charge:
    return Charge(told, amount, round(amount * row.month, 2), row)


def _packed(replicas: Iterable[Size], room: Size) -> int:
    """First fit, largest first; at least one node, and 0 when one is too small for a replica."""
    nodes: list[Size] = []
    at, before = 0, None
    for size in sorted(replicas, key=lambda s: (max(_shares(s, room)), s.cpus, s.memory))[::-1]:
        if not size.fits(room):
            return 0
        # Where the last one of this size found no room, this one finds none.
        first = at if size == before else 0
        at = next((i for i in range(first, len(nodes)) if size.fits(nodes[i])), len(nodes))
        if at == len(nodes):
            nodes.append(room)
        nodes[at] = Size(nodes[at].cpus - size.cpus, nodes[at].memory - size.memory)
        before = size
    return max(len(nodes), 1)


def _shares(size: Size, room: Size) -> tuple[float, float]:
    return size.cpus / max(room.cpus, 1), size.memory / max(room.memory, 1)


def _copies(app: Application, name: str, volume: Volume, counts: dict[str, int]) -> int:
    """How many of a volume there are: one, or one for each replica that mounts it."""
    if not volume.per_replica:
        return 1
    return sum(
        counts[unit]
        for unit, service in app.services.items()
        if any(m.type == "volume" and m.source == name for m in service.volumes)
    )


def _is_meant(resource: Resource, row: Price) -> bool:
    wanted = row.where.items()
    return resource.kind == row.kind and all(_at(resource.body, p) == v for p, v in wanted)


def _at(body: Any, path: str) -> str:
    for key in path.split("."):
        body = body.get(key, "") if isinstance(body, dict) else ""
    return str(body).lower() if isinstance(body, bool) else str(body)
