"""Image references: registry, repository, tag and digest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

DEFAULT_REGISTRY = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_HOST = re.compile(r"(?:localhost|\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Image:
    """A parsed image reference; `str()` gives it as the author wrote it."""

    reference: str
    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, raw: object) -> Image:
        """Read a reference such as `ghcr.io/acme/web:1.4@sha256:…`.

        Raises ValueError when a part of it does not follow the distribution grammar.
        """
        if isinstance(raw, Image):
            return raw
        if not isinstance(raw, str):
            msg = f"{raw!r} is not an image; write name:tag or registry/name:tag"
            raise ValueError(msg)  # noqa: TRY004  (pydantic reports ValueError with its place)
        return _parse(raw)

    def __str__(self) -> str:
        return self.reference

    @property
    def full(self) -> str:
        """The reference with registry and tag made explicit."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag or ('' if digest else ':latest')}{digest}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "examples": ["ghcr.io/acme/web:1.4.2"]}


def _split_registry(name: str) -> tuple[str, str]:
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return head, rest
    return DEFAULT_REGISTRY, name if slash else f"library/{name}"


@lru_cache(maxsize=4096)
def _parse(text: str) -> Image:
    name, at, digest = text.partition("@")
    name, colon, tag = name.rpartition(":") if ":" in name.rsplit("/", 1)[-1] else (name, "", "")
    registry, repository = _split_registry(name)
    faults = [
        (not _HOST.fullmatch(registry), f"the registry {registry!r} is not a host name"),
        (
            not _REPOSITORY.fullmatch(repository),
            f"the name {name!r} may hold lower-case letters, digits, '.', '_' and '-'",
        ),
        (bool(colon) and not _TAG.fullmatch(tag), f"the tag {tag!r} is not valid"),
        (bool(at) and not _DIGEST.fullmatch(digest), f"the digest {digest!r} is not valid"),
    ]
    for wrong, fault in faults:
        if wrong:
            msg = f"{text!r} is not an image: {fault}; write name:tag or registry/name:tag"
            raise ValueError(msg)
    return Image(text, registry, repository, tag, digest)
