"""Secrets that images are pulled with, as logins of registries."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from orch.spec.image import Image
from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.contents import LOGINS, decoded
from orch_kubernetes.reader.part import OWN, is_ours, note_identity
from orch_kubernetes.reader.values import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.load.item import Item
    from orch_kubernetes.reader.objects import Thing
    from orch_kubernetes.reader.part import Around, Part

HELD = "the user's name is in the Secret, which was not read"
HUB = "docker.io"


def write_registries(around: Around) -> None:
    """The logins that any part pulls its images with."""
    for part in around.parts:
        for named in _pull_secrets(part):
            name = text_of(named.get("name"))
            thing = around.secrets.find(name, part.thing.namespace)
            if thing is None:
                _outside(around, part, named, name)
            else:
                _login(around, thing, named)
    for thing in around.objects.of_kind("ServiceAccount"):
        if is_ours(thing):
            note_identity(around.writer, thing, ("name",))
            around.writer.note(("name",), thing.item, Fidelity.NATIVE, OWN)


def _pull_secrets(part: Part) -> Iterator[Item]:
    yield from part.pod.get("imagePullSecrets") or ()
    account = text_of(part.pod.get("serviceAccountName")) or "default"
    thing = part.around.objects.find("ServiceAccount", account, part.thing.namespace)
    if thing is not None:
        yield from thing.at("imagePullSecrets") or ()


def _outside(around: Around, part: Part, named: Item, name: str) -> None:
    """Its Secret is taken as it is there, for the registries of the part's own images."""
    called = around.secrets.use(name, LOGINS[0], part.thing.namespace, named)
    for host in _hosts(part):
        path = ("registries", host)
        if around.writer.get(path) is None:
            how: dict[str, Any] = {"outcome": Fidelity.DEGRADED, "reason": HELD}
            around.writer.put((*path, "username"), named.get("name"), "", **how,
                mend="name the user", consequence=Consequence.AVAILABILITY)  # fmt: skip
            around.writer.set((*path, "password", "secret"), called, named)
        else:
            around.writer.note(path, named)


def _hosts(part: Part) -> list[str]:
    found: dict[str, None] = {}
    for kind in ("containers", "initContainers"):
        for container in part.pod.get(kind) or ():
            try:
                image = Image.parse(text_of(container.get("image")))
            except ValueError:
                continue
            found[image.registry] = None
    private = [host for host in found if host != HUB]
    return private or list(found)


def _login(around: Around, thing: Thing, named: Item) -> None:
    key = next((k for k in LOGINS if thing.at("data", k) or thing.at("stringData", k)), LOGINS[0])
    leaf = thing.at("data", key) or thing.at("stringData", key)
    for host, login in _logins(leaf).items():
        path = ("registries", host)
        where = around.secrets.name_for(thing, host, f"registry-{host}", f"{thing.name}-{host}")
        around.writer.set((*path, "username"), _user(login), named)
        around.writer.set((*path, "password", "secret"), where[-1], named)
        around.writer.note(path, named)
        if leaf is not None:
            around.secrets.refer(where, leaf, thing, key, registry=host)
        note_identity(around.writer, thing, path)
        for said in ("type", "immutable"):
            around.writer.note(path, thing.item.get(said), Fidelity.NATIVE, OWN)


def _logins(leaf: Item | None) -> Mapping[str, dict[str, Any]]:
    try:
        found = json.loads((leaf and decoded(leaf)) or "{}")
    except ValueError:
        return {}
    logins = found.get("auths", found) if isinstance(found, dict) else {}
    return {host: one for host, one in logins.items() if isinstance(one, dict)}


def _user(login: Mapping[str, Any]) -> str:
    if "username" in login:
        return str(login["username"])
    try:
        return base64.b64decode(str(login.get("auth", ""))).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
