"""Values as the API writes them: quantities, numbers or shares, and names that a spec accepts."""

from __future__ import annotations

import hashlib
import re
from decimal import ROUND_CEILING, Decimal
from math import ceil, floor
from typing import TYPE_CHECKING

from orch.spec.base import NAME_PATTERN
from orch.spec.units import Bytes, Cpus, Duration

if TYPE_CHECKING:
    from orch.load.item import Item

_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?"
)
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    **{letter: Decimal(1000) ** (i + 1) for i, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (i + 1) for i, letter in enumerate("KMGTPE")},
}
_NAME = re.compile(NAME_PATTERN)
_LONGEST = 63


def quantity(raw: object) -> Decimal | None:
    """A quantity such as `1500m`, `2Gi` or `1e3`; None for what is none."""
    match = _QUANTITY.fullmatch(str(raw).strip())
    if match is None or isinstance(raw, bool):
        return None
    number = Decimal(f"{match[1]}{match[2] or ''}")
    return number * _SUFFIXES[match[3] or ""]


def whole(number: Decimal) -> int:
    """The least whole number that is not below it."""
    return int(number.to_integral_value(ROUND_CEILING))


def cpus(number: Decimal) -> str:
    """Processors as the spec writes them."""
    return str(Cpus(whole(number * 1000)))


def size(number: Decimal) -> str:
    """Bytes as the spec writes them."""
    return str(Bytes(whole(number)))


def seconds(number: float) -> str:
    """A number of seconds as the spec writes it."""
    return str(Duration.parse(number))


def share(raw: object, of: int, *, up: bool) -> int | None:
    """A number, or a percentage of a number; None for neither."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    match = re.fullmatch(r"(\d+)(%?)", str(raw))
    if match is None:
        return None
    part = int(match[1]) * of / 100
    return (ceil(part) if up else floor(part)) if match[2] else int(match[1])


def text_of(item: Item | None) -> str:
    """The text of an item, empty when there is none."""
    return item.value if item is not None and isinstance(item.value, str) else ""


def number_of(item: Item | None) -> int | None:
    """The whole number of an item, None when there is none."""
    value = item.value if item is not None else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_true(item: Item | None) -> bool:
    """Whether a flag is there and set."""
    return item is not None and item.value is True


def spec_name(text: str) -> str:
    """A text as a name of the spec: other characters become `-`, and a digest ends what changed."""
    if _NAME.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    mapped = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-")
    if mapped == text.lstrip("._-") and mapped and len(mapped) <= _LONGEST:
        return mapped
    kept = mapped[: _LONGEST - len(digest) - 1].rstrip("._-")
    return f"{kept}-{digest}" if kept else f"n{digest}"
