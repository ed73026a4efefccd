"""Limits and reservations, from the deploy section and from the older keys of a service."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orch.spec.units import Bytes
from orch.types import Consequence, Fidelity

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_THOUSANDTH = Decimal("0.001")
_PERIOD = 100_000


def write_resources(part: Part) -> None:
    """Write what bounds a replica and what is set aside for it."""
    path = part.at("resources") if part.is_job else part.at("deploy", "resources")
    _Resources(part, path).write()


class _Resources:
    def __init__(self, part: Part, path: tuple[Any, ...]) -> None:
        self._part, self._writer = part, part.writer
        self._limits, self._reservations = (*path, "limits"), (*path, "reservations")
        self._path = path

    def write(self) -> None:
        self._cpus((*self._limits, "cpus"), self._part.get("cpus"))
        self._cpu_count()
        self._quota()
        self._memory((*self._limits, "memory"), self._part.get("mem_limit"))
        self._memory((*self._reservations, "memory"), self._part.get("mem_reservation"))
        self._swap()
        self._pids(self._part.get("pids_limit"))
        self._storage()
        self._section()
        self._devices(self._part.get("gpus"), gpu=True)

    def _section(self) -> None:
        resources = self._part.item.at("deploy", "resources")
        if resources is None:
            return
        limits, reservations = resources.get("limits"), resources.get("reservations")
        if not resources.value:
            self._writer.put(self._path, resources)
        for part, path in ((limits, self._limits), (reservations, self._reservations)):
            if part is None:
                continue
            if not part.value:
                self._writer.put(path, part)
            self._cpus((*path, "cpus"), part.get("cpus"))
            self._memory((*path, "memory"), part.get("memory"))
        if limits is not None:
            self._pids(limits.get("pids"))
        if reservations is not None:
            self._generic(reservations)
            self._devices(reservations.get("devices"), gpu=False)

    def _cpus(self, path: tuple[Any, ...], item: Item | None) -> None:
        if item is None or not item.value:
            self._writer.note(self._part.path, item, reason="0 is no bound")
            return
        wanted = Decimal(str(item.value))
        given = max(wanted.quantize(_THOUSANDTH), _THOUSANDTH)
        if given == wanted:
            self._writer.put(path, item, f"{given.normalize():f}")
            return
        reason = f"processors are counted in thousandths: {given.normalize():f}"
        value = f"{given.normalize():f}"
        self._writer.put(path, item, value, outcome=Fidelity.DEGRADED, reason=reason)

    def _cpu_count(self) -> None:
        item = self._part.get("cpu_count")
        if item is not None and item.value and self._part.get("cpus") is None:
            reason = "a bound on time used, not on processors seen"
            self._writer.put(
                (*self._limits, "cpus"),
                item,
                str(item.value),
                outcome=Fidelity.DEGRADED,
                reason=reason,
            )
        elif item is not None:
            self._writer.note(self._part.path, item, reason="cpus counts")

    def _quota(self) -> None:
        quota, period = self._part.get("cpu_quota"), self._part.get("cpu_period")
        if quota is None or self._part.get("cpus") is not None:
            return
        used, whole = _microseconds(quota), _microseconds(period) or _PERIOD
        if not used:
            return
        share = max((Decimal(used) / Decimal(whole)).quantize(_THOUSANDTH), _THOUSANDTH)
        path = (*self._limits, "cpus")
        reason = "quota by period is a number of processors"
        self._writer.put(
            path, quota, f"{share.normalize():f}", outcome=Fidelity.EMULATED, reason=reason
        )
        self._writer.note(path, period, Fidelity.EMULATED, reason)

    def _memory(self, path: tuple[Any, ...], item: Item | None) -> None:
        if item is not None and item.value <= 0:
            self._writer.note(self._part.path, item, reason="0 is no bound")
        elif item is not None:
            self._writer.put(path, item, str(Bytes(item.value)))

    def _swap(self) -> None:
        """Compose counts memory and swap together, the spec the swap alone."""
        total = self._part.get("memswap_limit")
        memory = self._part.get("mem_limit") or self._part.item.at(
            "deploy", "resources", "limits", "memory"
        )
        if total is None:
            return
        if total.value < 0:
            reason = "swap without a bound can't be asked for"
            self._writer.lose(total, reason, "give its size", Consequence.AVAILABILITY)
            return
        if memory is None or total.value < memory.value:
            reason = "swap is bounded only together with memory, and not below it"
            mend = "set mem_limit, and memswap_limit above it"
            self._writer.lose(total, reason, mend, Consequence.AVAILABILITY)
            return
        self._writer.put((*self._limits, "swap"), total, str(Bytes(total.value - memory.value)))

    def _pids(self, item: Item | None) -> None:
        if item is not None and item.value <= 0:
            self._writer.note(self._part.path, item, reason="no bound is the default")
        else:
            self._writer.put((*self._limits, "pids"), item)

    def _storage(self) -> None:
        """`storage_opt.size` bounds the writable layer."""
        options = self._part.get("storage_opt")
        for key, item in options.items() if options is not None else ():
            try:
                size = Bytes.parse(item.value) if key == "size" else None
            except ValueError:
                size = None
            if size is None:
                reason = "it is an option of one engine's storage driver"
                self._writer.lose(item, reason, "", Consequence.AVAILABILITY)
            else:
                self._writer.put((*self._limits, "ephemeral_storage"), item, str(size))

    def _generic(self, reservations: Item) -> None:
        for resource in reservations.get("generic_resources") or ():
            kind = resource.at("discrete_resource_spec", "kind")
            value = resource.at("discrete_resource_spec", "value")
            if kind is None or value is None or int(value.value) < 1:
                self._writer.lose(resource, "it has no kind or no value", "write both")
                continue
            path = (*self._reservations, "generic", kind.value)
            self._writer.put(path, value, int(value.value))
            self._writer.note(path, kind)

    def _devices(self, devices: Item | None, *, gpu: bool) -> None:
        root = (*self._reservations, "devices")
        for device in devices or ():
            path = (*root, len(self._writer.get(root) or []))
            self._device(device, path, gpu=gpu)

    def _device(self, device: Item, path: tuple[Any, ...], *, gpu: bool) -> None:
        writer, count, ids = self._writer, device.get("count"), device.get("device_ids")
        capabilities = device.get("capabilities")
        writer.set(path, {}, device)
        names = [item.value for item in capabilities or ()]
        if gpu and "gpu" not in names:
            writer.set((*path, "capabilities"), ["gpu"], device)
        offset = 1 if gpu and "gpu" not in names else 0
        for index, item in enumerate(capabilities or ()):
            writer.put((*path, "capabilities", index + offset), item)
        writer.put_each((*path, "device_ids"), ids)
        writer.put((*path, "driver"), device.get("driver"))
        options = device.get("options")
        for name, item in options.items() if options is not None else ():
            writer.put((*path, "options", name), item, item.value or "")
        if count is not None and (count.value == "all" or count.value > 0):
            writer.put((*path, "count"), count)
        elif count is not None:
            writer.put((*path, "count"), count, "all")
        else:
            writer.set((*path, "count"), max(1, len(list(ids))) if ids else "all", device)
        if not device.value:
            writer.note(path, device)


def _microseconds(item: Item | None) -> int:
    """A quota or period: a number of microseconds, or a duration."""
    from orch_compose.scalars import duration

    if item is None:
        return 0
    text = str(item.value)
    if text.lstrip("-").isdigit():
        return max(0, int(text))
    try:
        return int(duration(text)) * 1000
    except ValueError:
        return 0
