"""What a client may ask to be changed, done on the world. Each raises OrchError or does it whole.

Checks come before the first write, so a request that is refused has changed nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from orch.errors import Conflict, Refused, UsageFault
from orch.spec.application import Config, Network, Registry, Route, Volume
from orch_native.api import RolloutPhase
from orch_native.messages import without_extras
from orch_native.server import cron
from orch_native.server.assignment import (
    content_digest,
    content_of,
    pins_of,
    purpose,
    variable_values,
    volumes_left,
)
from orch_native.server.model import App, Deployment, Key, ResourceRow, Run, RunPhase, Template
from orch_native.server.policy import (
    fingerprint,
    job_policy,
    ports_of,
    service_policy,
    volume_names,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orch_native.api import Put
    from orch_native.server.vault import Vault
    from orch_native.server.world import World

_MODELS: dict[str, TypeAdapter[Any]] = {
    "config": TypeAdapter(Config),
    "volume": TypeAdapter(Volume),
    "network": TypeAdapter(Network),
    "registry": TypeAdapter(Registry),
    "route": TypeAdapter(Route),
}
_FREE = frozenset({"secret", "policy"})
_UNITS = frozenset({"service", "job"})
KINDS = frozenset({*_MODELS, *_FREE, *_UNITS})
_UNLABELLED = frozenset({"registry", "route"})


@dataclass(frozen=True, slots=True)
class Requests:
    """The world as clients change it."""

    world: World
    vault: Vault
    now: float

    # -- put -------------------------------------------------------------------------------

    def put(self, key: Key, put: Put) -> ResourceRow:
        """Create or change a resource; the same again changes nothing."""
        validate(key, put.body)
        old = self.world.find(key) or self._former(key, put)
        _expect(key, old, put.expect_version)
        if key.kind == "secret":
            self._check_value(key, put)
        pins = self._pins(key, put.body, old) if key.kind in _UNITS else {}
        variable_values(self.world, self.vault, key.app, put.body, pins)  # refuses what is no text
        if key.kind == "service":
            self._check_ports(key, put.body)
        if key.kind == "secret":
            self._keep_value(key, put)
        if key.kind == "config" and not put.body.get("external"):
            data = content_of(put.body)
            self.world.set_content(content_digest(data), data)
        if old is not None and old.key != key:
            old = self._renamed(old, key)
        if old is not None and not old.deleting and self._unchanged(old, put, pins):
            return self._noted(old, put)
        row = self._row(key, old, put)
        if key.kind in _UNITS:
            return self._unit(row, old, pins)
        self.world.set_resource(row)
        self._tell(row, "applied", "stored" if old else "created")
        return row

    def _former(self, key: Key, put: Put) -> ResourceRow | None:
        """The service or job that becomes this one."""
        if not put.formerly or key.kind not in _UNITS:
            return None
        row = self.world.find(key._replace(name=put.formerly))
        return None if row is None or row.deleting else row

    def _renamed(self, old: ResourceRow, key: Key) -> ResourceRow:
        self.world.tell(key.app, "applied", key.id, f"renamed from {old.key.id}", self.now)
        return self.world.rename(old, key)

    def _pins(self, key: Key, body: Mapping[str, Any], old: ResourceRow | None) -> dict[str, str]:
        """What its replicas go with: configs, secrets, and the names that they are known by."""
        known = self.world.templates[old.uid].get(old.template) if old is not None else None
        origin = known.pins.get("volumes") if known else None
        return {
            **pins_of(self.world, key.app, body),
            "unit": key.name,
            "volumes": origin or volumes_left(self.world, key, body) or key.name,
        }

    def _unchanged(self, old: ResourceRow, put: Put, pins: Mapping[str, str]) -> bool:
        if dict(old.body) != put.body:
            return False
        template = self.world.templates[old.uid].get(old.template)
        return template is None or dict(template.pins) == pins

    def _noted(self, old: ResourceRow, put: Put) -> ResourceRow:
        """The body stands as it is; who applied it last may still have changed."""
        if put.as_applied and (old.applied != put.body or old.revision != put.revision):
            old = replace(old, applied=put.body, revision=put.revision or old.revision)
            self.world.set_resource(old)
        return old

    def _row(self, key: Key, old: ResourceRow | None, put: Put) -> ResourceRow:
        if old is None:
            uid = secrets.token_hex(8)
            applied = put.body if put.as_applied else None
            return ResourceRow(uid, key, put.body, applied, put.revision, created=self.now)
        return replace(
            old,
            body=put.body,
            applied=put.body if put.as_applied else old.applied,
            revision=put.revision or old.revision,
            version=old.version + 1,
            deleting=False,
        )

    # -- services and jobs -----------------------------------------------------------------

    def _unit(
        self, row: ResourceRow, old: ResourceRow | None, pins: Mapping[str, str]
    ) -> ResourceRow:
        template = self._template(row, old, pins)
        changed = old is None or old.deleting or template.number != old.template
        row = replace(row, template=template.number)
        self.world.set_resource(row)
        cause = "create" if old is None or old.deleting else "update" if changed else "scale"
        if row.key.kind == "service":
            self._deploy(row, cause)
        elif changed:
            self._job_changed(row, cause)
        self._tell(row, "started", cause)
        return row

    def _template(
        self, row: ResourceRow, old: ResourceRow | None, pins: Mapping[str, str]
    ) -> Template:
        """The template of a body: one that is there already when it makes equal replicas."""
        print_ = fingerprint(row.key.kind, row.body, pins)
        known = self.world.templates[row.uid]
        wanted = known.get(row.template)
        if old is not None and not old.deleting:
            proven = known.get(row.proven.template) if row.proven else None
            for template in (wanted, proven):
                fits = row.key.kind == "service" or template is wanted
                if template is not None and template.fingerprint == print_ and fits:
                    return template
        return self._new_template(row, pins, print_)

    def _new_template(self, row: ResourceRow, pins: Mapping[str, str], print_: str) -> Template:
        number = max(self.world.templates[row.uid], default=0) + 1
        template = Template(row.uid, number, row.body, row.revision, print_, dict(pins))
        self.world.set_template(template)
        return template

    def _deploy(self, row: ResourceRow, cause: str) -> None:
        last = self.world.deployments.get(row.uid)
        base = row.proven.template if row.proven else None
        self.world.set_deployment(
            Deployment(
                uid=row.uid,
                number=last.number + 1 if last else 1,
                template=row.template,
                base=None if cause == "retry" and base == row.template else base,
                started=self.now,
                cause=cause,
            )
        )

    def _job_changed(self, row: ResourceRow, cause: str) -> None:
        """What runs of an earlier version ends; without a schedule the new one runs at once."""
        for run in tuple(self.world.runs[row.uid].values()):
            if run.phase is RunPhase.RUNNING:
                stopped = replace(run, phase=RunPhase.STOPPED, ended=self.now)
                self.world.set_run(replace(stopped, message="replaced by a new version"))
        policy = job_policy(row.body)
        if policy.schedule is not None:
            self.world.set_passed(row.uid, self.now)
        elif not policy.suspend:
            begin_run(self.world, row, cause, self.now, self.now)

    # -- the other verbs -------------------------------------------------------------------

    def delete(self, key: Key, expect_version: str | None) -> None:
        """Begin to remove a resource."""
        row = self.world.find(key)
        if row is None or row.deleting:
            return
        _expect(key, row, expect_version)
        self.world.set_resource(replace(row, deleting=True))
        for run in tuple(self.world.runs[row.uid].values()):
            if run.phase is RunPhase.RUNNING:
                self.world.set_run(replace(run, phase=RunPhase.STOPPED, ended=self.now))
        self._tell(row, "started", "remove")

    def restart(self, key: Key, revision: int) -> None:
        """Replace all replicas by equal ones, or run a job once more."""
        row = self._must(key)
        if key.kind == "job":
            begin_run(self.world, row, "restart", self.now, self.now)
            return
        if key.kind != "service":
            raise UsageFault(f"a {key.kind} can't be restarted", place=str(key))
        row = replace(row, revision=revision or row.revision)
        old = self.world.templates[row.uid][row.template]
        pins = self._pins(key, row.body, row)
        row = replace(row, template=self._new_template(row, pins, old.fingerprint).number)
        self.world.set_resource(row)
        self._deploy(row, "restart")
        self._tell(row, "started", "restart")

    def retry(self, key: Key, revision: int) -> None:
        """Start anew what does not serve, or run a failed job once more; what serves stays."""
        row = self._must(key)
        if key.kind == "job":
            self._retry_job(row)
            return
        if key.kind != "service":
            raise UsageFault(f"a {key.kind} can't be tried again", place=str(key))
        last = self.world.deployments.get(row.uid)
        if last is not None and not last.phase.final:
            return
        row = replace(row, revision=revision or row.revision)
        self.world.set_resource(row)
        self._deploy(row, "retry")
        for alloc in self.world.allocs_of(row.uid):
            if alloc.leaving is None and not alloc.serving:
                self.world.set_wanted(replace(alloc, leaving=self.now, reason="tried again"))
        self._tell(row, "started", "retry")

    def _retry_job(self, row: ResourceRow) -> None:
        latest = max(self.world.runs[row.uid].values(), key=lambda run: run.number, default=None)
        if latest is None or latest.phase is not RunPhase.RUNNING:
            begin_run(self.world, row, "retry", self.now, self.now)

    def promote(self, key: Key) -> None:
        """Let a canary's deployment go on."""
        row = self._must(key)
        deployment = self.world.deployments.get(row.uid)
        if deployment is None or deployment.phase is not RolloutPhase.AWAITING_PROMOTION:
            phase = deployment.phase if deployment else "not there"
            raise UsageFault(
                f"its deployment is {phase}, and only a canary that waits can be promoted",
                place=str(key),
                mend="deploy with update_config {canary: 1, promote: manual}",
            )
        promoted = replace(deployment, promoted=True, phase=RolloutPhase.PROGRESSING, message="")
        self.world.set_deployment(replace(promoted, batch_done=self.now))
        self._tell(row, "progress", "promoted")

    def _must(self, key: Key) -> ResourceRow:
        row = self.world.find(key)
        if row is None or row.deleting:
            raise UsageFault(
                f"there is no {key.kind} {key.name!r}", place=str(key), mend="see `orch ps`"
            )
        return row

    # -- secrets ---------------------------------------------------------------------------

    def held_secrets(self, app: App) -> dict[str, list[str]]:
        """The versions of each secret whose values are kept."""
        found: dict[str, list[str]] = {}
        for owner, name, version in sorted(self.world.secrets):
            if owner == app:
                found.setdefault(name, []).append(version)
        return found

    def forget_secrets(self, app: App, keep: Mapping[str, Collection[str]]) -> None:
        """Drop the values of all other versions, but for those that something is made with."""
        for name, versions in self.held_secrets(app).items():
            used = {*keep.get(name, ()), *used_versions(self.world, app, name)}
            for version in versions:
                if version not in used:
                    self.world.drop_secret(app, name, version)

    # -- checks ----------------------------------------------------------------------------

    def _check_value(self, key: Key, put: Put) -> None:
        if put.body.get("external"):
            return
        version = str(put.body.get("version", ""))
        known = (key.app, key.name, version) in self.world.secrets
        if not version or not (known or key.name in put.secrets):
            raise UsageFault(
                f"the value of secret {key.name!r} was not sent",
                place=str(key),
                mend="plan and apply again, so that its provider is read",
            )

    def _keep_value(self, key: Key, put: Put) -> None:
        if key.name in put.secrets and not put.body.get("external"):
            version = str(put.body["version"])
            sealed = self.vault.seal(put.secrets[key.name], purpose(key.app, key.name, version))
            self.world.set_secret(key.app, key.name, version, sealed)

    def _check_ports(self, key: Key, body: Mapping[str, Any]) -> None:
        for path, taken, mend in taken_ports(self.world, key, body):
            raise Refused(taken, place=f"{key}: {path}", mend=mend)

    def _tell(self, row: ResourceRow, kind: str, message: str) -> None:
        self.world.tell(row.key.app, kind, row.key.id, message, self.now)


