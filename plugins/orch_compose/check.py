"""Rules of Compose that span several keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.spec.image import Image
from orch_compose.health import is_test

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.shape import Faults

_EXTERNAL_KEYS = frozenset(("name", "external"))
_EXCLUSIVE = frozenset(("host", "none"))


def check(model: Item, faults: Faults) -> None:
    """Find what contradicts itself; references are checked with the document."""
    services = model.get("services")
    for name, service in services.items() if services is not None else ():
        if not name.startswith("x-"):
            _service(name, service, faults)
    for section in ("networks", "volumes", "configs", "secrets"):
        found = model.get(section)
        for name, item in found.items() if found is not None else ():
            if not name.startswith("x-"):
                _shared(section, name, item, faults)


def _service(name: str, service: Item, faults: Faults) -> None:
    image = service.get("image")
    if image is not None and image.value:
        _image(image, faults)
    elif service.get("build") is None and service.get("provider") is None:
        fault = f"{name} has neither image nor build"
        faults.add(image or service, fault, "add image: name:tag")
    mode, networks = service.get("network_mode"), service.get("networks")
    if mode is not None and networks is not None and networks.value and mode.value in _EXCLUSIVE:
        mend = "remove one of them"
        faults.add(mode, f"network_mode {mode.value} and networks exclude each other", mend)
    test = service.at("healthcheck", "test")
    if test is not None and not is_test(test):
        first = next(iter(test)).value
        mend = "write it as one text, or begin the list with CMD, CMD-SHELL or NONE"
        faults.add(test, f"a health check can't begin with {first!r}", mend)
    _agree(service.get("scale"), service.at("deploy", "replicas"), "deploy.replicas", faults)
    limits = ("deploy", "resources", "limits")
    _agree(service.get("cpus"), service.at(*limits, "cpus"), "deploy.resources.limits", faults)
    _agree(service.get("mem_limit"), service.at(*limits, "memory"), ".".join(limits), faults)
    _agree(service.get("pids_limit"), service.at(*limits, "pids"), ".".join(limits), faults)
    reserved = service.at("deploy", "resources", "reservations", "memory")
    _agree(service.get("mem_reservation"), reserved, "deploy.resources.reservations", faults)
    _not_negative(service.get("scale"), faults)
    _not_negative(service.at("deploy", "replicas"), faults)


def _image(image: Item, faults: Faults) -> None:
    try:
        Image.parse(image.value)
    except ValueError as wrong:
        fault, _, mend = str(wrong).partition("; ")
        faults.add(image, fault, mend)


def _agree(old: Item | None, new: Item | None, where: str, faults: Faults) -> None:
    if old is not None and new is not None and old.value != new.value:
        fault = f"{where} says otherwise ({new.value}, not {old.value})"
        faults.add(old, fault, "keep one of them")


def _not_negative(item: Item | None, faults: Faults) -> None:
    if item is not None and item.value < 0:
        faults.add(item, f"{item.value} replicas can't be run", "write 0 or more")


def _shared(section: str, name: str, item: Item, faults: Faults) -> None:
    external = item.get("external")
    if external is not None and external.value:
        further = [key for key, part in item.items() if _means_something(key, part)]
        if further:
            fault = f"{section}.{name} is external, so {further[0]} has no effect on it"
            faults.add(item.value[further[0]], fault, f"remove {further[0]}, or external")
        return
    if section in ("configs", "secrets"):
        _source(section, name, item, faults)


def _means_something(key: str, part: Item) -> bool:
    return key not in _EXTERNAL_KEYS and not key.startswith("x-") and bool(part.value)


def _source(section: str, name: str, item: Item, faults: Faults) -> None:
    ways = ("file", "environment", "content", "driver")
    given = [key for key in ways if item.get(key) is not None]
    if len(given) > 1 and "driver" not in given:
        fault = f"{section}.{name} has {' and '.join(given)}, and one counts"
        faults.add(item, fault, "keep one of them")
