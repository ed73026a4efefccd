"""Records of any size in a store of small ones: chunks first, then a head that makes it whole."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict, OrchError, UsageFault
from orch.version import __version__

if TYPE_CHECKING:
    from orch.backend.contract import Store

FORMAT = 1
HEAD_ROOM = 512
"""Bytes that a head takes beside what it carries."""


def write_record(store: Store, name: str, value: Any) -> None:
    """Write a JSON-shaped value under a name of its own. Raises Conflict when it is taken.

    Until the head stands, which is written last and once, there is no record of that name.
    """
    data = gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 6, mtime=0)
    digest = hashlib.sha256(data).hexdigest()
    head: dict[str, Any] = {"format": FORMAT, "orch": __version__, "digest": digest}
    if len(data) * 4 // 3 + HEAD_ROOM <= store.limit:
        head["data"] = b64encode(data).decode()
    else:
        head["chunks"] = _write_chunks(store, name, digest, data)
    store.create(name, json.dumps(head).encode())


def _write_chunks(store: Store, name: str, digest: str, data: bytes) -> int:
    chunks = [data[start : start + store.limit] for start in range(0, len(data), store.limit)]
    for number, chunk in enumerate(chunks):
        # A chunk of the same digest that stands already was left by an attempt that was cut off.
        with suppress(Conflict):
            store.create(_chunk_name(name, digest, number), chunk)
    return len(chunks)


def _chunk_name(name: str, digest: str, number: int) -> str:
    return f"{name}-{digest[:12]}-{number}"


def read_record(store: Store, name: str) -> Any:
    """Read it back.

    Raises KeyError when there is none, UsageFault when a newer orch wrote it, and OrchError
    when it is damaged.
    """
    head = json.loads(store.read(name))
    if head["format"] > FORMAT:
        raise UsageFault(
            f"the record {name!r} has format {head['format']}, and this orch reads up to {FORMAT}",
            mend=f"use orch {head['orch']} or later",
        )
    data = b64decode(head["data"]) if "data" in head else _read_chunks(store, name, head)
    if hashlib.sha256(data).hexdigest() != head["digest"]:
        raise OrchError(f"the record {name!r} is damaged", mend="deploy again to write a new one")
    return json.loads(gzip.decompress(data))


def _read_chunks(store: Store, name: str, head: dict[str, Any]) -> bytes:
    names = [_chunk_name(name, head["digest"], n) for n in range(head["chunks"])]
    try:
        return b"".join(store.read(chunk) for chunk in names)
    except KeyError as fault:
        raise OrchError(
            f"the record {name!r} lacks a part of it", mend="deploy again to write a new one"
        ) from fault


def delete_record(store: Store, name: str) -> None:
    """Remove a record, its head first: what is half removed is no record any more."""
    store.delete(name)
    for chunk in store.names(f"{name}-"):
        store.delete(chunk)
