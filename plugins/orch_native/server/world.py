"""What the control loop knows: every row in memory, and each change of one on its way to disk.

Only the loop's thread touches it. A change takes effect in memory at once and is collected in
`writes`; the loop commits these before it tells anybody. When a commit fails the world is read
anew, so that memory never holds what the disk does not.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from orch_native.api import RolloutPhase
from orch_native.messages import Desired, State
from orch_native.server.faults import Faults
from orch_native.server.model import (
    Alloc,
    App,
    Deployment,
    Key,
    Proven,
    ResourceRow,
    Run,
    RunPhase,
    Template,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from orch_native.server.store import Store

EVENTS_KEPT = 10_000
_TRIM_EVERY = 500


class World:
    """All rows by their keys."""

    def __init__(self, store: Store) -> None:
        self.writes: list[tuple[str, Sequence[Any]]] = []
        self.dirty: set[str] = set()
        self.faults = Faults()
        self._told = 0
        self.read(store)

    # -- reading ---------------------------------------------------------------------------

    def read(self, store: Store) -> None:
        """Take everything from the disk, instead of what was in memory."""
        self.resources: dict[str, ResourceRow] = {}
        self.uids: dict[Key, str] = {}
        self.templates: dict[str, dict[int, Template]] = defaultdict(dict)
        self.allocs: dict[str, Alloc] = {}
        self.members: dict[str, dict[str, None]] = defaultdict(dict)
        self.deployments: dict[str, Deployment] = {}
        self.runs: dict[str, dict[int, Run]] = defaultdict(dict)
        self.passed: dict[str, float] = {}
        self.contents: dict[str, bytes] = {}
        self.secrets: dict[tuple[App, str, str], bytes] = {}
        self.node_volumes: dict[str, dict[str, None]] = defaultdict(dict)
        self.shrunk = True
        self._load(store)

    def find(self, key: Key) -> ResourceRow | None:
        """The resource at a place."""
        uid = self.uids.get(key)
        return None if uid is None else self.resources[uid]

    def of_app(self, app: App, kind: str = "") -> Iterator[ResourceRow]:
        """Resources of an instance, all or of one kind."""
        for row in self.resources.values():
            if row.key.app == app and kind in ("", row.key.kind):
                yield row

    def allocs_of(self, uid: str) -> list[Alloc]:
        """Allocations of a service or job, oldest first."""
        return [self.allocs[id_] for id_ in self.members.get(uid, ())]

    def template_of(self, alloc: Alloc) -> Template:
        """What an allocation is made from."""
        return self.templates[alloc.uid][alloc.template]

    # -- writing ---------------------------------------------------------------------------

    def set_resource(self, row: ResourceRow) -> None:
        """Insert or replace a resource."""
        self.resources[row.uid] = row
        self.uids[row.key] = row.uid
        self.dirty.add(row.uid)
        values = (
            row.uid,
            *row.key.app,
            row.key.kind,
            row.key.name,
            _dump(row.body),
            None if row.applied is None else _dump(row.applied),
            row.revision,
            row.version,
            row.template,
            _dump_proven(row.proven),
            row.deleting,
            row.created,
        )
        self.writes.append((_PUT_RESOURCE, values))

    def rename(self, row: ResourceRow, key: Key) -> ResourceRow:
        """Let a resource have another place; all that hangs on it stays."""
        del self.uids[row.key]
        renamed = replace(row, key=key)
        self.set_resource(renamed)
        return renamed

    def drop_resource(self, uid: str) -> None:
        """Forget a resource with all that hangs on it."""
        row = self.resources.pop(uid)
        self.shrunk = True
        del self.uids[row.key]
        for id_ in tuple(self.members.pop(uid, ())):
            del self.allocs[id_]
        self.templates.pop(uid, None)
        self.deployments.pop(uid, None)
        self.runs.pop(uid, None)
        self.passed.pop(uid, None)
        self.node_volumes.pop(uid, None)
        self.faults.forget(uid)
        for statement in _DROP_RESOURCE:
            self.writes.append((statement, (uid,)))

    def set_template(self, template: Template) -> None:
        """Add a template."""
        self.templates[template.uid][template.number] = template
        values = (
            template.uid,
            template.number,
            _dump(template.body),
            template.revision,
            template.fingerprint,
            _dump(template.pins),
        )
        self.writes.append((_PUT_TEMPLATE, values))

    def drop_template(self, uid: str, number: int) -> None:
        """Forget a template that nothing is made from any more."""
        del self.templates[uid][number]
        self.shrunk = True
        self.writes.append(("DELETE FROM templates WHERE uid = ? AND number = ?", (uid, number)))

    def set_wanted(self, alloc: Alloc) -> None:
        """Insert an allocation, or change what is wanted of it."""
        self.allocs[alloc.id] = alloc
        self.members[alloc.uid][alloc.id] = None
        self.dirty.add(alloc.uid)
        values = (
            alloc.id,
            alloc.uid,
            alloc.index,
            alloc.template,
            alloc.node,
            alloc.desired,
            alloc.run,
            alloc.created,
            alloc.leaving,
            alloc.reason,
        )
        self.writes.append((_PUT_WANTED, values))

    def set_observed(self, alloc: Alloc) -> None:
        """Change what was seen of an allocation."""
        self.allocs[alloc.id] = alloc
        self.dirty.add(alloc.uid)
        values = (
            alloc.state,
            alloc.ready,
            alloc.started,
            alloc.restarts,
            alloc.exit_code,
            alloc.message,
            alloc.since,
            alloc.ready_since,
            alloc.address,
            _dump(alloc.ports),
            alloc.driver,
            alloc.id,
        )
        self.writes.append((PUT_OBSERVED, values))

    def drop_alloc(self, id_: str) -> None:
        """Forget an allocation."""
        alloc = self.allocs.pop(id_)
        self.dirty.add(alloc.uid)
        self.members[alloc.uid].pop(id_, None)
        self.writes.append(("DELETE FROM allocations WHERE id = ?", (id_,)))

    def set_deployment(self, deployment: Deployment) -> None:
        """Insert or replace a service's deployment."""
        self.deployments[deployment.uid] = deployment
        self.dirty.add(deployment.uid)
        self.writes.append((_PUT_DEPLOYMENT, _values(deployment)))

    def set_run(self, run: Run) -> None:
        """Insert or replace a job's run."""
        self.runs[run.uid][run.number] = run
        self.dirty.add(run.uid)
        self.writes.append((_PUT_RUN, _values(run)))

    def drop_run(self, uid: str, number: int) -> None:
        """Forget a run and its attempts."""
        for alloc in self.allocs_of(uid):
            if alloc.run == number:
                self.drop_alloc(alloc.id)
        self.runs[uid].pop(number, None)
        self.writes.append(("DELETE FROM runs WHERE uid = ? AND number = ?", (uid, number)))

    def set_passed(self, uid: str, moment: float) -> None:
        """Note up to when a schedule was dealt with."""
        self.passed[uid] = moment
        self.writes.append(("INSERT OR REPLACE INTO schedules VALUES (?, ?)", (uid, moment)))

    def set_content(self, digest: str, data: bytes) -> None:
        """Keep the content of a config."""
        if digest not in self.contents:
            self.contents[digest] = data
            self.writes.append(("INSERT OR IGNORE INTO contents VALUES (?, ?)", (digest, data)))

    def drop_content(self, digest: str) -> None:
        """Forget content that nothing pins."""
        del self.contents[digest]
        self.writes.append(("DELETE FROM contents WHERE digest = ?", (digest,)))

    def set_secret(self, app: App, name: str, version: str, sealed: bytes) -> None:
        """Keep a sealed value."""
        self.secrets[app, name, version] = sealed
        self.shrunk = True
        self.writes.append((_PUT_SECRET, (*app, name, version, sealed)))

    def drop_secret(self, app: App, name: str, version: str) -> None:
        """Forget a value that nothing pins."""
        del self.secrets[app, name, version]
        self.writes.append((_DROP_SECRET, (*app, name, version)))

    def note_volume(self, uid: str, name: str) -> None:
        """Remember a volume of the node that a replica has for itself."""
        if name not in self.node_volumes[uid]:
            self.node_volumes[uid][name] = None
            self.writes.append(("INSERT OR IGNORE INTO node_volumes VALUES (?, ?)", (uid, name)))

    def tell(self, app: App, kind: str, id_: str, message: str, now: float) -> None:
        """Add to the event log, which keeps a bounded number of them."""
        self.writes.append((_PUT_EVENT, (now, *app, kind, id_, message)))
        self._told += 1
        if self._told % _TRIM_EVERY == 0:
            self.writes.append((_TRIM_EVENTS, (EVENTS_KEPT,)))

    def taken(self) -> list[tuple[str, Sequence[Any]]]:
        """What was changed since this was last asked."""
        writes, self.writes = self.writes, []
        return writes

    # -- from the disk ---------------------------------------------------------------------

    def _load(self, store: Store) -> None:
        for row in map(_resource, store.rows("SELECT * FROM resources ORDER BY created, uid")):
            self.resources[row.uid] = row
            self.uids[row.key] = row.uid
        for template in map(_template, store.rows("SELECT * FROM templates")):
            self.templates[template.uid][template.number] = template
        for alloc in map(_alloc, store.rows("SELECT * FROM allocations ORDER BY created, rowid")):
            self.allocs[alloc.id] = alloc
            self.members[alloc.uid][alloc.id] = None
        for run in map(_run, store.rows("SELECT * FROM runs ORDER BY uid, number")):
            self.runs[run.uid][run.number] = run
        for deployment in map(_deployment, store.rows("SELECT * FROM deployments")):
            self.deployments[deployment.uid] = deployment
        self.passed.update((r["uid"], r["passed"]) for r in store.rows("SELECT * FROM schedules"))
        self.contents.update((r["digest"], r["data"]) for r in store.rows("SELECT * FROM contents"))
        for noted in store.rows("SELECT * FROM node_volumes"):
            self.node_volumes[noted["uid"]][noted["name"]] = None
        for found in store.rows("SELECT * FROM secrets"):
            app = App(found["namespace"], found["app"])
            self.secrets[app, found["name"], found["version"]] = found["sealed"]


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _dump_proven(proven: Proven | None) -> str | None:
    if proven is None:
        return None
    return json.dumps([proven.template, proven.body, proven.revision], separators=(",", ":"))


