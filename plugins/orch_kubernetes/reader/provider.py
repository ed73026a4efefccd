"""Values of Secrets that stay in the manifests they stand in."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORM = "write key: Secret/NAME/KEY"


class ManifestSecrets:
    """`{provider: manifest, path: ./secret.yaml, key: Secret/db/password}`: a key of a Secret.

    A namespace may stand before the name. Of another object, such as `Route/web/spec.tls.key`, a
    text is taken as it stands. `options: {registry: HOST}` takes the password of one registry out
    of a `.dockerconfigjson`.
    """

    name = "manifest"

    def read(self, name: str, source: Mapping[str, Any], base: Path) -> str | bytes:
        """The value. Raises UsageFault when it is not there; never shows it."""
        place = f"secrets.{name}"
        given, key = source.get("path"), str(source.get("key") or "")
        if not given:
            mend = "write path: FILE beside provider: manifest"
            raise UsageFault("the provider `manifest` needs a path", place=place, mend=mend)
        value = _value(base / str(given), key, place)
        registry = (source.get("options") or {}).get("registry")
        return _password(value, str(registry), place) if registry else value

    def version(self, name: str, source: Mapping[str, Any], base: Path) -> str | None:  # noqa: ARG002
        """None: a manifest knows no versions."""
        return None


def _value(file: Path, key: str, place: str) -> str | bytes:
    kind, _, rest = key.partition("/")
    titles = rest.split("/")
    if len(titles) not in (2, 3) or not all((kind, *titles)):
        raise UsageFault(f"{key!r} names no key of an object", place=place, mend=FORM)
    *space, name, field = titles
    for thing in _objects(file):
        metadata = thing.get("metadata") or {}
        right = not space or metadata.get("namespace") == space[0]
        if right and (thing.get("kind"), metadata.get("name")) == (kind, name):
            found = _of_secret(thing, field, place) if kind == "Secret" else _of(thing, field)
            if found is not None:
                return found
    raise UsageFault(f"{file} has no {key}", place=place, mend="name one that it has")


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    from orch.load.files import parse_documents, read_text

    for document in parse_documents(read_text(file), str(file)):
        yield from _opened(document)


def _opened(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        for member in document.get("items") or ():
            yield from _opened(member)


def _of_secret(thing: dict[str, Any], key: str, place: str) -> str | bytes | None:
    plain = (thing.get("stringData") or {}).get(key)
    if plain is not None:
        return str(plain)
    held = (thing.get("data") or {}).get(key)
    if held is None:
        return None
    try:
        return base64.b64decode("".join(str(held).split()), validate=True)
    except ValueError:
        mend = "encode it, as with base64 FILE, or write it under `stringData`"
        raise UsageFault("its value is not base64", place=place, mend=mend) from None


def _of(thing: Any, field: str) -> str | None:
    for part in field.split("."):
        thing = thing.get(part) if isinstance(thing, dict) else None
    return thing if isinstance(thing, str) else None


def _password(value: str | bytes, registry: str, place: str) -> str:
    try:
        login = json.loads(value)["auths"][registry]
        if "password" in login:
            return str(login["password"])
        return base64.b64decode(login["auth"]).decode().partition(":")[2]
    except (ValueError, KeyError, TypeError):
        fault = f"it holds no login of {registry}"
        raise UsageFault(fault, place=place, mend="name a registry that it has") from None
