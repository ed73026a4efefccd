"""What is on the swarm, as bodies that can be compared with a manifest."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orch.frozen import EMPTY, FrozenDict
from orch.types import Diagnostic, Instance, Observed, Severity, Snapshot
from orch_swarm import names, stack, wire
from orch_swarm.compile import EXTERNAL
from orch_swarm.meaning import understood
from orch_swarm.placing import refusals, too_many
from orch_swarm.tasks import look, trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orch.types import Manifest, Resource
    from orch_swarm.client import SwarmClient

Row = dict[str, Any]
_NAMED = ("networks", "volumes", "configs", "secrets")
STORE = "orch.store"
"""Label of records: they belong to an instance, and are none of its objects."""


_OLDEST = (1, 41)
_NEWER = {
    "OomScoreAdj": ((1, 46), "oom_score_adj"),
    "Privileges.NoNewPrivileges": ((1, 44), "security_opt"),
    "Privileges.Seccomp": ((1, 44), "security_opt"),
    "Privileges.AppArmor": ((1, 44), "security_opt"),
}
"""Parts of a container's spec, with the API that knows them and the field they come from."""


def pack(value: Mapping[str, Any]) -> str:
    """A body as a short label."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str | None) -> Mapping[str, Any] | None:
    """What `pack` wrote; None for nothing, or when somebody spoilt it."""
    if not text:
        return None
    try:
        found = json.loads(zlib.decompress(base64.b64decode(text)))
    except (ValueError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


@dataclass
class Swarm:
    """Everything that the swarm holds, read once; each kind when it is first asked for."""

    client: SwarmClient
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    _taken: dict[Instance, dict[str, str]] = field(default_factory=dict)

    def rows(self, kind: str) -> list[Row]:
        """All objects of a kind: services, networks, volumes, configs, secrets, nodes."""
        if kind not in self._rows:
            self._rows[kind] = self._read(kind)
        return self._rows[kind]

    def _read(self, kind: str) -> list[Row]:
        if kind == "tasks":
            return look(self.client, self.rows("nodes"))
        return self.client.listed(kind)

    def taken(self, instance: Instance) -> dict[str, str]:
        """Real names of what was adopted from a stack, by what bodies call it."""
        if instance not in self._taken:
            kinds = {kind: self.rows(kind) for kind in ("services", *_NAMED)}
            self._taken[instance] = stack.taken_names(instance, kinds)
        return self._taken[instance]

    def real_name(self, instance: Instance, name: str) -> str:
        """What an object of an instance is called, or would be."""
        return self.taken(instance).get(name) or names.real_name(instance, name)

    def tasks_of(self, service: Row) -> list[Row]:
        """Tasks of a service, ended ones that are remembered too."""
        return [row for row in self.rows("tasks") if row.get("ServiceID") == service["ID"]]

    def ids(self) -> dict[tuple[str, str], str]:
        """Ids of configs, secrets and networks of the whole swarm, by kind and real name."""
        found = {
            (kind, row["Spec"]["Name"]): row["ID"]
            for kind in ("config", "secret")
            for row in self.rows(f"{kind}s")
        }
        networks = [row for row in self.rows("networks") if row.get("Scope") == "swarm"]
        return found | {("network", row["Name"]): row["Id"] for row in networks}

    @cached_property
    def by_id(self) -> dict[str, str]:
        """Real names by id, also of the networks that every node has and no list tells."""
        known = {id_: name for (_, name), id_ in self.ids().items()}
        for row in self.rows("services"):
            for attached in row["Spec"]["TaskTemplate"].get("Networks") or ():
                if attached["Target"] not in known:
                    found = self.client.one("networks", attached["Target"]) or {}
                    known[attached["Target"]] = str(found.get("Name", attached["Target"]))
        return known


def name_of(row: Row) -> str:
    """What an object is really called."""
    return str(row.get("Spec", row)["Name"])


def labels_of(row: Row) -> dict[str, str]:
    """An object's labels, markers and all."""
    return dict(row.get("Spec", row).get("Labels") or {})


