"""What a provider gave, as the bytes that are delivered, and where those can't be used."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.errors import UsageFault
from orch.types import render_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orch.types import FieldPath

ANY = "*"


class _Need(NamedTuple):
    """Why a place takes text alone, and what helps."""

    why: str
    mend: str


_VARIABLE = _Need("a variable holds text alone", "mount it as a file: list it under `secrets`")
_PASSWORD = _Need("a password is text", "name the secret that holds the password alone")
_PEM = _Need(
    "certificates and keys are given in PEM", "convert it, as with openssl x509 -inform der"
)
_UNITS: tuple[FieldPath, ...] = (("services", ANY), ("jobs", ANY))
_CONTAINERS: tuple[FieldPath, ...] = (
    *_UNITS,
    *((*unit, "sidecars", ANY) for unit in _UNITS),
    *((*unit, "pre_start", ANY) for unit in _UNITS),
)
_PLACES: tuple[tuple[FieldPath, _Need], ...] = (
    *(((*container, "environment", ANY), _VARIABLE) for container in _CONTAINERS),
    (("registries", ANY, "password"), _PASSWORD),
    (("routes", ANY, "tls", "cert"), _PEM),
    (("routes", ANY, "tls", "key"), _PEM),
)
"""Where a value goes out as text; what is mounted as a file may hold anything."""


def delivered(name: str, source: Mapping[str, Any], given: str | bytes) -> bytes:
    """The bytes that a secret stands for. Raises UsageFault for what is not base64."""
    # Variables of a process may hold bytes that are no text; Python keeps them as surrogates.
    data = given.encode(errors="surrogateescape") if isinstance(given, str) else given
    if source.get("encoding") != "base64":
        return data
    try:
        return b64decode(b"".join(data.split()), validate=True)
    except ValueError:
        raise UsageFault(
            "its value is not base64",
            place=f"secrets.{name}",
            mend="encode it, as with base64 FILE, or remove `encoding`",
        ) from None


def check_size(name: str, value: bytes, limits: tuple[int, int]) -> None:
    """Raises UsageFault for a value that the target can't hold, in bytes as delivered."""
    least, most = limits
    if least <= len(value) <= most:
        return
    fault = f"its value has {len(value)} bytes, and a secret of this target has {least} to {most}"
    mend = "keep it in a volume" if len(value) > most else "give it a value, or remove it"
    raise UsageFault(fault, place=f"secrets.{name}", mend=mend)


def check_text(name: str, value: bytes, document: Mapping[str, Any]) -> None:
    """Raises UsageFault for a value that is no text where a document wants it as text."""
    if _is_text(value):
        return
    for place, need in _PLACES:
        for path, found in _found(document, place):
            if found == {"secret": name}:
                raise UsageFault(
                    f"the secret {name!r} is not UTF-8 text, and {need.why}",
                    place=render_path(path),
                    mend=need.mend,
                )


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


def _found(tree: Any, place: FieldPath, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """What stands at a place, with its path."""
    if not place:
        yield path, tree
        return
    key, *rest = place
    below: Iterable[tuple[Any, Any]]
    if isinstance(tree, Mapping):
        below = tree.items() if key == ANY else [(key, tree[key])] if key in tree else []
    else:
        below = enumerate(tree) if key == ANY and isinstance(tree, list | tuple) else []
    for one, item in below:
        yield from _found(item, tuple(rest), (*path, one))
