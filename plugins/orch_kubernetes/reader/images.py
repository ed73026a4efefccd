"""Images that OpenShift finds by image streams: what a tag stands for is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.values import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.load.item import Item
    from orch_kubernetes.reader.part import Around, Part

TRIGGERS = "image.openshift.io/triggers"
NO_WATCH = "a new image is deployed by a deploy, and not as soon as it is there"


def resolved_image(part: Part, container: Item) -> tuple[Item | None, Item | None]:
    """The image that a tag of an image stream stands for, with what names that tag."""
    name = text_of(container.get("name"))
    for trigger, tag, namespace in _triggers(part, name):
        stream, _, label = tag.partition(":")
        thing = part.around.objects.find("ImageStream", stream, namespace)
        for entry in (thing.at("spec", "tags") if thing is not None else None) or ():
            source = entry.get("from")
            if text_of(entry.get("name")) == (label or "latest") and source is not None:
                image = source.get("name")
                if text_of(source.get("kind")) == "DockerImage" and text_of(image).strip():
                    return image, trigger
    return None, None


def _triggers(part: Part, container: str) -> Iterator[tuple[Item, str, str]]:
    """Triggers by which an image stream sets a container's image: the tag, and its namespace."""
    space = part.thing.namespace
    for trigger in part.thing.at("spec", "triggers") or ():
        change = trigger.get("imageChangeParams")
        names = [member.value for member in (change and change.get("containerNames")) or ()]
        if change is not None and container in names:
            tag, other = change.at("from", "name"), change.at("from", "namespace")
            yield trigger, text_of(tag), text_of(other) or space
    annotation = part.thing.at("metadata", "annotations", TRIGGERS)
    for entry in _annotated(annotation):
        source = entry.get("from")
        source = source if isinstance(source, dict) else {}
        path = str(entry.get("fieldPath", ""))
        if annotation is not None and f'"{container}"' in path.replace("'", '"'):
            yield annotation, str(source.get("name", "")), str(source.get("namespace") or space)


def _annotated(annotation: Item | None) -> list[dict[str, Any]]:
    try:
        found = json.loads(text_of(annotation) or "[]")
    except ValueError:
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def account_triggers(part: Part) -> None:
    """What triggers ask for that a deploy does not do by itself."""
    writer = part.writer
    for trigger in part.thing.at("spec", "triggers") or ():
        if text_of(trigger.get("type")) == "ConfigChange":
            writer.note(part.path, trigger, Fidelity.NATIVE, "a change of the spec is deployed")
        else:
            writer.note(part.path, trigger, Fidelity.DEGRADED, NO_WATCH, Consequence.COSMETIC)
    annotation = part.thing.at("metadata", "annotations", TRIGGERS)
    writer.note(part.path, annotation, Fidelity.DEGRADED, NO_WATCH, Consequence.COSMETIC)


def account_streams(around: Around) -> None:
    """An image stream whose tag is used is accounted for by the image."""
    for thing in around.objects.of_kind("ImageStream"):
        if any(leaf.ways for leaf in thing.item.leaves()):
            around.writer.note(("services",), thing.item, Fidelity.NATIVE, "its tag is the image")
