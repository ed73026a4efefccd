"""What a service's or job's body says about pace, size and retries, as plain numbers.

Times are seconds. Bodies are in the spec's canonical long form and were validated by its models.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from orch.spec.application import Job, Service
from orch.spec.deploy import RollbackConfig, UpdateConfig
from orch.spec.units import Duration
from orch_native.messages import without_extras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orch.spec.deploy import RollConfig

DRAIN = 1.0
"""How long a replica gets no new traffic before it is told to stop, in seconds."""

RETAIN = 600.0
"""How long a replaced replica of a service is kept for its logs, in seconds."""

_STEERING = frozenset({"depends_on", "autoscale", "profiles", "formerly", "overrides"})
_DEPLOY_STEERING = frozenset(
    {
        "replicas",
        "ordered",
        "update_config",
        "rollback_config",
        "disruption",
        "priority",
        "on_partition",
        "labels",
        "endpoint_mode",
        "mode",
    }
)
_JOB_STEERING = frozenset(
    {"schedule", "time_zone", "concurrency", "starting_deadline", "suspend", "history", "ttl"}
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast replicas are changed; `parallelism` 0 is all at once."""

    parallelism: int
    delay: float
    start_first: bool
    monitor: float
    max_failure_ratio: float
    failure_action: str
    canary: int = 0
    promote: str = "auto"
    deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """How a service is kept."""

    everywhere: bool
    replicas: int
    ordered: bool
    update: Pace
    rollback: Pace
    restart_condition: str
    drain: float


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How a job is run. `backoff` is the pause after the first failure; it doubles."""

    schedule: str | None
    time_zone: str
    concurrency: str
    starting_deadline: float | None
    suspend: bool
    backoff_limit: int
    backoff: float
    timeout: float | None
    completions: int
    parallelism: int
    keep_succeeded: int
    keep_failed: int
    ttl: float | None


def service_policy(body: Mapping[str, Any]) -> ServicePolicy:
    """Raises pydantic's ValidationError for a body that is no service."""
    return _service_policy(json.dumps(body, sort_keys=True))


def job_policy(body: Mapping[str, Any]) -> JobPolicy:
    """Raises pydantic's ValidationError for a body that is no job."""
    return _job_policy(json.dumps(body, sort_keys=True))


@lru_cache(maxsize=4096)
def _service_policy(text: str) -> ServicePolicy:
    service = Service.model_validate(without_extras(json.loads(text)))
    deploy = service.deploy
    update = deploy.update_config or UpdateConfig()
    rollback = deploy.rollback_config or RollbackConfig()
    restart = deploy.restart_policy
    return ServicePolicy(
        everywhere=deploy.mode == "global",
        replicas=deploy.replicas,
        ordered=deploy.ordered,
        update=_pace(
            update,
            failure_action=update.failure_action,
            canary=update.canary,
            promote=update.promote,
            deadline=update.progress_deadline.seconds,
        ),
        rollback=_pace(
            rollback,
            failure_action=rollback.failure_action,
            deadline=update.progress_deadline.seconds,
        ),
        restart_condition=restart.condition if restart else "any",
        drain=_drain(service),
    )


def _drain(service: Service) -> float:
    own = service.overrides.get("native", {}).get("drain")
    if own is not None:
        return Duration.parse(own).seconds
    return DRAIN if service.ports else 0.0


def _pace(config: RollConfig, **more: Any) -> Pace:
    return Pace(
        parallelism=config.parallelism,
        delay=config.delay.seconds,
        start_first=config.order == "start-first",
        monitor=config.monitor.seconds,
        max_failure_ratio=config.max_failure_ratio,
        **more,
    )


@lru_cache(maxsize=4096)
def _job_policy(text: str) -> JobPolicy:
    job = Job.model_validate(without_extras(json.loads(text)))
    deadline = job.starting_deadline
    return JobPolicy(
        schedule=job.schedule,
        time_zone=job.time_zone,
        concurrency=job.concurrency,
        starting_deadline=deadline.seconds if deadline is not None else None,
        suspend=job.suspend,
        backoff_limit=job.backoff_limit,
        backoff=job.restart_policy.delay.seconds if job.restart_policy else 1.0,
        timeout=job.timeout.seconds if job.timeout is not None else None,
        completions=job.completions,
        parallelism=job.parallelism,
        keep_succeeded=job.history.succeeded,
        keep_failed=job.history.failed,
        ttl=job.ttl.seconds if job.ttl is not None else None,
    )


def fingerprint(kind: str, body: Mapping[str, Any], pins: Mapping[str, str]) -> str:
    """A digest of what a replica is made from: equal for bodies that need no new replicas."""
    made = _job_template(body) if kind == "job" else _service_template(body)
    # A job that is renamed has run all the same.
    held = {key: value for key, value in pins.items() if kind != "job" or key != "unit"}
    text = json.dumps([made, held], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _service_template(body: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in body.items() if key not in _STEERING}
    made["deploy"] = {
        key: value for key, value in body.get("deploy", {}).items() if key not in _DEPLOY_STEERING
    }
    made["ports"] = [_port_template(port) for port in body.get("ports", ())]
    return made


def _port_template(port: Mapping[str, Any]) -> dict[str, Any]:
    """An ingress port is opened by the node's proxy, so opening it elsewhere needs no restart."""
    if port.get("mode") == "host":
        return dict(port)
    return {key: port[key] for key in ("name", "target", "protocol") if key in port}


def _job_template(body: Mapping[str, Any]) -> dict[str, Any]:
    dropped = _STEERING | _JOB_STEERING
    made = {key: value for key, value in body.items() if key not in dropped}
    # A schedule that comes or goes turns a job that runs now into one that does not.
    made["scheduled"] = bool(body.get("schedule"))
    return made


def containers(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The main container, its init containers and its sidecars."""
    yield body
    yield from body.get("pre_start", ())
    yield from body.get("sidecars", {}).values()


def ports_of(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Ports of a service and of what runs beside it, with their field paths."""
    beside = body.get("sidecars", {}).items()
    for at, part in (("", body), *((f"sidecars.{name}.", part) for name, part in beside)):
        for number, port in enumerate(part.get("ports", ())):
            yield f"{at}ports[{number}]", port


def file_names(body: Mapping[str, Any], kind: str) -> set[str]:
    """Names of the `configs` or `secrets` that a unit mounts as files."""
    return {mount["source"] for part in containers(body) for mount in part.get(kind, ())}


def variable_secrets(body: Mapping[str, Any]) -> set[str]:
    """Names of the secrets that a unit gets as variables."""
    return {
        value["secret"]
        for part in containers(body)
        for value in part.get("environment", {}).values()
        if isinstance(value, dict)
    }


def volume_names(body: Mapping[str, Any]) -> set[str]:
    """Names of the volumes that a unit mounts."""
    return {
        mount["source"]
        for part in containers(body)
        for mount in part.get("volumes", ())
        if mount["type"] == "volume"
    }
