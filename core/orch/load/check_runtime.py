"""What is asked of the platform makes sense by itself: sizes, schedules, placement."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from orch.load.hints import nearest
from orch.spec.constraint import ConstraintFault, parse_constraint
from orch.types import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orch.spec.application import Application, Job, Service
    from orch.spec.container import Container, Resources
    from orch.spec.deploy import Autoscale
    from orch.types import FieldPath


def check(app: Application) -> Iterator[Diagnostic]:
    """Faults of sizes, schedules, constraints and of parts that have nothing to run."""
    for name, service in app.services.items():
        path: FieldPath = ("services", name)
        deploy = service.deploy
        yield from _runs(service, path)
        yield from _size(service, path)
        if deploy.resources is not None:
            yield from _resources(deploy.resources, (*path, "deploy", "resources"))
        if deploy.placement is not None:
            here = (*path, "deploy", "placement", "constraints")
            yield from _constraints(deploy.placement.constraints, here)
    for name, job in app.jobs.items():
        yield from _job(job, ("jobs", name))


# -- what runs -----------------------------------------------------------------------------


def _runs(part: Any, path: FieldPath) -> Iterator[Diagnostic]:
    if not _has_program(part):
        yield _nothing_to_run(path)
    for number, init in enumerate(part.pre_start):
        if not _has_program(init):
            yield _nothing_to_run((*path, "pre_start", number))
    for name, sidecar in part.sidecars.items():
        if not _has_program(sidecar):
            yield _nothing_to_run((*path, "sidecars", name))
    if part.resources is not None and hasattr(part, "deploy"):
        fault = "a service says its resources under `deploy`"
        mend = "move them to `deploy: {resources: …}`"
        yield Diagnostic(fault, (*path, "resources"), mend=mend)


def _has_program(container: Container) -> bool:
    return bool(
        container.image is not None
        or container.build is not None
        or container.command
        or container.entrypoint
    )


def _nothing_to_run(path: FieldPath) -> Diagnostic:
    mend = "write `image`, or `command` for a plain process of the host"
    return Diagnostic("there is nothing to run", path, mend=mend)


def _resources(resources: Resources, path: FieldPath) -> Iterator[Diagnostic]:
    limits, reservations = resources.limits, resources.reservations
    if limits is None or reservations is None:
        return
    for key in ("cpus", "memory", "ephemeral_storage"):
        most, least = getattr(limits, key), getattr(reservations, key)
        if most is not None and least is not None and least > most:
            fault = f"{least} is set aside, and the limit is {most}"
            here = (*path, "reservations", key)
            yield Diagnostic(fault, here, mend="lower it, or raise the limit")


# -- size ----------------------------------------------------------------------------------


def _size(service: Service, path: FieldPath) -> Iterator[Diagnostic]:
    deploy, autoscale = service.deploy, service.autoscale
    here = (*path, "deploy", "replicas")
    authored = "replicas" in deploy.model_fields_set
    if deploy.mode == "global" and authored:
        yield Diagnostic("mode global runs one replica on every node", here, mend="remove it")
    if autoscale is None:
        return
    if deploy.mode == "global":
        fault = "a service of mode global does not follow the load"
        yield Diagnostic(fault, (*path, "autoscale"), mend="remove it, or `mode: global`")
    elif authored and not autoscale.min <= deploy.replicas <= autoscale.max:
        fault = f"{deploy.replicas} is outside autoscale's {autoscale.min} to {autoscale.max}"
        yield Diagnostic(fault, here, mend="move it between them, or remove it")
    yield from _autoscale(autoscale, (*path, "autoscale"))


def _autoscale(autoscale: Autoscale, path: FieldPath) -> Iterator[Diagnostic]:
    if not autoscale.metrics and not autoscale.schedules:
        yield Diagnostic("there is nothing to follow", path, mend="add `metrics` or `schedules`")
    for number, bounds in enumerate(autoscale.schedules):
        here = (*path, "schedules", number)
        yield from _schedule(bounds.schedule, bounds.time_zone, here)
        if bounds.max is not None and bounds.min > bounds.max:
            fault = f"min {bounds.min} is above max {bounds.max}"
            yield Diagnostic(fault, here, mend="swap them")


# -- jobs ----------------------------------------------------------------------------------


def _job(job: Job, path: FieldPath) -> Iterator[Diagnostic]:
    yield from _runs(job, path)
    if job.schedule is not None:
        yield from _schedule(job.schedule, job.time_zone, path)
    if job.resources is not None:
        yield from _resources(job.resources, (*path, "resources"))
    if job.placement is not None:
        yield from _constraints(job.placement.constraints, (*path, "placement", "constraints"))


def _schedule(expression: str, zone: str, path: FieldPath) -> Iterator[Diagnostic]:
    reason = _cron_fault(expression)
    if reason:
        fault = f"{expression!r} is not a cron expression: {reason}"
        mend = "write minute, hour, day, month and weekday, such as 0 3 * * *"
        yield Diagnostic(fault, (*path, "schedule"), mend=mend)
    if not _is_zone(zone):
        near = nearest(zone, _zones())
        mend = f"did you mean {near}?" if near else "write an IANA name such as Europe/Berlin"
        yield Diagnostic(f"there is no time zone {zone!r}", (*path, "time_zone"), mend=mend)


@cache
def _cron_fault(expression: str) -> str:
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as fault:
        return str(fault).lower()
    except StopIteration:
        return "that moment never comes"
    return ""


@cache
def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


@cache
def _zones() -> tuple[str, ...]:
    from zoneinfo import available_timezones

    return tuple(sorted(available_timezones()))


# -- placement -----------------------------------------------------------------------------


def _constraints(constraints: Iterable[str], path: FieldPath) -> Iterator[Diagnostic]:
    for number, text in enumerate(constraints):
        try:
            parse_constraint(text)
        except ConstraintFault as found:
            yield Diagnostic(found.fault, (*path, number), mend=found.mend)
