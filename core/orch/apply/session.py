"""One deployment of one application on one target: what every verb works with."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orch.apply import releases
from orch.apply.access import Access
from orch.apply.demands import Demands
from orch.apply.deploy import Deployment, Order
from orch.apply.lock import TTL, locked
from orch.apply.problems import refuse_problems
from orch.apply.releases import History, earlier_release, is_finished
from orch.apply.rollback import earlier_versions, reruns
from orch.apply.secrets import secret_changed
from orch.apply.waiting import Awaited, wait_for
from orch.compile.levels import Judgement, Level, judge
from orch.compile.tokens import with_versions
from orch.errors import UsageFault
from orch.frozen import EMPTY
from orch.load.source import app_from_document, document_of
from orch.plan.drift import drift_of
from orch.plan.exclusive import still_crowded
from orch.plan.make import make_plan
from orch.plan.merge import Merger, predict
from orch.plan.resize import restarted, scaled
from orch.plan.stale import check_history, manifest_of, recorded, refreshed
from orch.types import (
    Drift,
    Event,
    Ledger,
    Manifest,
    Outcome,
    Release,
    Snapshot,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from orch.backend.contract import Backend, Policy, SecretProvider
    from orch.spec.application import Application
    from orch.types import Diagnostic, Instance, Plan, Resource, Status


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the manifest it comes from, and what was thought of its losses."""

    plan: Plan
    manifest: Manifest
    judgement: Judgement


__all__ = ["Drift", "Level", "Planned", "Session"]


def _ignore(_event: Event) -> None:
    """Nobody listens."""