def age_of(row: Row) -> tuple[int, str]:
    """What tells which version of a config or secret counts: the greatest was asked for last."""
    return int(labels_of(row).get(names.REVISION) or 0), str(row.get("CreatedAt", ""))


class Observer:
    """Looks at one instance. `manifest` tells what is wanted, None for everything of ours."""

    def __init__(self, swarm: Swarm, instance: Instance, manifest: Manifest | None) -> None:
        self._swarm, self._instance = swarm, instance
        self._wanted = {r.id: r for r in manifest.resources} if manifest else {}
        wanted = (resource.name for resource in self._wanted.values())
        known = (*swarm.taken(instance), *self._ours(), *wanted)
        self._known = {self._real(name): name for name in known}

    def _ours(self) -> Iterator[str]:
        """The names that bodies use for what is there of the instance."""
        for kind in _NAMED:
            for row in self._swarm.rows(kind):
                labels = labels_of(row)
                if names.owner_of(labels, self._instance.target) == self._instance:
                    yield labels.get(names.NAME, "")

    def snapshot(self) -> Snapshot:
        """The objects by id, and what stands against the manifest."""
        problems: list[Diagnostic] = []
        objects: dict[str, Observed] = {}
        for resource in self._wanted.values():
            if resource.kind == EXTERNAL:
                self._external(resource, objects, problems)
        objects |= {seen.id: seen for seen in self._services()}
        for kind, read in (
            ("network", self._network),
            ("volume", self._volume),
            ("config", self._config),
            ("secret", self._secret),
        ):
            objects |= {seen.id: seen for seen in self._of(kind, read)}
        problems += self._stuck_networks(objects)
        problems += self._homeless()
        problems += self._beyond_the_engine()
        return Snapshot(self._instance, FrozenDict(objects), tuple(problems))

    # -- services ------------------------------------------------------------------------------

    def _services(self) -> Iterator[Observed]:
        expected = {
            self._real(r.name): r for r in self._wanted.values() if r.kind in ("service", "job")
        }
        for row in self._swarm.rows("services"):
            labels, wanted = labels_of(row), expected.get(name_of(row))
            owner = names.owner_of(labels, self._instance.target)
            if owner == self._instance and names.ID in labels:
                yield self.service(row, self._wanted.get(labels[names.ID]))
            elif wanted is not None:
                yield self.service(row, wanted)

    def service(self, row: Row, wanted: Resource | None) -> Observed:
        """One service or job."""
        labels = labels_of(row)
        id_ = labels.get(names.ID) or (wanted.id if wanted else name_of(row))
        body = wire.service_body(row["Spec"], self._short, self._swarm.by_id)
        applied = unpack(labels.get(names.APPLIED))
        asked = wanted.body if wanted else applied or EMPTY
        body = wire.filled(understood(_as_written(body, labels), asked), asked)
        return Observed(
            id_,
            id_.partition("/")[0],
            labels.get(names.NAME) or (wanted.name if wanted else name_of(row)),
            body,
            applied=applied,
            owner=names.owner_of(labels, self._instance.target),
            revision=int(labels.get(names.REVISION) or 0),
            uid=row["ID"],
            version=str(row["Version"]["Index"]),
            failed=trouble(row, self._swarm.tasks_of(row), self._swarm.rows("nodes")),
        )

    def _short(self, real: str) -> str:
        return names.short_name(self._instance, real, self._known)

    # -- everything else -----------------------------------------------------------------------

    def _of(
        self, kind: str, read: Callable[[Row, Resource | None], Mapping[str, Any]]
    ) -> Iterator[Observed]:
        """Objects of a kind; of several versions of one only the wanted, else the newest."""
        expected = {
            self._real(r.name): r
            for r in self._wanted.values()
            if r.kind == kind or (kind == "config" and r.kind == "registry")
        }
        found: dict[str, tuple[tuple[bool, int, str], Row]] = {}
        for row in self._swarm.rows(f"{kind}s"):
            labels, wanted = labels_of(row), expected.get(name_of(row))
            ours = names.owner_of(labels, self._instance.target) == self._instance
            if STORE in labels or not (wanted is not None or (ours and names.ID in labels)):
                continue
            id_ = wanted.id if wanted is not None else labels[names.ID]
            rank = (wanted is not None, *age_of(row))
            if id_ not in found or rank > found[id_][0]:
                found[id_] = (rank, row)
        for id_, (_, row) in found.items():
            yield self._object(id_, row, read(row, self._wanted.get(id_)))

    def _object(self, id_: str, row: Row, body: Mapping[str, Any]) -> Observed:
        labels, wanted = labels_of(row), self._wanted.get(id_)
        stored = unpack(labels.get(names.APPLIED))
        body = wire.filled(body, wanted.body if wanted else stored or EMPTY)
        applied = {**body, **stored} if stored is not None else None
        if wanted is not None and self._real(wanted.name) == name_of(row):
            name = wanted.name
        else:
            name = labels.get(names.NAME) or self._short(name_of(row))
        return Observed(
            id_,
            id_.partition("/")[0],
            name,
            body,
            applied=applied,
            owner=names.owner_of(labels, self._instance.target),
            uid=str(row.get("ID") or row.get("Id") or f"{name_of(row)}@{row.get('CreatedAt', '')}"),
            version=str((row.get("Version") or {}).get("Index", "")),
        )

    def _network(self, row: Row, wanted: Resource | None) -> Mapping[str, Any]:
        seen = {**row, "Labels": names.own_labels(row.get("Labels"))}
        stored = unpack((row.get("Labels") or {}).get(names.APPLIED)) or EMPTY
        body = wire.network_body(seen, wanted.body if wanted else stored)
        return _named(body, wanted)

    def _volume(self, row: Row, wanted: Resource | None) -> Mapping[str, Any]:
        labels = names.own_labels(row.get("Labels"))
        # Also when it has none: they count when a volume is made, and never again.
        body = {**wire.volume_body({**row, "Labels": labels}), "Labels": labels}
        return _named(body, wanted)

    def _config(self, row: Row, wanted: Resource | None) -> Mapping[str, Any]:
        data = stack.data_of(row)
        own = names.own_labels(labels_of(row))
        labels = {"Labels": own} if own else {}
        if labels_of(row).get(names.ID, "").startswith("registry/"):
            return {**json.loads(data), **labels}
        same = wanted is not None and name_of(row) == self._real(wanted.name)
        if wanted is not None and same:
            # It is named by its content, and that never changes.
            kept = ("Content", "Encoding")
            body = {key: wanted.body[key] for key in kept if key in wanted.body}
        else:
            body = stack.text_of(data)
        return _named({**body, **labels}, wanted)

    def _secret(self, row: Row, wanted: Resource | None) -> Mapping[str, Any]:
        stored = unpack(labels_of(row).get(names.APPLIED)) or {}
        labels = names.own_labels(labels_of(row))
        body = {"Version": stored.get("Version", ""), **({"Labels": labels} if labels else {})}
        return _named(body, wanted)

    # -- what stands against it ----------------------------------------------------------------

    def _external(
        self, resource: Resource, objects: dict[str, Observed], problems: list[Diagnostic]
    ) -> None:
        kind, _, name = resource.id.partition("/")
        real = self._real(resource.name)
        if not any(name_of(row) == real for row in self._swarm.rows(f"{kind}s")):
            mild = kind == "volume" and len(self._swarm.rows("nodes")) > 1
            problems.append(
                Diagnostic(
                    f"the swarm has no {kind} {real!r}",
                    (f"{kind}s", name),
                    mend="make it first, or remove `external`",
                    severity=Severity.WARNING if mild else Severity.ERROR,
                )
            )
        objects[resource.id] = Observed(
            resource.id, EXTERNAL, resource.name, resource.body, owner=self._instance
        )

    def _stuck_networks(self, objects: Mapping[str, Observed]) -> Iterable[Diagnostic]:
        """Networks can't be changed, and not be removed while services are on them."""
        for id_, resource in self._wanted.items():
            seen = objects.get(id_)
            if resource.kind != "network" or seen is None or seen.owner != self._instance:
                continue
            changed = [
                key
                for key in {*resource.body, *seen.body}
                if key != "Name" and seen.body.get(key) != resource.body.get(key)
            ]
            users = [o.name for o in objects.values() if seen.name in o.body.get("Networks", {})]
            if changed and users:
                yield Diagnostic(
                    f"Swarm changes no network, and {', '.join(sorted(users))} is on it "
                    f"(it differs in {', '.join(sorted(changed))})",
                    ("networks", id_.partition("/")[2]),
                    mend="give the changed network a new name, or take these services down first",
                )

    def _beyond_the_engine(self) -> Iterator[Diagnostic]:
        """What the manager's API is too old for: it would be dropped without a word."""
        spoken = self._swarm.client.api_version()
        if spoken < _OLDEST:
            yield Diagnostic(
                f"this engine speaks API {spoken[0]}.{spoken[1]}, which drops jobs, capabilities "
                "and limits without a word",
                (),
                mend="bring the engines up to Docker 20.10 (API 1.41) or later",
            )
        for resource in self._wanted.values():
            container = resource.body.get("Container", {})
            keys = {*container, *(f"Privileges.{key}" for key in container.get("Privileges", {}))}
            for key, (needed, field_name) in _NEWER.items():
                if key in keys and spoken < needed:
                    noun, _, name = resource.id.partition("/")
                    yield Diagnostic(
                        f"it needs API {needed[0]}.{needed[1]}, and this engine speaks "
                        f"{spoken[0]}.{spoken[1]}",
                        (f"{noun}s", name, field_name),
                        mend="remove it, or bring the engines up to date",
                    )

    def _homeless(self) -> Iterator[Diagnostic]:
        """Services that no node can take, with the reason of each node."""
        nodes = self._swarm.rows("nodes")
        for resource in self._wanted.values():
            if resource.kind not in ("service", "job"):
                continue
            spec = wire.service_spec(resource.body, self._real, {})
            task = spec["TaskTemplate"]
            told = [list(refusals(node, task)) for node in nodes]
            fault = too_many(nodes, spec)
            if all(told):
                lines = "; ".join(line for lines in told for line in lines)
                fault = f"no node can take it: {lines}"
            if fault:
                noun, _, name = resource.id.partition("/")
                where = ("placement",) if noun == "job" else ("deploy", "placement")
                yield Diagnostic(
                    fault,
                    (f"{noun}s", name, *where),
                    mend="change the placement or the reservations, or the nodes",
                )

    def _real(self, name: str) -> str:
        return self._swarm.real_name(self._instance, name)


def _named(body: Mapping[str, Any], wanted: Resource | None) -> Mapping[str, Any]:
    """A given name is found again by being the name of the object."""
    if wanted is not None:
        for key in ("Name", "External"):
            if key in wanted.body:
                body = {**body, key: wanted.body[key]}
    return body


def _as_written(body: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A service's body without markers, with the image as the spec names it, without our pin."""
    body["Labels"] = names.own_labels(body.get("Labels"))
    if not body["Labels"]:
        del body["Labels"]
    container = body.get("Container", {})
    said = labels.get(names.IMAGE) or labels.get(names.STACK_IMAGE)
    live = container.get("Image", "")
    if said and live.startswith(f"{said}@"):
        container["Image"] = said
    pin, placement = labels.get(names.PIN), dict(body.get("Placement", {}))
    if pin and pin in placement.get("Constraints", ()):
        placement["Constraints"] = [c for c in placement["Constraints"] if c != pin]
        body["Placement"] = {key: value for key, value in placement.items() if value}
        if not body["Placement"]:
            del body["Placement"]
    return body
