"""What a provider gave, as the bytes that are delivered, and where those can't be used."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from orch.errors import UsageFault
from orch.types import render_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orch.types import FieldPath

_USERS = ("services", "jobs", "registries", "routes")
_NOT_OURS = ("overrides", "x-")


class _Need(NamedTuple):
    """Why a place takes text alone, and what helps."""

    why: str
    mend: str


_VARIABLE = _Need("a variable holds text alone", "mount it as a file: list it under `secrets`")
_PASSWORD = _Need("a password is text", "name the secret that holds the password alone")
_PEM = _Need(
    "certificates and keys are given in PEM", "convert it, as with openssl x509 -inform der"
)
_NEEDS: Mapping[str, _Need] = {"environment": _VARIABLE, "password": _PASSWORD, "tls": _PEM}


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
    for section in _USERS:
        for path in _text_uses(document.get(section), name, (section,)):
            need = next(need for key, need in _NEEDS.items() if key in path)
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


def _text_uses(tree: Any, secret: str, path: FieldPath) -> Iterator[FieldPath]:
    """Every `{secret: NAME}`: what is mounted as a file is named by its `source` instead."""
    if tree == {"secret": secret}:
        yield path
    elif isinstance(tree, Mapping):
        for key, below in tree.items():
            if not str(key).startswith(_NOT_OURS):
                yield from _text_uses(below, secret, (*path, key))
    elif isinstance(tree, list | tuple):
        for index, below in enumerate(tree):
            yield from _text_uses(below, secret, (*path, index))
