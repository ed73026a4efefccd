"""One step, carried out in a thread of its own; all that it has to say goes into a queue."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orch.apply.retry import retrying
from orch.compile.compile import OTHER_APP
from orch.errors import TimedOut
from orch.frozen import EMPTY
from orch.types import Condition, Event, EventKind, Instance, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from queue import SimpleQueue

    from orch.backend.contract import Backend
    from orch.types import Action, Dependency, Status

    Message = tuple["Step", Event | BaseException | None]

POLL = 1.0


@dataclass(slots=True)
class Step:
    """An action under way. Once `stop` is set, it ends before it watches any further."""

    action: Action
    watch: bool
    started: float
    quiet_limit: float
    stop: threading.Event = field(default_factory=threading.Event)
    applied: bool = False
    waits: bool = False
    heard: float = 0.0
    last: Mapping[str, object] = EMPTY
    said: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything is sent to the target."""
        return self.action.operation is not Operation.NOOP


@dataclass(frozen=True, slots=True)
class Worker:
    """Carries out steps on one backend. `values` reads the secrets that an action sends.

    `wait` says that how the target takes what it was sent is to be told, too.
    """

    backend: Backend
    queue: SimpleQueue[Message]
    values: Callable[[Action], Mapping[str, bytes]]
    sleep: Callable[[float], None]
    wait: bool = True

    def start(self, step: Step) -> None:
        """Begin a step in a thread; its last message is None, or the fault that ended it."""
        name = f"step {step.action.id}"
        threading.Thread(target=self._run, args=(step,), name=name, daemon=True).start()

    def _run(self, step: Step) -> None:
        try:
            self._await_other_apps(step)
            if step.changes:
                retrying(lambda: self._apply(step), self.sleep)
            self._say(step, Event(EventKind.APPLIED, step.action.id))
            if step.watch:
                retrying(lambda: self._watch(step), self.sleep)
            self.queue.put((step, None))
        except BaseException as fault:  # noqa: BLE001  (a thread's fault is judged by its master)
            self.queue.put((step, fault))

    def _apply(self, step: Step) -> None:
        action = replace(step.action, secrets=self.values(step.action))
        for event in self.backend.apply(action):
            if event.kind is not EventKind.APPLIED:
                self._say(step, event)
            elif not self.wait:
                return

    def _watch(self, step: Step) -> None:
        for event in self.backend.rollout(step.action):
            self._say(step, event)
            if step.stop.is_set():
                return

    def _say(self, step: Step, event: Event) -> None:
        self.queue.put((step, event))

    def _await_other_apps(self, step: Step) -> None:
        for dependency in step.action.after:
            if dependency.id.startswith(OTHER_APP):
                self._await_other_app(step, dependency)

    def _await_other_app(self, step: Step, dependency: Dependency) -> None:
        app, _, service = dependency.id.removeprefix(OTHER_APP).partition("/")
        here = step.action.instance
        if here is None:
            return
        other = Instance(here.target, here.namespace, app)
        until = time.monotonic() + step.quiet_limit
        while not _stands(self.backend.status(other), service, dependency.condition):
            if time.monotonic() > until and dependency.required:
                raise TimedOut(
                    f"{app}/{service} is not {dependency.condition}",
                    place=step.action.id,
                    mend=f"deploy {app} first",
                )
            if step.stop.wait(POLL) or time.monotonic() > until:
                return


def _stands(status: Status, name: str, condition: Condition) -> bool:
    for service in status.services:
        if service.name == name:
            return service.healthy or (condition is not Condition.HEALTHY and service.updated > 0)
    return False
