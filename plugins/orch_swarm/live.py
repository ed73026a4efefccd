"""A running `docker stack` as a spec, with an account of what the spec can't say of it.

The account is made by the way back: what was read is compiled, and whatever runs and is not in
what was compiled is told.
"""

from __future__ import annotations

import re
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from orch.backend.contract import Reading
from orch.errors import UsageFault
from orch.load.document import app_from_document
from orch.spec.base import NAME_PATTERN
from orch.types import Consequence, Fidelity, Instance, Ledger, LedgerEntry
from orch_swarm import names, wire
from orch_swarm.compile import compile_swarm
from orch_swarm.live_unit import job_of, said, service_of, without_docker
from orch_swarm.sights import Observer, Swarm, labels_of, name_of
from orch_swarm.stack import OF_DOCKER, data_of, is_template, short_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.types import FieldPath

Row = dict[str, Any]
Document = dict[str, Any]
_PARTS = {"config": "configs", "secret": "secrets", "network": "networks", "volume": "volumes"}
_PROJECT = "com.docker.compose.project"
UNREADABLE = "a swarm hands a secret's value to tasks alone: the one that is there is used"
GIVE_IT = "to change it with a deploy, give it a provider instead of `external`"
TEMPLATE = "engines fill it in for each task, and the spec's configs are the same for all"
UNSAID = "the spec has no words for it: it stays as it is while the service is updated in place"
NO_JOB = "a job on every node has no words in the spec"
OWN_SIGNAL = "the image's own stop signal counts until the tasks are next changed, SIGTERM then"
APART = "every node has files of its own under this name"
_NOISE: tuple[FieldPath, ...] = (
    ("Container", "Isolation"),
    ("Placement", "Platforms"),
    ("Container", "Labels", names.STACK),
)


def read_stack(swarm: Swarm, stack: str, settings: Mapping[str, str]) -> Reading:
    """The stack's spec. Raises UsageFault when there is none, or when it is somebody's."""
    rows = [row for row in swarm.rows("services") if labels_of(row).get(names.STACK) == stack]
    if not rows:
        raise _no_stack(swarm, stack)
    for row in rows:
        owner = names.owner_of(labels_of(row))
        if owner is not None:
            raise UsageFault(
                f"{name_of(row)} belongs to {owner.namespace}/{owner.name} already",
                place=stack,
                mend=f"its spec is in the releases: orch history --name {owner.name}",
            )
    if not re.fullmatch(NAME_PATTERN, stack):
        raise UsageFault(f"{stack!r} can't be the name of an application", mend="rename the stack")
    return _Reader(swarm, stack, settings).read(rows)


def _no_stack(swarm: Swarm, stack: str) -> UsageFault:
    known = {labels_of(row).get(names.STACK) for row in swarm.rows("services")}
    there = ", ".join(sorted(name for name in known if name)) or "none"
    owners = [names.owner_of(labels_of(row)) for row in swarm.rows("services")]
    if any(owner is not None and owner.name == stack for owner in owners):
        return UsageFault(
            f"{stack} was deployed by orch, and by no docker stack",
            mend=f"its spec is in the releases: orch history --name {stack}",
        )
    filters = {"label": [f"{_PROJECT}={stack}"]}
    if swarm.client.get("/containers/json", all=1, filters=filters):
        return UsageFault(
            f"{stack} is a project of docker compose: containers of one engine, not of the swarm",
            mend="import its file: orch import compose.yaml",
        )
    if any(name_of(row) == stack for row in swarm.rows("services")):
        return UsageFault(
            f"{stack} is a single service that belongs to no stack",
            mend="a stack's name is what `docker stack ls` tells",
        )
    return UsageFault(f"the swarm has no stack {stack!r}", mend=f"there are: {there}")