def used_versions(world: World, app: App, name: str) -> set[str]:
    """The versions of a secret that are wanted now, or that some template is pinned to."""
    row = world.find(Key(app, "secret", name))
    wanted = {str(row.body.get("version"))} if row is not None else set()
    # Whatever the name: to another app of the namespace it may be external under its own.
    return wanted | {
        value
        for templates in world.templates.values()
        for template in templates.values()
        for key, value in template.pins.items()
        if key.startswith("secrets/")
    }


def begin_run(world: World, row: ResourceRow, cause: str, scheduled: float, now: float) -> Run:
    """Begin a run of a job."""
    number = max(world.runs[row.uid], default=0) + 1
    run = Run(row.uid, number, row.template, cause, scheduled, now)
    world.set_run(run)
    world.tell(row.key.app, "started", row.key.id, f"run {number} ({cause})", now)
    return run


def validate(key: Key, body: Mapping[str, Any]) -> None:
    """Check a body with the spec's own models. Raises UsageFault with every fault."""
    if key.kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise UsageFault(f"there is no kind {key.kind!r}", mend=f"choose one of {known}")
    try:
        _check(key.kind, body)
    except ValidationError as fault:
        told = [".".join(map(str, e["loc"])) + ": " + e["msg"] for e in fault.errors()]
        raise UsageFault("; ".join(told), place=str(key), mend="see `orch schema`") from None
    except ValueError as fault:
        raise UsageFault(str(fault), place=str(key)) from None


