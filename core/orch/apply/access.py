"""One instance on one backend, with everything that work on it needs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from orch.apply.redact import Redactor
from orch.apply.releases import History
from orch.apply.retry import retrying
from orch.apply.secrets import ANY_SIZE, SecretReader
from orch.backend.contract import KeepsSecrets, SupportsSight
from orch.compile.compile import compile_app
from orch.errors import OrchError
from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import Backend, SecretProvider, Store
    from orch.spec.application import Application
    from orch.types import Instance, Manifest, Snapshot

T = TypeVar("T")


class Access:
    """Calls a backend for one instance; no fault that comes out holds a secret value."""

    def __init__(
        self,
        backend: Backend,
        instance: Instance,
        providers: Mapping[str, SecretProvider],
        base: Path,
        who: str,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.backend, self.instance, self.who = backend, instance, who
        self.clock, self.sleep = clock, sleep
        self.redactor = Redactor()
        self._providers, self._base = providers, base

    @cached_property
    def store(self) -> Store:
        """Where releases and the lock live."""
        return self.backend.store(self.instance)

    @cached_property
    def secrets(self) -> SecretReader:
        """Reads versions and values of secrets."""
        limits = self.capabilities.limits.get("secret_bytes", ANY_SIZE)
        return SecretReader(self._providers, self._base, self.store, self.redactor, limits)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the platform can hold."""
        return self.backend.capabilities()

    def compiled(self, app: Application) -> Manifest:
        """The application in the words of this very target, which is asked what it is."""
        backend = self.backend
        if not isinstance(backend, SupportsSight):
            return compile_app(backend, app)
        self.tried(lambda: backend.sight(self.instance))
        return self.tried(lambda: compile_app(backend, app))  # it may ask for more

    def observe(self, manifest: Manifest | None) -> Snapshot:
        """What is there now."""
        return self.tried(lambda: self.backend.observe(self.instance, manifest))

    def history(self) -> History:
        """The releases that are kept."""
        return self.tried(lambda: History(self.store))

    def held_secrets(self) -> Mapping[str, Collection[str]]:
        """Versions of secrets whose values the target keeps; none where it keeps no values."""
        backend = self.backend
        if not isinstance(backend, KeepsSecrets):
            return EMPTY
        return self.tried(lambda: backend.held_secrets(self.instance))

    def forget_secrets(self, keep: Mapping[str, Collection[str]]) -> None:
        """Let the target drop every other version that nothing runs with."""
        backend = self.backend
        if isinstance(backend, KeepsSecrets):
            self.tried(lambda: backend.forget_secrets(self.instance, keep))

    def tried(self, call: Callable[[], T]) -> T:
        """Make a call that only reads, again where that may help."""
        return self.clean(lambda: retrying(call, self.sleep))

    def clean(self, call: Callable[[], T]) -> T:
        """Make a call; secret values are taken out of whatever it raises."""
        try:
            return call()
        except OrchError as fault:
            raise self.redactor.error(fault) from None
        except Exception as fault:
            if self.redactor.text(str(fault)) != str(fault):
                raise self.redactor.error(fault) from None
            raise
