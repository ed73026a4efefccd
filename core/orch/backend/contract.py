"""What a backend must do, what it may do, and what a reader and a secret provider are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from orch.frozen import EMPTY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orch.backend.capabilities import Capabilities
    from orch.spec.application import Application
    from orch.types import (
        Action,
        Event,
        FieldPath,
        Instance,
        Ledger,
        LogLine,
        Manifest,
        Place,
        Snapshot,
        Status,
    )


@dataclass(frozen=True, slots=True)
class Lock:
    """A held lock: `token` proves it, `expires` is seconds since the epoch by the store's clock."""

    holder: str
    token: str
    expires: float


class Store(Protocol):
    """A place on the target for small records. Names are written once and never changed.

    Numbered names make create-only a compare-and-set, so no platform needs more than this.
    """

    limit: int
    """The most bytes that one record may hold."""

    def create(self, name: str, data: bytes) -> None:
        """Write a record. Raises Conflict when the name is taken."""
        ...

    def read(self, name: str) -> bytes:
        """Raises KeyError when there is none."""
        ...

    def names(self, prefix: str = "") -> Sequence[str]:
        """Names of the records that begin so, in no set order."""
        ...

    def delete(self, name: str) -> None:
        """Remove a record; one that is gone already is no fault."""
        ...

    def acquire(self, holder: str, ttl: float) -> Lock:
        """Take the instance's lock for `ttl` seconds. Raises Locked naming the holder."""
        ...

    def renew(self, lock: Lock, ttl: float) -> Lock:
        """Raises Locked when the lock was lost."""
        ...

    def release(self, lock: Lock) -> None:
        """Give it back; a lost lock is no fault."""
        ...

    def break_lock(self) -> str:
        """Remove whatever lock there is and return its holder, empty when there was none."""
        ...


class Backend(Protocol):
    """One target of one platform."""

    name: str

    def capabilities(self) -> Capabilities:
        """What the platform can hold, as data; asks nothing of the network."""
        ...

    def compile(self, app: Application) -> Manifest:
        """Say the application in the platform's words. Pure: no network, clock or environment."""
        ...

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        """What is there: the manifest's objects by id, and every other object that is ours.

        Without a manifest, everything of the instance. Whatever of the manifest this target
        can't run now goes to `problems`; what it can run once others of the instance have gone
        to `crowded`. Raises Unreachable or Denied.
        """
        ...

    def apply(self, action: Action) -> Iterator[Event]:
        """Do one step. Idempotent: the same action twice leaves the same state.

        Raises Conflict when the object moved since `action.before`, Transient when a repeat may
        help, Unreachable or Denied. APPLIED says that it is done; events after it tell how the
        target takes it, and are heard by a deploy that waits.
        """
        ...

    def rollout(self, action: Action) -> Iterator[Event]:
        """Watch a changed resource until HEALTHY, FAILED or TIMED_OUT, the last event.

        A completed one-shot job is HEALTHY.
        """
        ...

    def status(self, instance: Instance) -> Status:
        """Services, replicas and health as they are now."""
        ...

    def instances(self) -> Sequence[Instance]:
        """Every instance that this target holds."""
        ...

    def store(self, instance: Instance) -> Store:
        """Where releases and the lock of this instance live."""
        ...

    def close(self) -> None:
        """Give back connections. Called once, also after a fault."""
        ...


@runtime_checkable
class SupportsSight(Protocol):
    """What compile makes depends on what the target is, and the target can be asked that."""

    def sight(self, instance: Instance) -> None:
        """Ask; from now on compile and capabilities go by the answer. Asked twice, it asks once.

        What is compiled is for this instance, and may stay as it is where there is a choice.
        Raises Unreachable or Denied.
        """
        ...


