"""What a container needs and may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.load.item import Item
from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.resources import VENDORS
from orch_kubernetes.reader.values import cpus, quantity, size, whole

if TYPE_CHECKING:
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

_FIELDS = {"cpu": "cpus", "memory": "memory", "ephemeral-storage": "ephemeral_storage"}
_VENDOR_OF = {host: driver for driver, host in reversed(VENDORS.items())}
_OURS = "orch/"
_NONE = Item({})


def write_resources(part: Part, path: FieldPath, container: Item) -> None:
    """Limits and requests; devices stand among both, and are asked for once."""
    resources = container.get("resources")
    if resources is None:
        return
    for key, field in (("limits", "limits"), ("requests", "reservations")):
        for name, item in (resources.get(key) or _NONE).items():
            if name in _FIELDS:
                _amount(part, (*path, field, _FIELDS[name]), item)
            else:
                _extended(part, (*path, "reservations"), name, item)


def _amount(part: Part, path: FieldPath, item: Item) -> None:
    number = quantity(item.value)
    if number is None:
        reason = "it is no quantity"
        part.writer.lose(item, reason, "write 500m, or 256Mi", Consequence.AVAILABILITY)
        return
    part.writer.put(path, item, cpus(number) if path[-1] == "cpus" else size(number))


def _extended(part: Part, path: FieldPath, name: str, item: Item) -> None:
    number, writer = quantity(item.value), part.writer
    vendor, _, kind = name.rpartition("/")
    if number is None or number < 1 or name.startswith("hugepages-"):
        reason = "it is not counted by pieces"
        writer.lose(item, reason, "see overrides.kubernetes", Consequence.AVAILABILITY)
        return
    if vendor not in _VENDOR_OF:
        writer.put((*path, "generic", name.removeprefix(_OURS)), item, whole(number))
        return
    devices = writer.get((*path, "devices")) or []
    wanted = {"capabilities": [kind], "count": whole(number), "driver": _VENDOR_OF[vendor]}
    if wanted in devices:
        writer.note((*path, "devices", devices.index(wanted)), item, Fidelity.NATIVE)
    else:
        writer.put((*path, "devices", len(devices)), item, wanted)