class _Reader:
    """One run; the document and the rows of its ledger grow together."""

    def __init__(self, swarm: Swarm, stack: str, settings: Mapping[str, str]) -> None:
        self._swarm, self._stack, self._settings = swarm, stack, settings
        self._document: Document = {"apiVersion": "orch/v1", "name": stack}
        self._keys: dict[tuple[str, str], str] = {}
        self._rows: list[LedgerEntry] = []

    def read(self, rows: list[Row]) -> Reading:
        """Everything of the stack."""
        for kind in _PARTS:
            for row in self._swarm.rows(f"{kind}s"):
                if labels_of(row).get(names.STACK) == self._stack:
                    self._refer(kind, name_of(row))
        for row in sorted(rows, key=name_of):
            self._unit(row)
        self._leave_default()
        self._account(rows)
        return Reading(self._document, Ledger(tuple(self._rows)))

    def _tell(
        self,
        path: FieldPath,
        outcome: Fidelity,
        reason: str,
        mend: str = "",
        consequence: Consequence = Consequence.COSMETIC,
    ) -> None:
        self._rows.append(LedgerEntry(path, outcome, consequence, reason=reason, mend=mend))

    # -- services and jobs -----------------------------------------------------------------------

    def _unit(self, row: Row) -> None:
        name = short_of(self._stack, name_of(row)).lstrip("/")
        body = wire.service_body(row["Spec"], str, self._swarm.by_id)
        container, image = body["Container"], labels_of(row).get(names.STACK_IMAGE, "")
        if image and container["Image"].startswith(f"{image}@"):
            container["Image"] = image
        if "host" in body.get("Networks", {}):
            body["Networks"] = {"/host": body["Networks"]["host"]}
        if body["Mode"] == "global-job":
            mend = "run it as a job whose completions are the nodes"
            self._tell(("jobs", name), Fidelity.LOST, NO_JOB, mend, Consequence.AVAILABILITY)
            return
        noun, made = ("jobs", job_of) if body["Mode"].endswith("-job") else ("services", service_of)
        self._document.setdefault(noun, {})[name] = made(body, name, self._refer)
        if "StopSignal" not in container:
            self._tell((noun, name, "stop_signal"), Fidelity.DEGRADED, OWN_SIGNAL)

    def _leave_default(self) -> None:
        """A plain default network need not be said where nobody names it."""
        units = [
            *self._document.get("services", {}).values(),
            *self._document.get("jobs", {}).values(),
        ]
        networks = self._document.get("networks", {})
        named = any("default" in unit.get("networks", {}) for unit in units)
        if networks.get("default") == {} and not named:
            del networks["default"]
            if not networks:
                del self._document["networks"]

    # -- what they use ---------------------------------------------------------------------------

    def _refer(self, kind: str, real: str) -> str:
        """What the document calls a part of the stack, or of others; it is written when new."""
        key = self._keys.get((kind, real))
        if key is None:
            part = self._document.setdefault(_PARTS[kind], {})
            key = short_of(self._stack, real).lstrip("/")
            key = _free(key, part)
            self._keys[kind, real] = key
            part[key] = self._part(kind, real, key)
        return key

    def _part(self, kind: str, real: str, key: str) -> Document:
        row = next((r for r in self._swarm.rows(f"{kind}s") if name_of(r) == real), None)
        owned = self._is_owned(kind, real, row)
        named = {"name": real} if key != (short_of(self._stack, real) if owned else real) else {}
        if kind == "secret":
            return self._secret(real, key, row, owned=owned)
        if not owned:
            return {"external": True, **named}
        labels = said({"labels": without_docker(labels_of(row or {}) if row else {})})
        made: Document = getattr(self, f"_{kind}")(row, real, key)
        return {**named, **labels, **made}

    def _is_owned(self, kind: str, real: str, row: Row | None) -> bool:
        if row is not None and labels_of(row).get(names.STACK) == self._stack:
            return True
        # A volume may be on other nodes alone: then its mounts tell whose it is.
        return kind == "volume" and any(
            (mount.get("VolumeOptions") or {}).get("Labels", {}).get(names.STACK) == self._stack
            for mount in self._mounts(real)
        )

    def _mounts(self, volume: str) -> Iterator[Row]:
        for row in self._swarm.rows("services"):
            for mount in row["Spec"]["TaskTemplate"]["ContainerSpec"].get("Mounts") or ():
                if mount.get("Type") == "volume" and mount.get("Source") == volume:
                    yield mount

    def _secret(self, real: str, key: str, row: Row | None, *, owned: bool) -> Document:
        if owned and row is not None:
            self._tell(
                ("secrets", key), Fidelity.DEGRADED, UNREADABLE, GIVE_IT, Consequence.SECURITY
            )
        return {"external": True, **({"name": real} if real != key else {})}

    def _config(self, row: Row, real: str, key: str) -> Document:
        if is_template(row):
            mend = "write a config of its own for each case"
            self._tell(("configs", key), Fidelity.DEGRADED, TEMPLATE, mend)
            return {"external": True, "name": real}
        text = text_of(data_of(row))
        binary = {"encoding": "base64"} if text["Encoding"] == "base64" else {}
        return {"content": text["Content"], **binary}

    def _network(self, row: Row, _real: str, _key: str) -> Document:
        body = wire.network_body({**row, "Labels": {}}, {})
        driver = body.get("Driver")
        return said(
            {
                "driver": driver if driver != "overlay" else None,
                "driver_opts": body.get("Options"),
                "internal": body.get("Internal"),
                "attachable": body.get("Attachable"),
                "enable_ipv6": body.get("EnableIPv6"),
                "encrypted": body.get("Encrypted"),
            }
        )

    def _volume(self, _row: Row | None, real: str, key: str) -> Document:
        configs = [(m.get("VolumeOptions") or {}).get("DriverConfig") for m in self._mounts(real)]
        config: Row = next((one for one in configs if one), {})
        if not config:
            mend = "constrain what mounts it to one node, or name a driver that shares"
            self._tell(("volumes", key), Fidelity.DEGRADED, APART, mend, Consequence.DATA)
        parts = {"driver": config.get("Name"), "driver_opts": config.get("Options")}
        return {"access": "shared", **said(parts)}

    # -- the account -----------------------------------------------------------------------------

    def _account(self, rows: list[Row]) -> None:
        """Tell what runs and was not read, found by compiling what was."""
        instance = Instance(names.BACKEND, names.DEFAULT_NAMESPACE, self._stack)
        manifest = compile_swarm(app_from_document(self._document), self._settings)
        seen = Observer(self._swarm, instance, manifest)
        wanted = {resource.id: resource for resource in manifest.resources}
        known = {self._swarm.real_name(instance, r.name): r for r in wanted.values() if r.rollout}
        for row in rows:
            resource = known.get(name_of(row))
            if resource is None:
                continue
            live = seen.service(row, resource).body
            noun, _, name = resource.id.partition("/")
            for path in _unread(live, resource.body, ()):
                self._tell((f"{noun}s", name, *path), Fidelity.LOST, UNSAID)


def _free(key: str, taken: Mapping[str, Any]) -> str:
    """The key itself, or one with a number when another object has it."""
    keys = chain((key,), (f"{key}-{number}" for number in count(2)))
    return next(one for one in keys if one not in taken)


def _unread(live: Any, wanted: Any, path: FieldPath) -> Iterator[FieldPath]:
    """The paths of what is live and not wanted, save what Docker itself keeps there."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        for key, value in live.items():
            below = (*path, key)
            if key not in wanted and not _is_noise(below, value):
                yield below
            elif key in wanted:
                yield from _unread(value, wanted[key], below)


def _is_noise(path: FieldPath, value: Any) -> bool:
    if path in _NOISE or str(path[-1]).startswith(OF_DOCKER) or value in (None, "", 0, {}, []):
        return True
    return isinstance(value, dict) and all(_is_noise((*path, k), v) for k, v in value.items())