def _check(kind: str, body: Mapping[str, Any]) -> None:
    if kind == "service":
        service_policy(body)
    elif kind == "job":
        policy = job_policy(body)
        if policy.schedule is not None:
            cron.check(policy.schedule, policy.time_zone)
    elif kind in _MODELS:
        fields = without_extras(body)
        _MODELS[kind].validate_python(_without_labels(fields) if kind in _UNLABELLED else fields)
        if kind == "config":
            content_of(body)


def _without_labels(body: Mapping[str, Any]) -> dict[str, Any]:
    """The app's labels may stand on an object whose model has none."""
    return {key: value for key, value in body.items() if key != "labels"}


def _expect(key: Key, row: ResourceRow | None, version: str | None) -> None:
    if version is None:
        return
    found = "" if row is None or row.deleting else str(row.version)
    if found != version:
        what = f"it is at version {found}" if found else "it is not there"
        seen = f"version {version}" if version else "no such resource"
        raise Conflict(
            f"somebody else changed it: {what}, and the plan saw {seen}",
            place=str(key),
            mend="plan again",
        )


def taken_ports(world: World, key: Key, body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Published ports that another app's service has already: (field path, fault, mend)."""
    found = []
    for place, port in ports_of(body):
        wanted = (port.get("published"), port.get("protocol", "tcp"))
        if wanted[0] is None:
            continue
        for other in world.resources.values():
            if other.key.kind != "service" or other.key.app == key.app:
                continue
            for _, theirs in ports_of(other.body):
                same = (theirs.get("published"), theirs.get("protocol", "tcp")) == wanted
                if same and _overlap(port.get("host_ip", ""), theirs.get("host_ip", "")):
                    fault = f"port {wanted[0]}/{wanted[1]} is published by {other.key} already"
                    found.append((f"{place}.published", fault, _free_port(other.key.app)))
    return found


def _free_port(holder: App) -> str:
    down = f"orch down --name {holder.name} --namespace {holder.namespace}"
    return f"publish another port, or take its holder down with `{down}`"


def _overlap(one: str, other: str) -> bool:
    anywhere = {"", "0.0.0.0", "::"}  # noqa: S104  (compared with, not bound)
    return one == other or one in anywhere or other in anywhere


def in_use(world: World, row: ResourceRow) -> bool:
    """Whether a volume or network is still used by something that has not gone."""
    for alloc in world.allocs.values():
        user = world.resources[alloc.uid]
        if user.key.app != row.key.app:
            continue
        body = world.template_of(alloc).body
        if row.key.kind == "volume" and row.key.name in volume_names(body):
            return True
        if row.key.kind == "network" and row.key.name in (body.get("networks") or ("default",)):
            return True
    return False


def units_of(world: World, app: App) -> list[ResourceRow]:
    """Services and jobs of an instance."""
    return [row for row in world.of_app(app) if row.key.kind in _UNITS]