@runtime_checkable
class SupportsPredict(Protocol):
    """The platform itself can say what an apply would make of a manifest."""

    def predict(self, manifest: Manifest, snapshot: Snapshot) -> Snapshot: ...


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines are wanted. `since` is seconds since the epoch, `tail` counts per replica."""

    services: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    follow: bool = False
    since: float | None = None
    tail: int | None = None


@runtime_checkable
class SupportsLogs(Protocol):
    """What replicas printed can be read."""

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]: ...


@runtime_checkable
class SupportsExec(Protocol):
    """A command can be run in a replica."""

    def exec(
        self, instance: Instance, service: str, replica: str, command: Sequence[str], *, tty: bool
    ) -> int:
        """Join the caller's standard streams to the command's and return its exit code."""
        ...


class Tunnel(Protocol):
    """One connection to a port of a replica; both directions may be used at the same time."""

    def send(self, data: bytes) -> None:
        """Pass bytes on. Raises Unreachable once the connection is cut."""
        ...

    def receive(self) -> bytes:
        """The bytes that came next, empty at the end. Raises Unreachable when nobody listens."""
        ...

    def close(self) -> None:
        """End it; whoever still receives comes to the end."""
        ...


@runtime_checkable
class SupportsForward(Protocol):
    """Ports of replicas can be reached from here, wherever they run."""

    def port_of(self, instance: Instance, service: str, port: str) -> int:
        """The number of a port of a service, by number or name. Raises UsageFault for no port."""
        ...

    def dial(self, instance: Instance, service: str, replica: str, port: int) -> Tunnel:
        """A new connection to a replica, to any that is ready when none is named.

        Raises UsageFault when there is none.
        """
        ...


@runtime_checkable
class SupportsEvents(Protocol):
    """The platform keeps a log of what happened."""

    def events(
        self, instance: Instance, *, follow: bool, since: float | None
    ) -> Iterator[Event]: ...


@runtime_checkable
class SupportsMetrics(Protocol):
    """Use of cpu (cores) and memory (bytes) by replica id."""

    def metrics(self, instance: Instance) -> Mapping[str, Mapping[str, float]]: ...


@runtime_checkable
class SupportsWhy(Protocol):
    """The platform can explain why a replica is where it is, or why it is nowhere."""

    def why(self, instance: Instance, replica: str) -> Sequence[str]: ...


@runtime_checkable
class KeepsSecrets(Protocol):
    """The target keeps values of secrets by version, so that an earlier one can come back.

    An action whose secret is at a version that is held is sent without the value.
    """

    def held_secrets(self, instance: Instance) -> Mapping[str, Collection[str]]:
        """The versions of each secret that the target holds."""
        ...

    def forget_secrets(self, instance: Instance, keep: Mapping[str, Collection[str]]) -> None:
        """Drop every version but those to keep and those that something runs with."""
        ...


@runtime_checkable
class SupportsLiveRead(Protocol):
    """What runs there can be read back into a spec."""

    def read_live(self, selector: str, namespace: str = "") -> Reading:
        """The spec of what a name means, in a namespace, or where it is found when none is named.

        Raises UsageFault when there is nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A spec read from another format: the document in canonical long form, and its account.

    `places` gives the place of a document path in the source, so that later faults point there.
    """

    document: Mapping[str, Any]
    ledger: Ledger
    places: Mapping[FieldPath, Place] = EMPTY
    files: tuple[str, ...] = ()


class Reader(Protocol):
    """A format that is accepted wherever a spec is."""

    name: str

    def detect(self, path: Path, head: str) -> int:
        """How sure it is, 0 (not mine) to 100, from the name and the first 4,096 characters."""
        ...

    def read(
        self, files: Sequence[Path], variables: Mapping[str, str], profiles: Sequence[str]
    ) -> Reading:
        """Raises InvalidSpec with every fault found."""
        ...


@runtime_checkable
class SupportsName(Protocol):
    """A reader that can tell an application's name without reading all of its files' content."""

    def name_of(self, files: Sequence[Path], variables: Mapping[str, str]) -> str:
        """Raises InvalidSpec when they don't tell it."""
        ...


class SecretProvider(Protocol):
    """A place where secret values are kept."""

    name: str

    def read(self, name: str, source: Mapping[str, Any], base: Path) -> str | bytes:
        """The value now, as text or, to the byte, as bytes; core decodes what is in base64.

        `source` is the spec's entry; relative paths start at `base`.
        """
        ...

    def version(self, name: str, source: Mapping[str, Any], base: Path) -> str | None:
        """The provider's own version, None when it has none and a keyed hash must do."""
        ...


class Policy(Protocol):
    """A rule of the organisation over what is about to be deployed."""

    name: str

    def check(self, app: Application, manifest: Manifest) -> Iterable[Any]:
        """Yields a Diagnostic for each violation; an error one refuses the deploy."""
        ...


@dataclass(frozen=True, slots=True)
class BackendFactory:
    """How a backend comes into being.

    `create(options)` gets the target's settings; it must import no SDK before it is called.
    `requires` are the modules of its SDK and `extra` the extra that installs them. `options` are
    the settings that it knows, each with its meaning; others are refused. `flavours` are kinds of
    the platform by name, each with its title, the usual one first; the option `flavour` chooses
    one. `prices` is a table of public prices, in the form that `orch compare --prices` reads.
    """

    name: str
    summary: str
    create: Any
    requires: tuple[str, ...] = ()
    extra: str = ""
    options: Mapping[str, str] = EMPTY
    flavours: Mapping[str, str] = EMPTY
    prices: Path | None = None
