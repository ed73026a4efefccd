"""Jobs by the clock: their labels, and the service that heeds them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from orch.types import Fidelity
from orch_swarm import cron, generated, scheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.compile.builder import ManifestBuilder, ResourceBuilder
    from orch.compile.view import Read, View
    from orch.spec.application import Application
    from orch_swarm.references import References

NAME = "orch-cron"
IMAGE = "python:3.13-alpine"
"""Any image with python3, from 3.11, and time zones will do."""
BY_CLOCK = "a scheduler service on a manager starts each run as a job of its own"
NEWEST = "the scheduler service keeps the newest run until the next one"
NOTE = (
    f"{NAME} starts what has a schedule: it runs on a manager with the engine's socket, so who "
    "controls it or its image controls the swarm; images that need a login need it in `registries`"
)
_FOLDER = "/orch"
_PROGRAM = ("cron", "scheduler")
_LABELS: Mapping[str, str] = {
    "schedule": cron.SCHEDULE,
    "time_zone": cron.ZONE,
    "concurrency": cron.CONCURRENCY,
    "completions": cron.COMPLETIONS,
    "starting_deadline": cron.STARTING_DEADLINE,
    "suspend": cron.SUSPEND,
    "timeout": cron.TIMEOUT,
}


def write_schedule(resource: ResourceBuilder, view: View) -> None:
    """What the scheduler reads of a job, as labels of it."""
    for name, label in _LABELS.items():
        _label(resource, label, view.field(name), Fidelity.EMULATED, BY_CLOCK)
    when = json.dumps(calendar_of(view.value.schedule), separators=(",", ":"))
    resource.set(("Labels", cron.CALENDAR), when)
    kept = ((cron.KEEP_SUCCEEDED, "succeeded"), (cron.KEEP_FAILED, "failed"))
    for label, name in kept:
        _label(resource, label, view.history.field(name), Fidelity.EMULATED, NEWEST)
    _label(resource, cron.TTL, view.ttl, Fidelity.DEGRADED, NEWEST)


def _label(
    resource: ResourceBuilder, label: str, read: Read | None, outcome: Fidelity, reason: str
) -> None:
    if read is not None:
        said = json.dumps(read.value) if isinstance(read.value, bool) else str(read.value)
        resource.put(("Labels", label), read, value=said, outcome=outcome, reason=reason)


def calendar_of(schedule: str) -> dict[str, Any]:
    """A cron expression, which loading has checked, as the scheduler's `Calendar`."""
    from datetime import UTC, datetime

    from cronsim import CronSim

    found = CronSim(schedule, datetime(2024, 1, 1, tzinfo=UTC))
    parts = schedule.split()
    at_a_time = len(parts) == 5 and not parts[0].startswith("*") and not parts[1].startswith("*")  # noqa: PLR2004
    nth = [list(item) for item in found.weekdays if isinstance(item, tuple)]
    plain = [item for item in found.weekdays if isinstance(item, int)]
    return {
        "seconds": sorted(found.seconds),
        "minutes": sorted(found.minutes),
        "hours": sorted(found.hours),
        "days": sorted(found.days),
        "months": sorted(found.months),
        "weekdays": [*sorted(plain), *sorted(nth)],
        "both": found.day_and,
        "fixed": at_a_time,
    }


def scheduler_service(
    make: ManifestBuilder, app: Application, refs: References, settings: Mapping[str, str]
) -> None:
    """The service that starts the application's runs, when any job has a schedule."""
    scheduled = [name for name, job in app.jobs.items() if job.schedule is not None]
    if not scheduled:
        return
    body = _body(settings.get("scheduler_image") or IMAGE, settings.get("socket"))
    resource = generated.service(make, app, NAME, body)
    for part in _PROGRAM:
        text = files("orch_swarm").joinpath(f"{part}.py").read_text(encoding="utf-8")
        config = generated.config(make, f"{NAME}-{part}", text)
        generated.mount(resource, config, f"{_FOLDER}/orch_swarm/{part}.py")
    for name in scheduled:
        resource.depend(f"job/{name}")
        image = app.jobs[name].image
        login = app.registries.get(image.registry) if image is not None else None
        if login is not None:
            generated.mount_secret(resource, app, refs, login.password.secret)
    make.note(NOTE)


def _body(image: str, socket: str | None) -> dict[str, Any]:
    return {
        "Container": {
            "Image": image,
            "Command": ["python3", "-m", "orch_swarm.scheduler"],
            "Env": {
                "PYTHONPATH": _FOLDER,
                "PYTHONDONTWRITEBYTECODE": "1",
                scheduler.SELF: "{{.Service.ID}}",
            },
            "ReadOnly": True,
            "CapabilityDrop": ["ALL"],
            "Mounts": {
                scheduler.SOCKET: {
                    "Type": "bind",
                    "Source": socket or scheduler.SOCKET,
                    "Target": scheduler.SOCKET,
                }
            },
        },
        "Mode": "replicated",
        "Replicas": 1,
        "Placement": {"Constraints": ["node.role==manager"]},
    }
