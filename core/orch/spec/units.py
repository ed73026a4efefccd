"""Durations, bytes and cpus: parsed once, ordered, printed in one canonical form."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

_DURATION_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_BYTE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b?)", re.IGNORECASE)


class Unit(int):
    """A whole number that is read from, and printed as, text with a unit."""

    noun: ClassVar[str]
    forms: ClassVar[tuple[str, ...]]
    pattern: ClassVar[str]

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read a value as a person writes it. Raises ValueError naming the accepted forms."""
        if isinstance(raw, cls):
            return raw
        readable = isinstance(raw, str | int | float) and not isinstance(raw, bool)
        value: Self | None = _read(cls, raw) if readable else None
        if value is None:
            msg = f"{raw!r} is not {cls.noun}; write {' or '.join(cls.forms)}"
            raise ValueError(msg)
        return value

    @classmethod
    def number(cls, raw: Any) -> float | None:
        """The value in the smallest unit, or None when `raw` can't be read."""
        raise NotImplementedError

    def spelt(self) -> str:
        """The value in its canonical form."""
        raise NotImplementedError

    def __str__(self) -> str:
        return _written(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

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
        text = {"type": "string", "pattern": cls.pattern}
        return {"anyOf": [{"type": "number", "minimum": 0}, text], "examples": list(cls.forms)}


def _parse(unit: type[Unit], raw: object) -> Any:
    number = unit.number(raw)
    return None if number is None or not 0 <= number < 2**63 else unit(round(number))


def _spell(value: Unit) -> str:
    return value.spelt()


# An application has few different values, and each of them very often.
_read: Callable[[Any, object], Any] = lru_cache(maxsize=8192, typed=True)(_parse)
_written: Callable[[Unit], str] = lru_cache(maxsize=8192, typed=True)(_spell)


class Duration(Unit):
    """A span of time in whole milliseconds; a bare number is seconds."""

    noun = "a duration"
    forms = ("30s", "1m30s", "500ms")
    pattern = r"^(0|(\d+(\.\d+)?(h|ms|m|s))+)$"

    @classmethod
    def number(cls, raw: Any) -> float | None:
        if not isinstance(raw, str):
            return float(raw * 1000)
        text = raw.strip()
        if text == "0":
            return 0
        if not text or _DURATION_PART.sub("", text):
            return None
        return sum(float(n) * _DURATION_UNITS[u] for n, u in _DURATION_PART.findall(text))

    @property
    def seconds(self) -> float:
        """The same span in seconds."""
        return int(self) / 1000

    def spelt(self) -> str:
        rest, parts = int(self), []
        for unit, size in _DURATION_UNITS.items():
            count, rest = divmod(rest, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


class Bytes(Unit):
    """A size in bytes. `k`, `m`, `g` are powers of 1024, as `Ki`, `Mi`, `Gi` are."""

    noun = "a size"
    forms = ("256Mi", "256M", "10G")
    pattern = r"^\d+(\.\d+)?\s*[kKmMgGtTpP]?[iI]?[bB]?$"

    @classmethod
    def number(cls, raw: Any) -> float | None:
        match = _BYTES.fullmatch(str(raw).strip())
        return float(match[1]) * _BYTE_UNITS[match[2].lower()] if match else None

    def spelt(self) -> str:
        for unit in ("Pi", "Ti", "Gi", "Mi", "Ki"):
            count, rest = divmod(int(self), _BYTE_UNITS[unit[0].lower()])
            if count and not rest:
                return f"{count}{unit}"
        return str(int(self))


class Cpus(Unit):
    """A share of processors in whole thousandths: `0.5` is half of one, as `500m` is."""

    noun = "a number of cpus"
    forms = ("0.5", "2", "250m")
    pattern = r"^(\d+m|\d+(\.\d+)?)$"

    @classmethod
    def number(cls, raw: Any) -> float | None:
        text = str(raw).strip()
        if not re.fullmatch(r"\d+m|\d+(\.\d+)?", text):
            return None
        return int(text[:-1]) if text.endswith("m") else float(text) * 1000

    @property
    def cores(self) -> float:
        """The same share as a number of processors."""
        return int(self) / 1000

    def spelt(self) -> str:
        return f"{self.cores:.3f}".rstrip("0").rstrip(".")