def _values(row: Deployment | Run) -> tuple[Any, ...]:
    values = (getattr(row, field.name) for field in fields(row))
    return tuple(json.dumps(v) if isinstance(v, tuple) else v for v in values)


def _resource(row: sqlite3.Row) -> ResourceRow:
    app = App(row["namespace"], row["app"])
    return ResourceRow(
        uid=row["uid"],
        key=Key(app, row["kind"], row["name"]),
        body=json.loads(row["body"]),
        applied=None if row["applied"] is None else json.loads(row["applied"]),
        revision=row["revision"],
        version=row["version"],
        template=row["template"],
        proven=None if row["proven"] is None else Proven(*json.loads(row["proven"])),
        deleting=bool(row["deleting"]),
        created=row["created"],
    )


def _template(row: sqlite3.Row) -> Template:
    body, pins = json.loads(row["body"]), json.loads(row["pins"])
    return Template(row["uid"], row["number"], body, row["revision"], row["fingerprint"], pins)


def _alloc(row: sqlite3.Row) -> Alloc:
    values = dict(row)
    values["index"] = values.pop("slot")
    values["desired"] = Desired(values["desired"])
    values["state"] = State(values["state"])
    values["ready"], values["started"] = bool(values["ready"]), bool(values["started"])
    values["ports"] = json.loads(values["ports"])
    return Alloc(**values)


