"""Scalars as Compose understands them: YAML's plain text, numbers, flags, durations and sizes."""

from __future__ import annotations

import re
from decimal import Decimal

from orch.spec.units import Bytes, Duration

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_YES = frozenset(("true", "1", "t", "y", "yes", "on"))
_NO = frozenset(("false", "0", "f", "n", "no", "off"))
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_MILLISECONDS = {
    "ns": Decimal("0.000001"),
    "us": Decimal("0.001"),
    "µs": Decimal("0.001"),
    "μs": Decimal("0.001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "m": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
    "w": Decimal(604_800_000),
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*[kmgtp]?i?b?", re.IGNORECASE)
_EXACT_FLOATS = 1e21
_SMALL_FLOATS = 1e-4

Plain = str | int | float | bool | None


def text_of(value: Plain) -> str:
    """A value as Compose writes it where text is meant; `1.10` was a number and becomes `1.1`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    if value == 0 or _SMALL_FLOATS <= abs(value) < _EXACT_FLOATS:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].rjust(2, '0')}"


def flag(value: object) -> bool:
    """A true or a false in any of the spellings that Compose takes. Raises ValueError."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError(f"{value!r} is neither true nor false; write true or false")


def integer(value: object) -> int:
    """A whole number, also one that is written as text. Raises ValueError."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[-+]?\d+", text):
        raise ValueError(f"{value!r} is not a whole number; write one such as 3")
    return int(text)


def number(value: object) -> int | float:
    """A number, also one that is written as text. Raises ValueError."""
    text = str(value).strip()
    if isinstance(value, bool) or not _FLOAT.fullmatch(text):
        raise ValueError(f"{value!r} is not a number; write one such as 0.5")
    found = float(text)
    return int(found) if found.is_integer() else found


def duration(value: object) -> Duration:
    """A span such as `1m30s`, `1.5h`, `10us` or `2d`. Raises ValueError."""
    text = str(value).strip().removeprefix("+")
    if text == "0":
        return Duration(0)
    if not isinstance(value, str) or not text or _DURATION_PART.sub("", text):
        raise ValueError(f"{value!r} is not a duration; write a number with its unit, as in 1m30s")
    parts = _DURATION_PART.findall(text)
    total = sum((Decimal(count) * _MILLISECONDS[unit] for count, unit in parts), Decimal(0))
    return Duration(round(total))


def size(value: object) -> int:
    """A number of bytes, from a number or from text such as `64m`; -1 passes. ValueError else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if text == "-1":
        return -1
    if isinstance(value, bool) or not _SIZE.fullmatch(text):
        raise ValueError(f"{value!r} is not a size; write a number with its unit, as in 64M")
    return int(Bytes.parse(text))


def mode(value: object) -> str:
    """Permissions in octal digits: a number's value, or text that is read as octal."""
    if isinstance(value, int) and not isinstance(value, bool):
        octal = f"{value:04o}"
    else:
        octal = str(value).strip().lower().removeprefix("0o").rjust(4, "0")
    if not re.fullmatch(r"[0-7]{3,5}", octal):
        raise ValueError(f"{value!r} is not a file mode; write it in octal, as in 0440")
    return octal.lstrip("0").rjust(4, "0")
