"""What a plain scalar means to parsers in Go, which Compose and Kubernetes are read with."""

from __future__ import annotations

import re

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"x": 16, "o": 8, "b": 2}


def resolve(text: str) -> str | int | float | bool | None:
    """A plain scalar's value by the rules of YAML 1.2 with 1.1's octals, as Go's parser has them.

    `0440` is 288, `yes` stays text, `1_000` is a thousand, dates and `22:22` stay text.
    """
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] not in "+-.0123456789":
        return text
    bare = text.replace("_", "")
    integer = _INTEGER.fullmatch(bare)
    if integer is not None:
        return _integer(integer[1], integer[2])
    return float(bare) if _FLOAT.fullmatch(bare) else text


def _integer(sign: str, digits: str) -> int:
    base = _BASES.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    number = int(digits[2:] if digits[1:2].isalpha() else digits, base)
    return -number if sign == "-" else number
