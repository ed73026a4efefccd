"""Secrets on their way: versions when a plan is made, values right before they are sent."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sys
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from orch.apply.secret_values import check_size, check_text, delivered
from orch.errors import Conflict, Denied, OrchError, StalePlan, Transient, Unreachable, UsageFault
from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orch.apply.redact import Redactor
    from orch.backend.contract import SecretProvider, Store

KEY_RECORD = "key"
KEY_BYTES = 32
VERSION_LENGTH = 16
"""Hexadecimal digits of a keyed hash that are kept: 64 bits, short enough for a name."""
ANY_SIZE = (0, sys.maxsize)
"""Bytes that a secret may have where the platform sets no limits."""
_FIT_FOR_A_NAME = re.compile(r"[a-z0-9]{1,24}")


class SecretReader:
    """Reads secrets from their providers; whatever it read is unlearnt by no redactor."""

    def __init__(
        self,
        providers: Mapping[str, SecretProvider],
        base: Path,
        store: Store,
        redactor: Redactor,
        limits: tuple[int, int] = ANY_SIZE,
    ) -> None:
        self._providers, self._base, self._limits = providers, base, limits
        self._store, self._redactor = store, redactor
        self._key: bytes | None = None

    def versions(self, document: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
        """The version of each named secret of a document that is not external.

        It is the provider's own, else a keyed hash of the value under a key that the target
        keeps. Raises UsageFault when secrets can't be read or used, for all of them at once.
        """
        sources = document.get("secrets", EMPTY)
        found: dict[str, str] = {}
        faults: list[OrchError] = []
        for name in names:
            if name in sources and not sources[name].get("external"):
                try:
                    found[name] = self._version(name, document)
                except OrchError as fault:
                    faults.append(fault)
        if faults:
            raise _together(faults)
        return found

    def values(
        self,
        document: Mapping[str, Any],
        names: Iterable[str],
        versions: Mapping[str, str],
    ) -> dict[str, bytes]:
        """The values of the named secrets. Raises StalePlan when one changed since the plan."""
        sources = document.get("secrets", EMPTY)
        found = {}
        for name in names:
            if name not in sources or sources[name].get("external"):
                continue
            if self._version(name, document) != versions.get(name):
                raise secret_changed(name)
            found[name] = self._read(name, document)
        return found

    def _version(self, name: str, document: Mapping[str, Any]) -> str:
        source = document["secrets"][name]
        own = self._ask("version", name, source)
        if own is None:
            return self._keyed(name, self._read(name, document))
        if source.get("encoding", "utf-8") != "utf-8":
            own += f"\0{source['encoding']}"  # another value of what has the same version
        return own if _FIT_FOR_A_NAME.fullmatch(own) else self._keyed(name, own.encode())

    def _read(self, name: str, document: Mapping[str, Any]) -> bytes:
        source = document["secrets"][name]
        given: str | bytes = self._ask("read", name, source)
        self._redactor.learn((given,))
        value = delivered(name, source, given)
        self._redactor.learn((value,))
        check_size(name, value, self._limits)
        check_text(name, value, document)
        return value

    def _ask(self, verb: str, name: str, source: Mapping[str, Any]) -> Any:
        provider = self._provider(name, source)
        try:
            return getattr(provider, verb)(name, source, self._base)
        except OrchError:
            raise
        except Exception as fault:  # noqa: BLE001
            # The text of a foreign fault may hold the value; its name is all that is passed on.
            kind = type(fault).__name__
            raise UsageFault(
                f"the provider {provider.name!r} failed with {kind}",
                place=f"secrets.{name}",
                mend="check that the provider can read it",
            ) from None

    def _provider(self, name: str, source: Mapping[str, Any]) -> SecretProvider:
        wanted = str(source.get("provider"))
        if wanted in self._providers:
            return self._providers[wanted]
        near = get_close_matches(wanted, self._providers, 1)
        known = ", ".join(sorted(self._providers)) or "none is installed"
        raise UsageFault(
            f"there is no secret provider {wanted!r}",
            place=f"secrets.{name}.provider",
            mend=f"did you mean {near[0]}?" if near else f"choose one of: {known}",
        )

    def _keyed(self, name: str, value: bytes) -> str:
        data = name.encode() + b"\0" + value
        return hmac.new(self._the_key(), data, hashlib.sha256).hexdigest()[:VERSION_LENGTH]

    def _the_key(self) -> bytes:
        if self._key is None:
            self._key = _kept_key(self._store)
        return self._key


def secret_changed(name: str) -> StalePlan:
    """The fault of a secret whose version is not that of the plan."""
    fault = f"the secret {name!r} changed since the plan was made"
    return StalePlan(fault, mend="make the plan again")


def _together(faults: Sequence[OrchError]) -> OrchError:
    """One fault for all; a provider that is away counts for more than a fault of the spec."""
    if len(faults) == 1:
        return faults[0]
    kinds = (Denied, Unreachable, Transient)
    kind = next((k for k in kinds if any(isinstance(f, k) for f in faults)), UsageFault)
    lines = "\n  ".join(map(str, faults))
    return kind(f"{len(faults)} secrets can't be read:\n  {lines}")


def _kept_key(store: Store) -> bytes:
    """The target's key for hashes of secrets, made by whoever needs it first."""
    with suppress(KeyError):
        return store.read(KEY_RECORD)
    with suppress(Conflict):
        store.create(KEY_RECORD, os.urandom(KEY_BYTES))
    return store.read(KEY_RECORD)