def _deployment(row: sqlite3.Row) -> Deployment:
    values = dict(row)
    values["phase"] = RolloutPhase(values["phase"])
    values["promoted"] = bool(values["promoted"])
    values["failed"] = tuple(json.loads(values["failed"]))
    return Deployment(**values)


def _run(row: sqlite3.Row) -> Run:
    values = dict(row)
    values["phase"] = RunPhase(values["phase"])
    return Run(**values)


def _places(count: int) -> str:
    return ", ".join("?" * count)


_PUT_RESOURCE = f"INSERT OR REPLACE INTO resources VALUES ({_places(13)})"  # noqa: S608
_PUT_TEMPLATE = f"INSERT OR REPLACE INTO templates VALUES ({_places(6)})"  # noqa: S608
_PUT_DEPLOYMENT = f"INSERT OR REPLACE INTO deployments VALUES ({_places(13)})"  # noqa: S608
_PUT_RUN = f"INSERT OR REPLACE INTO runs VALUES ({_places(9)})"  # noqa: S608
_PUT_SECRET = "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?)"  # noqa: S105
_DROP_SECRET = "DELETE FROM secrets WHERE namespace = ? AND app = ? AND name = ? AND version = ?"  # noqa: S105
_PUT_EVENT = (
    "INSERT INTO events (time, namespace, app, kind, id, message) VALUES (?, ?, ?, ?, ?, ?)"
)
_TRIM_EVENTS = "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?"
_PUT_WANTED = (
    "INSERT INTO allocations"
    " (id, uid, slot, template, node, desired, run, created, leaving, reason)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET node = excluded.node, desired = excluded.desired,"
    " leaving = excluded.leaving, reason = excluded.reason"
)
PUT_OBSERVED = (
    "UPDATE allocations SET state = ?, ready = ?, started = ?, restarts = ?, exit_code = ?,"
    " message = ?, since = ?, ready_since = ?, address = ?, ports = ?, driver = ? WHERE id = ?"
)
_DROP_RESOURCE = (
    "DELETE FROM allocations WHERE uid = ?",
    "DELETE FROM templates WHERE uid = ?",
    "DELETE FROM deployments WHERE uid = ?",
    "DELETE FROM runs WHERE uid = ?",
    "DELETE FROM schedules WHERE uid = ?",
    "DELETE FROM node_volumes WHERE uid = ?",
    "DELETE FROM resources WHERE uid = ?",
)
