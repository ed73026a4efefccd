"""Docker Swarm as a backend, through one manager's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.errors import UsageFault
from orch.types import EventKind, Operation
from orch_swarm import names
from orch_swarm.capabilities import FEATURES, capabilities
from orch_swarm.changes import Change
from orch_swarm.client import SwarmClient
from orch_swarm.compile import compile_swarm
from orch_swarm.live import read_stack
from orch_swarm.rollout import Watch
from orch_swarm.runs import runs_of
from orch_swarm.sights import STORE, Observer, Swarm, labels_of, name_of
from orch_swarm.status import host_names, services_of, status_of
from orch_swarm.store import SwarmStore
from orch_swarm.streams import join, logs
from orch_swarm.versions import collect_configs, forget_secrets, held_secrets
from orch_swarm.why import why

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from orch.backend.capabilities import Capabilities
    from orch.backend.contract import LogQuery, Reading
    from orch.spec.application import Application
    from orch.types import Action, Event, Instance, LogLine, Manifest, Snapshot, Status

Row = dict[str, Any]
_OBJECTS = ("services", "networks", "volumes", "configs", "secrets")


class SwarmBackend:
    """One swarm. Options: `host`, `context`, `tls`, `endpoint_mode`, `resolve_image`."""

    name = names.BACKEND

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self._check("endpoint_mode", "vip", "dnsrr")
        self._check("resolve_image", "always", "never")
        self.client = SwarmClient(self._options)

    def _check(self, option: str, *known: str) -> None:
        said = self._options.get(option, "")
        if said not in ("", *known):
            raise UsageFault(
                f"there is no {option} {said!r}",
                place=f"the target's option {option}",
                mend=f"choose {' or '.join(known)}, or leave it out",
            )

    # -- what needs no swarm -------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """What Swarm holds; without virtual addresses no port is balanced over nodes."""
        if self._options.get("endpoint_mode") == "dnsrr":
            return capabilities(FEATURES - {"published-ports"})
        return capabilities()

    def compile(self, app: Application) -> Manifest:
        """The application in Swarm's words."""
        return compile_swarm(app, self._options)

    # -- observe and apply ---------------------------------------------------------------------

    def observe(self, instance: Instance, manifest: Manifest | None) -> Snapshot:
        """Everything of the instance, and what the manifest names."""
        self.client.node_id()
        return Observer(Swarm(self.client), instance, manifest).snapshot()

    def apply(self, action: Action) -> Iterator[Event]:
        """Do one step."""
        pin = self._options.get("resolve_image") != "never"
        return Change(self.client, self.capabilities(), action, pin=pin).make()

    def rollout(self, action: Action) -> Iterator[Event]:
        """Watch tasks to the end; then earlier configs that nothing names go."""
        instance = _instance_of(action)
        real = Swarm(self.client).real_name(instance, action.name)
        for event in Watch(self.client, action.id, real).events():
            if event.kind is EventKind.HEALTHY and action.operation is not Operation.NOOP:
                collect_configs(self.client, instance)
            yield event

    # -- secrets -------------------------------------------------------------------------------

    def held_secrets(self, instance: Instance) -> Mapping[str, Collection[str]]:
        """The versions of each secret that the swarm holds."""
        return held_secrets(self.client, instance)

    def forget_secrets(self, instance: Instance, keep: Mapping[str, Collection[str]]) -> None:
        """Remove every version but those to keep and those that a service names."""
        forget_secrets(self.client, instance, keep)

    # -- what runs -----------------------------------------------------------------------------

    def status(self, instance: Instance) -> Status:
        """Services and jobs with their replicas."""
        self.client.node_id()
        return status_of(Swarm(self.client), instance)

    def instances(self) -> Sequence[Instance]:
        """Every instance that marked an object of this swarm."""
        swarm = Swarm(self.client)
        found = {
            owner: None
            for kind in _OBJECTS
            for row in swarm.rows(kind)
            if STORE not in labels_of(row) and (owner := names.owner_of(labels_of(row))) is not None
        }
        return list(found)

    def logs(self, instance: Instance, query: LogQuery) -> Iterator[LogLine]:
        """Lines of all replicas that the query names, from whichever node."""
        swarm = Swarm(self.client)
        rows = [*services_of(swarm, instance), *runs_of(swarm, instance)]
        return logs(self.client, rows, query)

    def why(self, instance: Instance, replica: str) -> Sequence[str]:
        """Why a service or replica is where it is, or nowhere; with a reason for each node."""
        return why(Swarm(self.client), instance, replica)

    def exec(
        self, instance: Instance, service: str, replica: str, command: Sequence[str], *, tty: bool
    ) -> int:
        """Run a command in a replica on the node that is spoken to."""
        swarm = Swarm(self.client)
        here = self.client.node_id()
        running = [t for t in _tasks(swarm, instance, service) if _runs(t)]
        chosen = [t for t in running if replica in ("", t["ID"])]
        chosen.sort(key=lambda t: t.get("NodeID") != here)
        if not chosen:
            raise UsageFault(
                f"{service} has no running replica {replica}".rstrip(), mend="see `orch ps`"
            )
        task = chosen[0]
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        if task.get("NodeID") != here:
            node = host_names(swarm).get(task.get("NodeID", ""), "another node")
            raise UsageFault(
                f"the replica runs on {node}, and a manager runs no commands on other nodes",
                mend=f"run there: docker exec -it {container[:12]} {command[0]}",
            )
        return join(self.client, container, list(command), tty=tty)

    def read_live(self, selector: str, namespace: str = "") -> Reading:  # noqa: ARG002
        """The spec of a running `docker stack`, by its name; stacks know no namespaces."""
        self.client.node_id()
        return read_stack(Swarm(self.client), selector, self._options)

    # -- the store -----------------------------------------------------------------------------

    def store(self, instance: Instance) -> SwarmStore:
        """Records and the lock, kept by the managers as configs."""
        return SwarmStore(self.client, instance)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()


def _instance_of(action: Action) -> Instance:
    if action.instance is None:
        raise ValueError(f"the action on {action.id} names no instance")
    return action.instance


def _tasks(swarm: Swarm, instance: Instance, service: str) -> list[Row]:
    rows = services_of(swarm, instance)
    ids = {r["ID"] for r in rows if labels_of(r).get(names.NAME, name_of(r)) == service}
    return [t for t in swarm.rows("tasks") if t.get("ServiceID") in ids]


def _runs(task: Row) -> bool:
    state = task["Status"]["State"]
    return state == "running" and bool(task["Status"].get("ContainerStatus"))
