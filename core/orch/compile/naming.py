"""One deterministic rule from the names of a spec to the names that a platform accepts."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orch.backend.capabilities import NameRule

DIGEST_LENGTH = 8


@lru_cache(maxsize=65536)
def platform_name(name: str, rule: NameRule, *prefix: str) -> str:
    """Map a name, after its prefixes, to one that the platform accepts.

    A name that is legal as it stands stays; any other is made lower case where the rule says so,
    gets `-` for each character that is not allowed, and a digest of the true name at its end, so
    that two names which differ only in what was replaced still differ.
    """
    full = "-".join((*prefix, name))
    mapped = _mapped(full, rule)
    if mapped == full and len(full) <= rule.max_length:
        return full
    digest = hashlib.sha256("\0".join((*prefix, name)).encode()).hexdigest()[:DIGEST_LENGTH]
    kept = mapped[: max(rule.max_length - DIGEST_LENGTH - 1, 0)].rstrip("-._")
    return f"{kept}{_joint(rule) if kept else ''}{digest}"[: rule.max_length]


def _mapped(full: str, rule: NameRule) -> str:
    lowered = full.lower() if rule.lower else full
    allowed = re.compile(rule.allowed)
    joint = _joint(rule)
    return "".join(c if allowed.fullmatch(c) else joint for c in lowered).strip("-._")


def _joint(rule: NameRule) -> str:
    return next((c for c in "-_." if re.fullmatch(rule.allowed, c)), "")
