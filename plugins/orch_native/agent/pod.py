"""What an allocation asks of a node: its main container, sidecars and init containers."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY
from orch.spec.application import Job, Service
from orch.spec.container import Resources, SecretRef
from orch_native.messages import without_extras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.spec.container import Container, FileMount, Hook, Port
    from orch.spec.deploy import RestartPolicy
    from orch.spec.probe import Probes
    from orch_native.messages import Allocation

SECRETS_FOLDER = "/run/secrets"
SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """One container of a pod. `handle` is its name on the node, the same for every attempt."""

    handle: str
    role: str
    label: str
    container: Container
    ports: tuple[Port, ...] = ()
    probes: Probes | None = None
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class MountedFile:
    """A config or secret as a file: its content and how it shall look."""

    kind: str
    source: str
    target: str
    mode: int
    uid: int | None
    gid: int | None
    content: bytes


@dataclass(frozen=True, slots=True)
class Pod:
    """An allocation, read with the spec's own models."""

    allocation: Allocation
    spec: Service | Job
    main: Piece
    sidecars: tuple[Piece, ...]
    inits: tuple[Piece, ...]

    @property
    def pieces(self) -> Iterator[Piece]:
        """All of them: the main one first."""
        yield self.main
        yield from self.sidecars
        yield from self.inits

    @property
    def is_job(self) -> bool:
        """Whether it is meant to end."""
        return isinstance(self.spec, Job)

    @property
    def ports(self) -> tuple[Port, ...]:
        """Ports of all containers: they share one address."""
        return tuple(port for piece in (self.main, *self.sidecars) for port in piece.ports)

    def target_of(self, port: int | str) -> int:
        """The number of a port that is given by number or name; 0 when no port is named so."""
        if isinstance(port, int):
            return port
        return next((p.target for p in self.ports if p.name == port), 0)

    @property
    def post_start(self) -> tuple[Hook, ...]:
        """Commands after the start."""
        return self.spec.post_start if isinstance(self.spec, Service) else ()

    @property
    def pre_stop(self) -> tuple[Hook, ...]:
        """Commands before the stop signal."""
        return self.spec.pre_stop if isinstance(self.spec, Service) else ()

    @property
    def restart_policy(self) -> RestartPolicy | None:
        """What the author wrote about restarts."""
        if isinstance(self.spec, Job):
            return self.spec.restart_policy
        return self.spec.deploy.restart_policy

    @property
    def service(self) -> str:
        """NAMESPACE/APP/UNIT, as entries and endpoints name it."""
        return f"{self.allocation.namespace}/{self.allocation.app}/{self.allocation.unit}"

    def environment(self, piece: Piece) -> dict[str, str]:
        """Variables with the values of secrets put in. Raises KeyError when one has no value."""
        return {
            name: self.allocation.values[value.secret] if isinstance(value, SecretRef) else value
            for name, value in piece.container.environment.items()
        }

    def files(self, piece: Piece) -> Iterator[MountedFile]:
        """Configs and secrets as files. Raises KeyError when one has no content."""
        for mount in piece.container.configs:
            yield self._file("configs", mount, posixpath.normpath(f"/{mount.target.lstrip('/')}"))
        for mount in piece.container.secrets:
            bare = not mount.target.startswith("/")
            target = f"{SECRETS_FOLDER}/{mount.target}" if bare else mount.target
            yield self._file("secrets", mount, target)

    def _file(self, kind: str, mount: FileMount, target: str) -> MountedFile:
        return MountedFile(
            kind=kind,
            source=mount.source,
            target=target,
            mode=int(mount.mode, 8),
            uid=None if mount.uid is None else int(mount.uid),
            gid=None if mount.gid is None else int(mount.gid),
            content=self.allocation.files[f"{kind}/{mount.source}"],
        )

    def without_secrets(self, text: str) -> str:
        """A text that containers had a hand in, such as their last line, fit to be shown."""
        files = self.allocation.files.items()
        values = [content for name, content in files if name.startswith("secrets/")]
        values += [value.encode() for value in self.allocation.values.values()]
        for value in values:
            coded = base64.b64encode(value).decode()
            for line in (*value.decode(errors="replace").splitlines(), coded):
                if len(line.strip()) >= SHORTEST_SECRET:
                    text = text.replace(line.strip(), "[secret]")
        return text

    def networks(self) -> list[tuple[str, Mapping[str, Any], Any]]:
        """What it joins, higher priority first: true name, settings, attachment."""
        given = self.allocation.networks
        if not self.spec.networks:
            settings = given.get("default", EMPTY)
            app = f"{self.allocation.namespace}_{self.allocation.app}_default"
            return [(str(settings.get("name", app)), settings, None)]
        ordered = sorted(self.spec.networks.items(), key=lambda item: -item[1].priority)
        return [
            (str(given.get(name, EMPTY).get("name", name)), given.get(name, EMPTY), attachment)
            for name, attachment in ordered
        ]


def read_pod(allocation: Allocation) -> Pod:
    """Read an allocation. Raises pydantic's ValidationError for a body that is not the spec's."""
    spec = read_body(allocation.body, job=allocation.kind == "job")
    base = handle_of(allocation)
    return Pod(
        allocation=allocation,
        spec=spec,
        main=main_piece(spec, base),
        sidecars=tuple(
            Piece(f"{base}.{name}", "sidecar", name, s, s.ports, s.probes, s.resources)
            for name, s in spec.sidecars.items()
        ),
        inits=tuple(
            Piece(f"{base}.init-{number}", "init", f"pre_start[{number}]", c, (), None, c.resources)
            for number, c in enumerate(spec.pre_start)
        ),
    )


def read_body(body: Mapping[str, Any], *, job: bool) -> Service | Job:
    """Read a body with the spec's model, leaving out what the control plane added to it."""
    plain = {key: value for key, value in without_extras(body).items() if key[:2] != "x-"}
    return Job.model_validate(plain) if job else Service.model_validate(plain)


def is_job_body(body: Mapping[str, Any]) -> bool:
    """Tell a job from a service: canonical long form always holds what only one of them has."""
    return "deploy" not in body and any(key in body for key in ("backoff_limit", "completions"))


def main_piece(spec: Service | Job, handle: str) -> Piece:
    """The main container of a service or job."""
    if isinstance(spec, Job):
        return Piece(handle, "main", "", spec, (), None, spec.resources)
    resources = spec.deploy.resources or spec.resources
    return Piece(handle, "main", "", spec, spec.ports, spec.probes, resources)


def ports_of(spec: Service) -> Iterator[tuple[str, Port]]:
    """Ports of a service and of what runs beside it, with their field paths."""
    for number, port in enumerate(spec.ports):
        yield f"ports[{number}]", port
    for name, sidecar in spec.sidecars.items():
        for number, port in enumerate(sidecar.ports):
            yield f"sidecars.{name}.ports[{number}]", port


def handle_of(allocation: Allocation) -> str:
    """The name of an allocation's main container: readable, unique, the same for ever."""
    place = f"{allocation.app}-{allocation.unit}-{allocation.index}"
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", place)[:80]
    safe = re.sub(r"[^A-Za-z0-9_-]", "-", allocation.id)
    if safe != allocation.id or len(safe) > 40:  # noqa: PLR2004  (room within a name of 128)
        safe = hashlib.sha256(allocation.id.encode()).hexdigest()[:16]
    return f"orch-{readable}-{safe}"
