"""Carrying out one step of a plan on the swarm."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from orch.errors import Conflict, OrchError
from orch.plan.merge import Merger
from orch.types import Event, EventKind, Manifest, Operation, Resource
from orch.types import Ledger as NoLedger
from orch_swarm import names, wire
from orch_swarm.compile import EXTERNAL
from orch_swarm.cron import RUN_OF
from orch_swarm.faults import Stale
from orch_swarm.removals import Removal
from orch_swarm.sights import STORE, Observer, Swarm, labels_of, name_of, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.backend.capabilities import Capabilities
    from orch.types import Action, Instance, Observed
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
UNITS = ("service", "job")
_TRIES = 5
"""How often a service is written that the engine itself changes meanwhile."""
_AGAIN = (Operation.RESTART, Operation.RETRY)


class Change:
    """One action on one instance."""

    def __init__(
        self, client: SwarmClient, capabilities: Capabilities, action: Action, *, pin: bool
    ) -> None:
        if action.instance is None:
            raise ValueError(f"the action on {action.id} names no instance")
        self._client, self._action, self._pin_images = client, action, pin
        self._instance: Instance = action.instance
        self._merger = Merger(capabilities)
        self._swarm = Swarm(client)
        self._removal = Removal(client, self._instance)

    def make(self) -> Iterator[Event]:
        """Do it; the last event is APPLIED."""
        action = self._action
        if action.kind != EXTERNAL and action.operation is not Operation.NOOP:
            if action.operation is Operation.DELETE:
                yield from self._delete()
            elif action.kind in UNITS:
                yield from self._unit()
            else:
                self._part()
        yield Event(EventKind.APPLIED, action.id, action.reason)

    def _real(self, name: str) -> str:
        return self._swarm.real_name(self._instance, name)

    def _warn(self, message: str) -> Event:
        return Event(EventKind.WARNING, self._action.id, message)

    def _find(self, kind: str) -> Row | None:
        real = self._real(self._action.name)
        return next((r for r in self._swarm.rows(f"{kind}s") if name_of(r) == real), None)

    # -- services and jobs ----------------------------------------------------------------------

    def _unit(self) -> Iterator[Event]:
        action = self._action
        if action.operation is Operation.REPLACE:
            yield from self._delete()
            self._swarm = Swarm(self._client)
        for left in reversed(range(_TRIES)):
            try:
                yield from self._written()
            except Stale:
                # The engine notes how an update goes in the service itself, or somebody was
                # faster: what is there now is looked at anew.
                if not left:
                    raise
                self._swarm = Swarm(self._client)
            else:
                return

    def _written(self) -> Iterator[Event]:
        """Write the service upon what is there. Raises Stale when that was overtaken."""
        action = self._action
        row = self._find("service")
        if row is None and action.operation in _AGAIN:
            raise Conflict(f"the service {action.name!r} is gone", place=action.id)
        live = self._seen(row) if row is not None else None
        if live is not None and row is not None:
            if self._is_done(live):
                return
            self._check(live, row)
        body = self._merged(live)
        spec = wire.service_spec(body, self._real, self._swarm.ids())
        spec["Name"] = self._real(action.name)
        spec["Labels"] |= _of_stack(row) | self._marks(action.body or {})
        login = self._login(body)
        if row is None or live is None or not self._keeps_tasks(spec, row, live):
            self._pin(spec, body, row)
            yield from self._image(spec, row, login)
        self._send(spec, row, login, moved=live is not None and _is_moved(live.body, body))

    def _keeps_tasks(self, spec: Row, row: Row, live: Observed) -> bool:
        """Whether tasks are wanted as they are: then the engine gets its own words for them.

        It compares what it is sent word by word, and would start them anew for other ones.
        """
        if self._action.operation in _AGAIN or live.failed:
            return False
        standing = wire.service_spec(live.body, self._real, self._swarm.ids())
        for key in ("EndpointSpec", "TaskTemplate"):
            if spec.get(key) != standing.get(key):
                return False
        for key in ("EndpointSpec", "TaskTemplate"):
            if key in row["Spec"]:
                spec[key] = dict(row["Spec"][key])
            else:
                spec.pop(key, None)
        spec["Labels"][names.IMAGE] = live.body["Container"]["Image"]
        pin = labels_of(row).get(names.PIN)
        spec["Labels"] |= {names.PIN: pin} if pin else {}
        return True

    def _seen(self, row: Row) -> Observed:
        action = self._action
        wanted = Resource(action.id, action.kind, action.name, action.body or {})
        manifest = Manifest(self._instance.name, names.BACKEND, (wanted,), NoLedger(()))
        return Observer(self._swarm, self._instance, manifest).service(row, wanted)

    def _is_done(self, live: Observed) -> bool:
        """Whether this very step was taken before its answer got lost."""
        action = self._action
        return (
            action.operation not in _AGAIN
            and live.owner == self._instance
            and live.revision == action.revision
            and live.applied == action.body
            and self._merger.merge(live, live.applied, action.body or {}) is live.body
        )

    def _check(self, live: Observed, row: Row) -> None:
        before = self._action.before
        if live.owner not in (None, self._instance):
            raise Conflict(f"{live.name!r} belongs to {live.owner}", place=live.id)
        if before is None:
            if live.owner is None:
                raise Conflict(f"{live.name!r} has appeared meanwhile", place=live.id)
            return
        # The engine's own return to the spec before is nobody's change.
        returned = (row.get("UpdateStatus") or {}).get("State", "").startswith("rollback")
        if before.uid == live.uid and before.version != live.version and not returned:
            body = self._action.body or {}
            was = self._merger.owned(before, before.applied, body)
            if self._merger.owned(live, live.applied, body) != was:
                raise Conflict(
                    f"{live.kind} {live.name!r} was changed meanwhile",
                    place=live.id,
                    mend="make the plan again",
                )

    def _merged(self, live: Observed | None) -> Mapping[str, Any]:
        action = self._action
        body = action.body or {}
        if live is None:
            return body
        if action.operation in _AGAIN:
            return live.body
        merged = self._merger.merge(live, live.applied, body)
        # What runs a job again gives it its new labels, too.
        return {**merged, "Labels": body.get("Labels", {})} if action.kind == "job" else merged

    def _marks(self, body: Mapping[str, Any]) -> dict[str, str]:
        action = self._action
        marks = names.marker(self._instance, action.id, action.name)
        return marks | {
            names.REVISION: str(action.revision),
            names.APPLIED: pack(body),
            names.HASH: names.digest(dict(body)),
        }

    def _pin(self, spec: Row, body: Mapping[str, Any], row: Row | None) -> None:
        """Keep a service where its volumes are; a pin that is there already stays."""
        placement = spec["TaskTemplate"].setdefault("Placement", {})
        said = list(placement.get("Constraints") or ())
        if any(c.startswith(("node.id==", "node.hostname==")) for c in said):
            return
        pin = labels_of(row).get(names.PIN) if row else None
        mounts = body.get("Container", {}).get("Mounts", {}).values()
        sources = {self._real(m["Source"]) for m in mounts if m.get("Type") == "volume"}
        held = any(
            name_of(v) in sources and _has_one_writer(v) for v in self._swarm.rows("volumes")
        )
        if held:
            pin = pin or f"node.id=={self._client.node_id()}"
            placement["Constraints"] = [*said, pin]
            spec["Labels"][names.PIN] = pin

    def _login(self, body: Mapping[str, Any]) -> dict[str, str] | None:
        said = body.get("Labels", {}).get(names.REGISTRY)
        if not said:
            return None
        login = json.loads(said)
        password = self._action.secrets.get(login["secret"])
        if password is None:
            return None
        return {"username": login["username"], "password": password.decode()}

    def _image(
        self, spec: Row, row: Row | None, login: Mapping[str, str] | None
    ) -> Iterator[Event]:
        """Pin the image by the digest that its registry gives now, as the API itself does not."""
        container = spec["TaskTemplate"]["ContainerSpec"]
        image = container["Image"]
        live = (row or {}).get("Spec", {}).get("TaskTemplate", {}).get("ContainerSpec", {})
        spec["Labels"][names.IMAGE] = image
        if str(live.get("Image", "")).startswith(f"{image}@"):
            container["Image"] = live["Image"]
            return
        said = (self._action.body or {}).get("Placement", {}).get("Platforms", [])
        spec["TaskTemplate"]["Placement"]["Platforms"] = said
        if "@" in image or not self._pin_images:
            return
        try:
            found = self._client.distribution(image, login)
        except OrchError as fault:
            yield self._warn(
                f"{image} is not pinned by digest, so nodes may run different ones: {fault.fault}"
            )
            return
        container["Image"] = f"{image}@{found['Descriptor']['digest']}"
        # Without them a task may land where no image fits the processor.
        spec["TaskTemplate"]["Placement"]["Platforms"] = said or wire.platforms(found)

    def _auth(self, spec: Row, row: Row | None, login: Mapping[str, str] | None) -> Row:
        """Headers that log in; an update without any keeps what the service was given last."""
        if login is None and row is not None and names.REGISTRY in spec["Labels"]:
            return {}
        auth = self._client.auth_header(spec["TaskTemplate"]["ContainerSpec"]["Image"], login)
        return {"X-Registry-Auth": auth} if auth else {}

    def _send(
        self, spec: Row, row: Row | None, login: Mapping[str, str] | None, *, moved: bool
    ) -> None:
        headers = self._auth(spec, row, login)
        if row is None:
            self._client.post("/services/create", spec, headers=headers)
            return
        force = row["Spec"]["TaskTemplate"].get("ForceUpdate", 0)
        again = self._action.operation in _AGAIN
        spec["TaskTemplate"]["ForceUpdate"] = force + 1 if again or moved else force
        if again:
            spec["Labels"] |= {
                key: labels_of(row)[key]
                for key in (names.APPLIED, names.HASH)
                if key in labels_of(row)
            }
        version = row["Version"]["Index"]
        self._client.post(f"/services/{row['ID']}/update", spec, headers=headers, version=version)

    # -- networks, volumes, configs, secrets -----------------------------------------------------

    def _part(self) -> None:
        action = self._action
        kind = "config" if action.kind == "registry" else action.kind
        row = self._find(kind)
        if row is not None and names.owner_of(labels_of(row)) is not None:
            if names.owner_of(labels_of(row), self._instance.target) != self._instance:
                raise Conflict(f"{kind} {action.name!r} belongs to others", place=action.id)
            anew = action.operation is Operation.REPLACE and action.kind in ("network", "volume")
            if anew or action.kind == "registry":
                self._removal.remove(kind, row)
                row = None
        if row is None:
            self._create(kind)
        elif kind in ("config", "secret"):
            self._relabel(kind, row)

    def _create(self, kind: str) -> None:
        body, real = self._action.body or {}, self._real(self._action.name)
        labels = {**body.get("Labels", {}), **self._part_marks(body)}
        if kind == "network":
            made = wire.network_request(body)
            self._client.post("/networks/create", {**made, "Name": real, "Labels": labels})
        elif kind == "volume":
            options = dict(body.get("Options", {}))
            made = {"Name": real, "Driver": body.get("Driver", "local"), "DriverOpts": options}
            self._client.post("/volumes/create", {**made, "Labels": labels})
        else:
            data = base64.b64encode(self._content(body)).decode()
            spec = {"Name": real, "Labels": labels, "Data": data}
            self._client.post(f"/{kind}s/create", spec)

    def _content(self, body: Mapping[str, Any]) -> bytes:
        action = self._action
        if action.kind == "secret":
            return action.secrets[action.id.partition("/")[2]]
        if action.kind == "registry":
            return json.dumps({k: body[k] for k in ("Username", "Secret") if k in body}).encode()
        text = str(body.get("Content", ""))
        return base64.b64decode(text) if body.get("Encoding") == "base64" else text.encode()

    def _part_marks(self, body: Mapping[str, Any]) -> dict[str, str]:
        marks = names.marker(self._instance, self._action.id, self._action.name)
        slim = {key: value for key, value in body.items() if key != "Content"}
        revision = str(self._action.revision)
        return marks | {names.APPLIED: pack(slim), names.REVISION: revision}

    def _relabel(self, kind: str, row: Row) -> None:
        """Labels are all that can change of a config or secret."""
        body = self._action.body or {}
        wanted = {**body.get("Labels", {}), **_of_stack(row), **self._part_marks(body)}
        if wanted == labels_of(row):
            return
        spec = {**row["Spec"], "Labels": wanted}
        version = row["Version"]["Index"]
        self._client.post(f"/{kind}s/{row['ID']}/update", spec, version=version)

    # -- deleting --------------------------------------------------------------------------------

    def _delete(self) -> Iterator[Event]:
        action = self._action
        kind = {"job": "service", "registry": "config"}.get(action.kind, action.kind)
        for row in self._ours(kind):
            self._removal.remove(kind, row)
        if kind == "volume" and len(self._swarm.rows("nodes")) > 1:
            real = self._real(action.name)
            yield self._warn(f"other nodes may hold a volume {real!r} too: remove it there")

    def _ours(self, kind: str) -> list[Row]:
        """The object that the plan saw, and other versions of the same config or secret."""
        action = self._action
        uid = action.before.uid if action.before else ""
        found = []
        for row in self._swarm.rows(f"{kind}s"):
            labels = labels_of(row)
            ours = names.owner_of(labels, self._instance.target) == self._instance
            named = action.id in (labels.get(names.ID), labels.get(RUN_OF))
            marked = ours and named and STORE not in labels
            exact = uid and uid == str(row.get("ID") or row.get("Id") or "")
            if marked or exact or self._is_adopted_volume(kind, row, uid):
                found.append(row)
        return found

    def _is_adopted_volume(self, kind: str, row: Row, uid: str) -> bool:
        return kind == "volume" and uid == f"{name_of(row)}@{row.get('CreatedAt', '')}"


def _is_moved(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether other ports replace the tasks: the tasks themselves don't tell which they have."""
    return bool(live.get("EndpointSpec") != wanted.get("EndpointSpec"))


def _of_stack(row: Row | None) -> dict[str, str]:
    """What names the stack that an object was adopted from: its own commands go on to know it."""
    stack = labels_of(row).get(names.STACK) if row else None
    return {names.STACK: stack} if stack else {}


def _has_one_writer(volume: Row) -> bool:
    labels = labels_of(volume)
    alone = labels.get(names.ACCESS, "") == "exclusive"
    return alone and volume.get("Driver") == "local" and not volume.get("Options")
