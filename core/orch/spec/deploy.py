"""How a service is run: size, placement, resources, updates, scaling."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orch.frozen import EMPTY
from orch.spec.base import Count, Flag, Map, Model, Name, Positive, Scalar, Strings, Text
from orch.spec.container import Resources
from orch.spec.units import Duration

Ratio = Annotated[float, Field(ge=0, le=1)]


class SpreadPreference(Model):
    """Spread replicas evenly over the values of a node attribute."""

    spread: Text = Field(description="Attribute such as node.labels.zone.")


class Affinity(Model):
    """Near to, or away from, where another service runs."""

    service: Name = Field(description="The other service; its own name is allowed.")
    topology: Text = Field(default="node", description="`node`, or a label such as zone.")
    weight: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        default=50, description="Strength of the wish."
    )
    required: Flag = Field(default=False, description="A rule instead of a wish.")


class Toleration(Model):
    """Permission to run on nodes that carry a taint."""

    key: Text | None = Field(default=None, description="Key of the taint; none means every key.")
    value: Text | None = Field(default=None, description="Value of the taint; none means any.")
    effect: Literal["no_schedule", "prefer_no_schedule", "no_execute"] | None = Field(
        default=None, description="Effect that is tolerated; none means all."
    )
    seconds: Count | None = Field(
        default=None, description="How long a no_execute taint is tolerated."
    )


class Placement(Model):
    """Where replicas may and should run."""

    constraints: Strings = Field(
        default=(),
        description="Rules over node attributes, all of which must hold: `node.labels.NAME`, "
        "`node.attributes.NAME`, `engine.labels.NAME`, `node.hostname`, `node.id`, `node.ip`, "
        "`node.role`, `node.os` or `node.arch`, then `== web`, `!= web`, `=~ ^we`, `in (a, b)` or "
        "`not in (a, b)`.",
    )
    preferences: tuple[SpreadPreference, ...] = Field(default=(), description="Even spreading.")
    affinity: tuple[Affinity, ...] = Field(default=(), description="Near these services.")
    anti_affinity: tuple[Affinity, ...] = Field(default=(), description="Away from these.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints accepted.")
    max_replicas_per_node: Positive | None = Field(
        default=None, description="Most replicas of this service on one node."
    )


class RestartPolicy(Model):
    """What happens when a replica ends."""

    condition: Literal["none", "on-failure", "any"] = Field(
        default="any", description="Which ends are followed by a restart."
    )
    delay: Duration = Field(
        default=Duration(5_000), description="Pause before the first restart; it grows after that."
    )
    max_attempts: Count | None = Field(
        default=None, description="Restarts within the window before giving up; none is no bound."
    )
    window: Duration | None = Field(
        default=None, description="A replica that ran this long counts as started again."
    )


class RollConfig(Model):
    """The pace of a change over the replicas."""

    parallelism: Count = Field(default=1, description="Replicas changed at once; 0 is all.")
    delay: Duration = Field(default=Duration(0), description="Pause between batches.")
    order: Literal["stop-first", "start-first"] = Field(
        default="stop-first", description="Whether the new replica starts before the old one ends."
    )
    monitor: Duration = Field(
        default=Duration(5_000), description="How long a new replica is watched for failure."
    )
    max_failure_ratio: Ratio = Field(default=0.0, description="Share of replicas that may fail.")


class UpdateConfig(RollConfig):
    """How a new version replaces the old one."""

    failure_action: Literal["rollback", "pause", "continue"] = Field(
        default="rollback", description="What happens when too many new replicas fail."
    )
    canary: Count = Field(default=0, description="Replicas of the new version that go first.")
    promote: Literal["auto", "manual"] = Field(
        default="auto", description="Whether a healthy canary is promoted by itself."
    )
    progress_deadline: Duration = Field(
        default=Duration(600_000), description="Time in which each step must get healthy."
    )


class RollbackConfig(RollConfig):
    """How the old version comes back."""

    parallelism: Count = Field(default=0, description="Replicas changed at once; 0 is all.")
    failure_action: Literal["pause", "continue"] = Field(
        default="pause", description="What happens when the rollback fails too."
    )


class Disruption(Model):
    """How much voluntary disruption a service bears."""

    max_unavailable: Count | None = Field(default=None, description="Replicas that may be away.")
    min_available: Count | None = Field(default=None, description="Replicas that must stay.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.max_unavailable is not None and self.min_available is not None:
            msg = "max_unavailable and min_available exclude each other; keep one"
            raise ValueError(msg)
        return self


class Deploy(Model):
    """How a service is run."""

    mode: Literal["replicated", "global"] = Field(
        default="replicated", description="`global` runs one replica on every node."
    )
    replicas: Count = Field(default=1, description="Number of replicas.")
    ordered: Flag = Field(
        default=False, description="Start and stop replicas one after another, by index."
    )
    resources: Resources | None = Field(default=None, description="Needs and bounds.")
    placement: Placement | None = Field(default=None, description="Where replicas run.")
    restart_policy: RestartPolicy | None = Field(default=None, description="When one ends.")
    update_config: UpdateConfig | None = Field(default=None, description="Pace of an update.")
    rollback_config: RollbackConfig | None = Field(default=None, description="Pace of a rollback.")
    disruption: Disruption | None = Field(default=None, description="Voluntary disruption borne.")
    priority: Annotated[int, Field(ge=0, le=100, strict=True)] | None = Field(
        default=None, description="Higher is placed first and evicted last."
    )
    on_partition: Literal["replace", "wait", "stop"] = Field(
        default="replace", description="What becomes of a replica whose node went silent."
    )
    endpoint_mode: Literal["vip", "dnsrr"] = Field(
        default="vip", description="One stable address, or the replicas' own by DNS."
    )
    labels: Map[str, Scalar] = Field(
        default=EMPTY, description="Metadata on the service object, not on what runs."
    )


class Metric(Model):
    """A measure that the number of replicas follows."""

    type: Literal["cpu", "memory", "requests", "custom"] = Field(description="What is measured.")
    target: Annotated[float, Field(gt=0)] = Field(
        description="Per cent of the reservation, or requests a second and replica."
    )
    name: Text | None = Field(default=None, description="Name of a custom metric.")

    @model_validator(mode="after")
    def _custom_is_named(self) -> Self:
        if (self.type == "custom") != (self.name is not None):
            msg = "a custom metric, and only a custom one, has a name"
            raise ValueError(msg)
        return self


class ScaleSchedule(Model):
    """Bounds that hold from a point in time until the next one."""

    schedule: Text = Field(description="Cron expression of the moment they begin to hold.")
    min: Count = Field(description="Fewest replicas.")
    max: Positive | None = Field(default=None, description="Most replicas.")
    time_zone: Text = Field(default="UTC", description="IANA name.")


class Autoscale(Model):
    """Follow the load between two bounds."""

    min: Count = Field(default=1, description="Fewest replicas.")
    max: Positive = Field(description="Most replicas.")
    metrics: tuple[Metric, ...] = Field(default=(), description="The highest wish wins.")
    schedules: tuple[ScaleSchedule, ...] = Field(default=(), description="Bounds by time.")
    scale_up_delay: Duration = Field(
        default=Duration(0), description="How long a higher wish must last."
    )
    scale_down_delay: Duration = Field(
        default=Duration(300_000), description="How long a lower wish must last."
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min > self.max:
            msg = f"min {self.min} is above max {self.max}; swap them"
            raise ValueError(msg)
        return self
