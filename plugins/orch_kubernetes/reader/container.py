"""A container of a pod as the main one, as one before it or as one beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import Consequence, Fidelity
from orch_kubernetes.compile.container import PULL
from orch_kubernetes.reader.env import Environment
from orch_kubernetes.reader.images import resolved_image
from orch_kubernetes.reader.part import DEFAULT, PLACE
from orch_kubernetes.reader.probes import write_probes
from orch_kubernetes.reader.resources import write_resources
from orch_kubernetes.reader.security import SecurityReader
from orch_kubernetes.reader.values import number_of, text_of

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

_POLICIES = {policy: ours for ours, policy in PULL.items()}
SECOND_NAME = "another port of the pod has that name"
ENDS = "a job has no address"


def write_container(part: Part, path: FieldPath, container: Item, resources: FieldPath) -> None:
    """Everything that a container of any kind has."""
    writer = part.writer
    writer.set(path, {}, container)
    writer.note(path, container.get("name"), Fidelity.NATIVE, PLACE)
    _image(part, path, container)
    environment = Environment(part, path)
    environment.write(container)
    for key, field in (("command", "entrypoint"), ("args", "command")):
        for word in container.get(key) or ():
            text, outcome, reason = environment.fill(word)
            where = (*path, field)
            index = writer.size(where)
            writer.put((*where, index), word, text, outcome=outcome, reason=reason)
    for key, field in (("workingDir", "working_dir"), ("tty", "tty"), ("stdin", "stdin_open")):
        writer.put((*path, field), container.get(key))
    SecurityReader(part, path, container).write()
    write_resources(part, resources, container)


def _image(part: Part, path: FieldPath, container: Item) -> None:
    writer, image = part.writer, container.get("image")
    found, told = resolved_image(part, container)
    if found is not None:
        writer.put((*path, "image"), found)
        writer.note((*path, "image"), told)
        writer.note((*path, "image"), image, Fidelity.NATIVE, "the image stream's tag counts")
    elif image is not None and text_of(image).strip():
        writer.put((*path, "image"), image, text_of(image).strip())
    policy = container.get("imagePullPolicy")
    if policy is None:
        return
    if text_of(policy) in _POLICIES:
        writer.put((*path, "pull_policy"), policy, _POLICIES[text_of(policy)])
    elif not policy.value:
        writer.note(path, policy, Fidelity.NATIVE, DEFAULT)


def write_reachable(part: Part, path: FieldPath, container: Item) -> None:
    """Ports and probes, which the main container and those beside it have."""
    if part.is_job and path == part.path:
        for port in container.get("ports") or ():
            part.writer.lose(port, ENDS, "make it a service", Consequence.COSMETIC)
    else:
        for port in container.get("ports") or ():
            _port(part, path, port)
    write_probes(part, path, container)


def _port(part: Part, path: FieldPath, port: Item) -> None:
    writer, number = part.writer, number_of(port.get("containerPort"))
    if number is None:
        return
    protocol = text_of(port.get("protocol")).lower() or "tcp"
    standing = standing_port(part, number, protocol)
    if standing is not None:
        writer.note(standing, port, Fidelity.NATIVE, "it is said twice")
        return
    here = (*path, "ports", writer.size((*path, "ports")))
    writer.put((*here, "target"), port.get("containerPort"))
    if port.get("protocol") is not None and protocol != "tcp":
        writer.put((*here, "protocol"), port.get("protocol"), protocol)
    writer.note(here, port.get("protocol"), Fidelity.NATIVE, DEFAULT)
    name = port.get("name")
    if name is not None and has_port_name(part, text_of(name)):
        writer.lose(name, SECOND_NAME, "choose another", Consequence.COSMETIC)
    else:
        writer.put((*here, "name"), name)
    _host_port(part, here, port, protocol)


def _host_port(part: Part, here: FieldPath, port: Item, protocol: str) -> None:
    writer, said = part.writer, port.get("hostPort")
    published = number_of(said)
    if published is None and part.pod.get("hostNetwork") is None:
        writer.lose(port.get("hostIP"), "nothing is opened on the host", "", Consequence.COSMETIC)
    elif published is not None:
        taken = part.around.published.setdefault((published, protocol), part.name)
        if taken != part.name:
            reason = f"{taken} has that port already"
            writer.lose(said, reason, "choose another", Consequence.NETWORK)
            return
        writer.put((*here, "published"), said)
        writer.set((*here, "mode"), "host", port)
        writer.put((*here, "host_ip"), port.get("hostIP"))


# -- the ports of a part -----------------------------------------------------------------------


def ports_of(part: Part) -> list[tuple[FieldPath, dict[str, object]]]:
    """Ports that are written so far, with their places."""
    found = []
    sidecars = part.writer.get(part.at("sidecars")) or {}
    for path in (part.path, *(part.at("sidecars", name) for name in sidecars)):
        for index, port in enumerate(part.writer.get((*path, "ports")) or ()):
            found.append(((*path, "ports", index), port))
    return found


def standing_port(part: Part, number: int, protocol: str) -> FieldPath | None:
    """Where a port of a part stands, None when it does not."""
    for path, port in ports_of(part):
        if (port["target"], port.get("protocol", "tcp")) == (number, protocol):
            return path
    return None


def has_port_name(part: Part, name: str) -> bool:
    """Whether a port of a part is called so."""
    return any(port.get("name") == name for _, port in ports_of(part))
