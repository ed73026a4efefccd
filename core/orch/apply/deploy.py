"""From a plan that stands to an outcome: record, execute, return on failure, record the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orch.apply import releases
from orch.apply.demands import Demands
from orch.apply.executor import Result, Terms, execute
from orch.apply.inventory import intended, standing
from orch.apply.rollback import steps_back
from orch.apply.verdict import Ending, failure_text, interruption_text, left_over
from orch.apply.waiting import Awaited, wait_for
from orch.errors import Conflict, Denied, Locked, OrchError, StalePlan, Transient, Unreachable
from orch.plan.stale import manifest_of, recorded
from orch.types import Event, Operation, Outcome, Release, Verdict
from orch.version import __version__

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from orch.apply.access import Access
    from orch.apply.lock import Loss
    from orch.apply.releases import History
    from orch.types import Action, InventoryItem, Manifest, Plan


_SENDS_NOTHING = (Operation.DELETE, Operation.RESTART, Operation.RETRY)


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller of an apply asked for; `timeout` in seconds, None for no end."""

    on_event: Callable[[Event], None]
    timeout: float | None
    cancel: threading.Event
    rollback: bool
    wait: bool
    concurrency: int


class Deployment:
    """One attempt to carry a plan out, under a lock. `verify` looks at what is as wanted too."""

    def __init__(
        self,
        access: Access,
        plan: Plan,
        history: History,
        order: Order,
        lost: Loss,
        *,
        verify: bool,
    ) -> None:
        self._access, self._history, self._order = access, history, order
        self._lost, self._verify = lost, verify
        self._number = (history.numbers[0] if history.numbers else 0) + 1
        self._plan = _renumbered(plan, self._number)
        self._demands = Demands(plan.document)
        last = history.baseline
        self._earlier = {item.id: item for item in last.inventory} if last else {}

    def run(self) -> Outcome:
        """Raises StalePlan, Locked, Unreachable, Denied or Conflict while nothing was done yet."""
        release = self._begin()
        deadline = time.monotonic() + self._order.timeout if self._order.timeout else None
        result = execute(self._plan.actions, self._terms(self._plan, deadline=deadline))
        ending = self._conclude(result)
        self._finish(release, result, ending)
        self._raise_if_nothing_was_done(result)
        return ending.outcome

    # -- the record ------------------------------------------------------------------------

    def _begin(self) -> Release:
        release = Release(
            self._plan.instance,
            self._number,
            self._plan.document,
            intended(self._plan.actions, self._earlier),
            self._access.who,
            self._access.clock(),
            self._plan.summary,
            self._plan.reason,
            versions=self._plan.versions,
            orch_version=__version__,
            plan=self._plan.fingerprint,
        )
        self._access.tried(lambda: releases.begin(self._access.store, release))
        return release

    def _finish(self, release: Release, result: Result, ending: Ending) -> None:
        """Record the end. A target that does not answer any more leaves it open: cut off."""
        if self._lost.is_set():
            return
        try:
            inventory = self._standing(result, ending)
            if not inventory and not self._plan.document and ending.outcome.exit_code == 0:
                releases.forget_all(self._access.store)
                return
            verdict, message = ending.outcome.verdict, ending.outcome.message
            releases.finish(self._access.store, release, verdict, message, inventory)
            releases.forget_old(self._access.store)
            self._access.forget_secrets(self._access.history().secret_versions())
        except OrchError:
            if ending.outcome.exit_code == 0:
                raise

    def _standing(self, result: Result, ending: Ending) -> tuple[InventoryItem, ...]:
        manifest = manifest_of(self._plan)
        snapshot = self._access.observe(manifest)
        untouched = {a.id for a in self._plan.pending} - set(result.touched)
        if not ending.returned:
            return standing(self._plan.actions, self._earlier, snapshot, untouched)
        good = self._history.last_good
        items = {item.id: item for item in good.inventory} if good else {}
        kept = [a for a in self._plan.actions if a.id not in ending.returned]
        return standing(kept, {**self._earlier, **items}, snapshot, untouched)

    # -- the work --------------------------------------------------------------------------

    def _terms(self, plan: Plan, *, deadline: float | None) -> Terms:
        return Terms(
            self._access.backend,
            self._order.on_event,
            lambda action: self._values(action, plan.document, plan.versions),
            self._access.redactor,
            self._demands.patience,
            self._demands.on_failure,
            self._order.cancel,
            self._lost,
            self._access.clock,
            self._access.sleep,
            deadline=deadline,
            wait=self._order.wait,
            verify=self._verify,
            concurrency=self._order.concurrency,
        )

    def _values(
        self, action: Action, document: Mapping[str, Any], versions: Mapping[str, str]
    ) -> dict[str, bytes]:
        if not action.sends or action.operation in _SENDS_NOTHING:
            return {}
        held = self._access.held_secrets()
        names = [n for n in action.sends if versions.get(n) not in held.get(n, ())]
        return self._access.secrets.values(document, names, versions)

    # -- the end ---------------------------------------------------------------------------

    def _conclude(self, result: Result) -> Ending:
        if result.failed and self._should_return(result):
            return self._roll_back(result)
        return Ending(self._outcome(_verdict(result), result))

    def _should_return(self, result: Result) -> bool:
        return (
            self._order.rollback
            and result.action_needed == "rollback"
            and bool(result.touched)
            and not (result.interrupted or result.timed_out or result.lost)
            and not any(isinstance(c, Unreachable) for c in result.causes.values())
            and self._changed_anything(result)
        )

    def _changed_anything(self, result: Result) -> bool:
        """A mere retry changed nothing that could be returned."""
        retried = {a.id for a in self._plan.actions if a.operation is Operation.RETRY}
        return not retried.issuperset(result.touched)

    def _roll_back(self, result: Result) -> Ending:
        good = self._history.last_good
        if good is None or not good.document:
            return Ending(
                self._outcome(_verdict(result), result, "there is no earlier release to return to")
            )
        try:
            return self._return_to(good, result)
        except OrchError as fault:
            said = f"returning to release {good.number} failed too: {fault}"
            return Ending(self._outcome(Verdict.FAILED, result, said))

    def _return_to(self, good: Release, result: Result) -> Ending:
        self._tell(f"returning to release {good.number}")
        snapshot = self._access.observe(self._all_known(good))
        way = steps_back(
            self._plan.instance,
            self._plan.actions,
            result,
            good,
            snapshot,
            self._demands,
            self._number,
            self._access.held_secrets(),
        )
        back = replace(self._plan, document=good.document, versions=good.versions)
        again = execute(way.actions, replace(self._terms(back, deadline=None), verify=False))
        unhealthy = again.failed or again.cut or again.not_started
        if not unhealthy:
            self._await(way.await_health)
        said = f"everything that changed is back at release {good.number}"
        if way.kept:
            said += f"; what stays: {', '.join(way.kept)}"
        if unhealthy:
            said = f"returning to release {good.number} failed too: {failure_text(again)}"
            return Ending(self._outcome(Verdict.FAILED, result, said))
        returned = frozenset(action.id for action in way.actions)
        return Ending(self._outcome(Verdict.ROLLED_BACK, result, said), returned)

    def _all_known(self, good: Release) -> Manifest:
        """Everything that this plan or a good release names, to observe by."""
        items = {item.id: item for item in good.inventory}
        new = [a for a in self._plan.actions if a.body is not None and a.id not in items]
        return recorded(self._plan.instance.name, self._plan.backend, [*items.values(), *new])

    def _await(self, names: Sequence[str]) -> None:
        """Services that the platform itself rolled back have no rollout of ours to watch."""
        if names:
            patience = max(self._demands.patience(a) for a in self._plan.actions)
            awaited = Awaited(tuple(names), "healthy", patience, self._order.cancel)
            access = self._access
            wait_for(
                lambda: access.backend.status(access.instance),
                awaited,
                self._order.on_event,
                access.clock,
            )

    def _tell(self, message: str) -> None:
        from orch.types import EventKind

        event = Event(EventKind.WARNING, str(self._plan.instance), message, self._access.clock())
        self._order.on_event(event)

    def _outcome(self, verdict: Verdict, result: Result, more: str = "") -> Outcome:
        parts = [failure_text(result), interruption_text(result, verdict), more]
        if verdict is Verdict.DONE:
            parts = [f"release {self._number}: {self._plan.summary}"]
        return Outcome(
            verdict,
            self._number,
            tuple(result.done),
            dict(result.failed),
            left_over(result, self._plan),
            "; ".join(part for part in parts if part),
            unreachable=_is_out_of_reach(result),
        )

    def _raise_if_nothing_was_done(self, result: Result) -> None:
        """Where not even the first step could be made, the fault itself says it best."""
        if result.lost:
            raise self._lock_fault(interruption_text(result, Verdict.INTERRUPTED))
        changed = {*result.done, *result.cut}.intersection(result.touched)
        if changed or len(result.failed) != len(result.touched):
            return
        for cause in result.causes.values():
            if isinstance(cause, StalePlan | Unreachable | Denied | Conflict):
                raise cause

    def _lock_fault(self, undone: str) -> OrchError:
        why = self._lost.fault
        if isinstance(why, Unreachable | Transient):
            said = "the lock could not be renewed, so nothing more was started"
            return Unreachable(f"{why.fault}; {said}: {undone}", place=why.place, mend=why.mend)
        return Locked(
            f"the lock was lost while this deploy went on: {self._lost.reason}; "
            f"nothing more was started: {undone}",
            place=str(self._plan.instance),
            mend="`orch history` tells whether somebody else deploys",
        )


def _renumbered(plan: Plan, number: int) -> Plan:
    actions = tuple(
        action if action.operation is Operation.NOOP else replace(action, revision=number)
        for action in plan.actions
    )
    return replace(plan, actions=actions)


def _is_out_of_reach(result: Result) -> bool:
    """Whether nothing failed but the connection to the target."""
    causes = [result.causes.get(id_) for id_ in result.failed]
    return bool(causes) and all(isinstance(cause, Unreachable | Transient) for cause in causes)


def _verdict(result: Result) -> Verdict:
    unfinished = bool(result.cut or result.not_started or result.failed)
    if result.interrupted and unfinished:
        return Verdict.INTERRUPTED
    if result.timed_out:
        return Verdict.TIMED_OUT
    if result.failed:
        from orch.errors import TimedOut

        late = all(isinstance(result.causes.get(id_), TimedOut) for id_ in result.failed)
        return Verdict.TIMED_OUT if late else Verdict.FAILED
    return Verdict.DONE