class Session:
    """Works on one instance through one backend. Not for several threads at once.

    `providers` read secrets, with relative paths from `base`; `policies` may refuse a plan;
    `who` goes into locks and releases. `clock` and `sleep` are the time module's unless a test
    brings its own. `lock_ttl` is the life of the lock in seconds, renewed at a third of it.
    """

    def __init__(
        self,
        backend: Backend,
        instance: Instance,
        *,
        providers: Mapping[str, SecretProvider] = EMPTY,
        base: Path = Path(),
        policies: Sequence[Policy] = (),
        who: str = "",
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        lock_ttl: float = TTL,
    ) -> None:
        self._policies, self._lock_ttl = policies, lock_ttl
        self._access = Access(backend, instance, providers, base, who or "somebody", clock, sleep)

    # -- plans -----------------------------------------------------------------------------

    def plan(
        self,
        app: Application,
        *,
        level: Level = Level.DEFAULT,
        only: Collection[str] = (),
        prune: bool = True,
    ) -> Planned:
        """What must be done so that this application runs there, and nothing else of ours.

        Raises Refused for losses that the level forbids, for violated policies, for what the
        target can't run now and for objects of others; UsageFault for a secret that can't be
        read; Unreachable or Denied.
        """
        manifest = self._access.compiled(app)
        judgement = judge(app, manifest, level)
        judgement.demand()
        warnings = self._obey_policies(app, manifest)
        versions = self._versions(app, manifest)
        plan = self._plan(app, manifest, versions, only=only, prune=prune)
        return Planned(replace(plan, warnings=plan.warnings + warnings), manifest, judgement)

    def rollback_plan(self, to: int | None = None) -> Plan:
        """Return to an earlier release, the last good one that differs unless one is named.

        Secrets return to the version of that release where the target still holds it, and stay
        at the value they have elsewhere. A one-shot job runs again only where its body differs.
        Raises UsageFault when there is no such release.
        """
        history = self._access.history()
        target = earlier_release(history, to)
        last = history.baseline
        returning = earlier_versions(
            target.versions, last.versions if last else EMPTY, self._access.held_secrets()
        )
        plan = self._plan_of_document(
            app_from_document(target.document),
            keep=returning.versions,
            reason=f"rollback to {target.number}",
            notes=("jobs that ran and data that was written are not undone", *returning.notes),
        )
        return replace(plan, notes=plan.notes + reruns(plan, Demands(plan.document)))

    def scale_plan(self, sizes: Mapping[str, int]) -> Plan:
        """Change numbers of replicas and nothing else. Raises UsageFault for what can't scale."""
        latest = self._need_latest()
        app = app_from_document(scaled(latest.document, sizes))
        said = " ".join(f"{name}={size}" for name, size in sizes.items())
        return self._plan_of_document(
            app, keep=latest.versions, reason=f"scale {said}", only=tuple(sizes)
        )

    def restart_plan(self, services: Sequence[str] = ()) -> Plan:
        """Replace the replicas of these services, or of all. Raises UsageFault for unknown ones."""
        latest = self._need_latest()
        snapshot = self._access.observe(self._recorded_manifest(latest))
        return restarted(
            latest, snapshot, services, self._access.backend.name, Merger(self._access.capabilities)
        )

    def down_plan(self, *, volumes: bool = False) -> Plan:
        """Remove everything that is ours; what holds data stays unless `volumes`."""
        history = self._access.history()
        snapshot = self._access.observe(self._recorded_manifest(history.baseline))
        nothing = Manifest(self._access.instance.name, self._access.backend.name, (), Ledger(()))
        return self._make(
            None, nothing, snapshot, history, EMPTY, destroy_volumes=volumes, reason="down"
        )

    def _plan_of_document(
        self,
        app: Application,
        *,
        keep: Mapping[str, str],
        reason: str,
        only: Collection[str] = (),
        notes: tuple[str, ...] = (),
    ) -> Plan:
        """A plan from a recorded spec; secrets that are there already are not read again."""
        manifest = self._access.compiled(app)
        versions = self._versions(app, manifest, keep)
        plan = self._plan(app, manifest, versions, only=only, prune=not only, reason=reason)
        return replace(plan, notes=plan.notes + notes)

    def _plan(
        self,
        app: Application,
        manifest: Manifest,
        versions: Mapping[str, str],
        *,
        only: Collection[str],
        prune: bool,
        reason: str = "deploy",
    ) -> Plan:
        manifest = _versioned(manifest, versions)
        snapshot = self._access.observe(manifest)
        refuse_problems(snapshot.problems)
        history = self._access.history()
        plan = self._make(
            app, manifest, snapshot, history, versions, only=only, prune=prune, reason=reason
        )
        refuse_problems(still_crowded(plan, snapshot.crowded))
        return plan

    def _make(
        self,
        app: Application | None,
        manifest: Manifest,
        snapshot: Snapshot,
        history: History,
        versions: Mapping[str, str],
        **wishes: Any,
    ) -> Plan:
        last = history.baseline
        return make_plan(
            self._access.instance,
            self._access.backend.name,
            app,
            manifest,
            snapshot,
            self._predict(manifest, snapshot, last),
            last,
            versions,
            capabilities=self._access.capabilities,
            held=history.held() if self._keeps_earlier(app) else (),
            by_hand=history.scaled_by_hand(),
            **wishes,
        )

    def _keeps_earlier(self, app: Application | None) -> bool:
        """Whether what earlier releases name stays: not when everything goes."""
        content_named = self._access.capabilities.limits.get("content_named")
        return app is not None and bool(content_named)

    def _predict(self, manifest: Manifest, snapshot: Snapshot, last: Release | None) -> Snapshot:
        from orch.backend.contract import SupportsPredict

        if isinstance(self._access.backend, SupportsPredict):
            backend: SupportsPredict = self._access.backend
            return self._access.tried(lambda: backend.predict(manifest, snapshot))
        return predict(manifest, snapshot, self._access.capabilities, last)

    def _obey_policies(self, app: Application, manifest: Manifest) -> tuple[Diagnostic, ...]:
        found: list[Diagnostic] = []
        for policy in self._policies:
            found += policy.check(app, manifest)
        refuse_problems(found)
        return tuple(found)

    def _versions(
        self, app: Application, manifest: Manifest, keep: Mapping[str, str] = EMPTY
    ) -> dict[str, str]:
        named = {name: None for resource in manifest.resources for name in resource.secrets}
        document = document_of(app) if named else EMPTY
        kept = {name: keep[name] for name in named if name in keep}
        unknown = [name for name in named if name not in kept]
        return kept | self._access.clean(lambda: self._access.secrets.versions(document, unknown))

    # -- carrying out ----------------------------------------------------------------------

    def apply(
        self,
        plan: Plan,
        *,
        on_event: Callable[[Event], None] = _ignore,
        timeout: float | None = None,
        cancel: threading.Event | None = None,
        rollback: bool = True,
        wait: bool = True,
        concurrency: int = 8,
        lock_wait: float = 0,
    ) -> Outcome:
        """Carry a plan out, record it as a release, and return to the last good one on failure.

        `timeout` and `lock_wait` are seconds; setting `cancel` ends it cleanly. Nothing was done
        when it raises: StalePlan when what the plan rests on moved, Locked when somebody else
        deploys, UsageFault for a plan of another target, Unreachable or Denied.
        """
        self._check_target(plan)
        order = Order(on_event, timeout, cancel or threading.Event(), rollback, wait, concurrency)
        access = self._access
        with locked(
            access.store, access.who, wait=lock_wait, ttl=self._lock_ttl, sleep=access.sleep
        ) as lock:
            history = self._access.history()
            self._check_history(plan, history)
            self._check_secrets(plan)
            last = history.baseline
            snapshot = self._access.observe(self._manifest_to_check(plan, last))
            plan = refreshed(plan, snapshot, self._access.capabilities, last)
            unfinished = not is_finished(history.latest)
            if not plan.pending and not (unfinished and plan.document):
                return self._unchanged(plan, history, snapshot)
            deployment = Deployment(
                self._access, plan, history, order, lock.lost, verify=unfinished
            )
            return self._access.clean(deployment.run)

    def _manifest_to_check(self, plan: Plan, last: Release | None) -> Manifest:
        """What the plan wants, and by name whatever it removes."""
        wanted = manifest_of(plan)
        known = {resource.id for resource in wanted.resources}
        going = {action.id for action in plan.actions if action.body is None} - known
        if not last or not going:
            return wanted
        leaving = recorded(
            plan.instance.name, plan.backend, [i for i in last.inventory if i.id in going]
        )
        return replace(wanted, resources=wanted.resources + leaving.resources)

    def _check_target(self, plan: Plan) -> None:
        if plan.instance != self._access.instance or plan.backend != self._access.backend.name:
            raise UsageFault(
                f"this plan is for {plan.instance} on {plan.backend}, and this is "
                f"{self._access.instance} on {self._access.backend.name}",
                mend="choose the target that the plan was made for, or plan again",
            )

    def _check_history(self, plan: Plan, history: History) -> None:
        newer = [history.release(n) for n in history.numbers if n > plan.base_revision]
        check_history(plan, newer)

    def _check_secrets(self, plan: Plan) -> None:
        """Read again what was read for the plan, also what it leaves as it is."""
        if plan.reason != "deploy":
            return  # it rests on versions that the target holds
        reader = self._access.secrets
        read = self._access.clean(lambda: reader.versions(plan.document, plan.versions))
        for name, version in read.items():
            if version != plan.versions[name]:
                raise secret_changed(name)

    def _unchanged(self, plan: Plan, history: History, snapshot: Snapshot) -> Outcome:
        if not plan.document and not _ours(snapshot, self._access.instance):
            releases.forget_all(self._access.store)
        number = history.latest.number if history.latest else 0
        return Outcome(Verdict.UNCHANGED, number, message="everything is as wanted")

    # -- looking ---------------------------------------------------------------------------

    def redacted(self, text: str) -> str:
        """The text without any secret value that this session has read."""
        return self._access.redactor.text(text)

    def releases(self) -> tuple[Release, ...]:
        """Every release that is kept, newest first."""
        return tuple(self._access.history())

    def status(self) -> Status:
        """Services, replicas and health as they are now; what is not there is not healthy.

        The revision is that of the release that stands, though it may have changed no service.
        """
        return self._with_revision(self._seen())

    def _seen(self) -> Status:
        seen = self._access.tried(lambda: self._access.backend.status(self._access.instance))
        return seen if seen.services or seen.revision else replace(seen, healthy=False)

    def _with_revision(self, seen: Status) -> Status:
        access = self._access
        standing = access.tried(lambda: access.history().standing) if seen.services else None
        return seen if standing is None else replace(seen, revision=standing.number)

    def drift(self) -> tuple[Drift, ...]:
        """What somebody else changed or removed since the last deploy. Raises UsageFault."""
        last = self._need_latest()
        snapshot = self._access.observe(self._recorded_manifest(last))
        return drift_of(last, snapshot, self._access.capabilities)

    def wait(
        self,
        *,
        services: Sequence[str] = (),
        condition: str = "healthy",
        timeout: float | None = None,
        on_event: Callable[[Event], None] = _ignore,
        cancel: threading.Event | None = None,
    ) -> Status:
        """Wait until services are healthy, completed or gone. Raises TimedOut, RolloutFailed."""
        awaited = Awaited(tuple(services), condition, timeout, cancel or threading.Event())
        return self._with_revision(wait_for(self._seen, awaited, on_event, self._access.clock))

    def unlock(self) -> str:
        """Break whatever lock there is, and give its holder; empty when there was none."""
        return self._access.store.break_lock()

    # -- shared --------------------------------------------------------------------------------

    def _need_latest(self) -> Release:
        latest = self._access.history().baseline
        if latest is None or not latest.document:
            raise UsageFault(
                "nothing is deployed here",
                place=str(self._access.instance),
                mend="run `orch deploy`",
            )
        return latest

    def _recorded_manifest(self, release: Release | None) -> Manifest | None:
        """What a release left behind, to observe by."""
        if release is None:
            return None
        access = self._access
        return recorded(access.instance.name, access.backend.name, release.inventory)


def _versioned(manifest: Manifest, versions: Mapping[str, str]) -> Manifest:
    """The manifest with versions of secrets in the place of their tokens."""
    external: dict[str, str] = {}

    def substituted(resource: Resource) -> Resource:
        if not resource.secrets:
            return resource
        known = {**external, **dict.fromkeys(resource.secrets, "external"), **versions}
        return replace(
            resource,
            name=with_versions(resource.name, known),
            body=with_versions(resource.body, known),
        )

    return replace(manifest, resources=tuple(substituted(r) for r in manifest.resources))


def _ours(snapshot: Snapshot, instance: Instance) -> bool:
    return any(live.owner == instance for live in snapshot.objects.values())
