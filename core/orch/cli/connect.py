"""From a command line to a session with a target."""

from __future__ import annotations

import gc
import getpass
import os
import signal
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orch.cli.specfile import files_of, folder_of, load_spec, read_name
from orch.cli.targets import DEFAULT_NAMESPACE, choose
from orch.errors import UsageFault
from orch.types import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orch.apply.session import Session
    from orch.backend.contract import Backend
    from orch.cli.choices import SpecChoice, TargetChoice
    from orch.cli.render.out import Out
    from orch.cli.targets import Target
    from orch.load.source import Loaded

_COLLECT_AFTER = 100_000


@dataclass(frozen=True, slots=True)
class Connection:
    """One deployment on one target: the session for every verb, and what lies under it."""

    session: Session
    backend: Backend
    instance: Instance
    out: Out
    loaded: Loaded | None = None

    @property
    def spec(self) -> Loaded:
        """The loaded spec. Raises UsageFault when only a name was given."""
        if self.loaded is None:
            raise UsageFault("there is no spec here", mend="name one with --file")
        return self.loaded


@contextmanager
def opened(target: Target) -> Iterator[Backend]:
    """A backend, closed at the end whatever happens."""
    from orch.backend.discovery import installed

    work_begins()
    backend = installed().backend(target.backend, target.options)
    try:
        yield backend
    finally:
        backend.close()


def work_begins() -> None:
    """From here on an interrupt is raised, for there may be work to end, and values are collected.

    What was loaded so far stays for the life of the process and is never looked at again.
    """
    with suppress(ValueError):  # only the main thread has a say in signals
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    gc.enable()


def target_of(choice: TargetChoice, spec: SpecChoice) -> Target:
    """The target that is meant, looked up beside the spec and in the user's config."""
    return choose(choice, [folder_of(spec), Path()])


def instance_of(choice: TargetChoice, target: Target, spec: SpecChoice, app: str) -> Instance:
    """The deployment that is meant.

    Raises UsageFault for an environment with neither namespace nor name: two environments would
    else take turns on one deployment.
    """
    if spec.environment and not (target.namespace or choice.name):
        raise UsageFault(
            f"the environment {spec.environment!r} needs a place of its own",
            mend=f"add --namespace {spec.environment}, or --name {app}-{spec.environment}",
        )
    return Instance(target.name, target.namespace or DEFAULT_NAMESPACE, choice.name or app)


@contextmanager
def connected_by_spec(choice: TargetChoice, spec: SpecChoice, out: Out) -> Iterator[Connection]:
    """A connection for the spec that the command line names."""
    loaded = load_spec(spec, out)
    target = target_of(choice, spec)
    instance = instance_of(choice, target, spec, loaded.app.name)
    with connected(target, instance, loaded.base, out, loaded) as connection:
        yield connection


@contextmanager
def connected_by_name(choice: TargetChoice, spec: SpecChoice, out: Out) -> Iterator[Connection]:
    """A connection for what is deployed already: of the spec only the name is read, if at all."""
    target = target_of(choice, spec)
    if choice.name and not spec.files:
        instance = Instance(target.name, target.namespace or DEFAULT_NAMESPACE, choice.name)
        base = Path()
    else:
        _need_a_spec(spec)
        instance = instance_of(choice, target, spec, choice.name or read_name(spec))
        base = folder_of(spec)
    with connected(target, instance, base, out) as connection:
        yield connection


@contextmanager
def connected(
    target: Target, instance: Instance, base: Path, out: Out, loaded: Loaded | None = None
) -> Iterator[Connection]:
    """A connection for this very deployment."""
    with opened(target) as backend:
        session = make_session(backend, instance, base)
        yield Connection(session, backend, instance, out, loaded)


def make_session(backend: Backend, instance: Instance, base: Path) -> Session:
    """A session with every installed secret provider and policy."""
    from orch.apply.session import Session
    from orch.backend.discovery import installed

    plugins = installed()
    return Session(
        backend,
        instance,
        providers=plugins.secret_providers,
        base=base,
        policies=tuple(plugins.policies.values()),
        who=who(),
    )


def who() -> str:
    """Who deploys, for locks and releases: user@host, or what ORCH_WHO says."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return os.environ.get("ORCH_WHO") or f"{user}@{socket.gethostname()}"


def _need_a_spec(spec: SpecChoice) -> None:
    try:
        files_of(spec)
    except UsageFault as fault:
        raise UsageFault(
            fault.fault, place=fault.place, mend=f"{fault.mend}, or the application with --name"
        ) from None


def need_deployed(connection: Connection, names: Sequence[str] = ()) -> None:
    """Raises UsageFault when nothing is deployed, or not a service of these, naming the nearest."""
    from difflib import get_close_matches

    known = [service.name for service in connection.session.status().services]
    if not known:
        raise UsageFault(
            "nothing is deployed here",
            place=str(connection.instance),
            mend="run `orch deploy` first",
        )
    for name in names:
        if name not in known:
            service, bracket, index = name.removesuffix("]").partition("[")
            near = get_close_matches(service, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            if bracket and service in known:
                hint = f"write {service}, and --replica {index} for that replica alone"
            fault = f"{connection.instance.name} has no service {name!r} on {connection.instance}"
            raise UsageFault(fault, mend=hint)
