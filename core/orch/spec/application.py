"""The application: services, jobs and what they share."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from orch.frozen import EMPTY, FrozenDict
from orch.spec.base import (
    Count,
    Flag,
    Map,
    Model,
    Name,
    NamedMap,
    PortNumber,
    Positive,
    Scalar,
    Text,
)
from orch.spec.container import Hook, PodFields, Port
from orch.spec.deploy import Autoscale, Deploy, Placement, RestartPolicy
from orch.spec.probe import Probes
from orch.spec.units import Bytes, Duration
from orch.types import FieldPath

API_VERSION = "orch/v1"
Backends = Literal[
    "native", "swarm", "kubernetes", "nomad", "ecs", "marathon", "aci", "servicefabric"
]
Overrides = Map[Name, Map[str, Any]]


class Service(PodFields):
    """A long-running part of the application."""

    ports: tuple[Port, ...] = Field(default=(), description="Ports that it listens on.")
    probes: Probes | None = Field(default=None, description="Health probes.")
    deploy: Deploy = Field(default_factory=Deploy, description="How it is run.")
    post_start: tuple[Hook, ...] = Field(
        default=(), description="Commands run in the container once it has started."
    )
    pre_stop: tuple[Hook, ...] = Field(
        default=(), description="Commands run in the container before the stop signal."
    )
    autoscale: Autoscale | None = Field(default=None, description="Follow the load.")
    overrides: Overrides = Field(
        default=EMPTY, description="Settings of one platform, by its name; not portable."
    )


class JobHistory(Model):
    """How many finished runs are kept."""

    succeeded: Count = Field(default=3, description="Successful runs kept.")
    failed: Count = Field(default=1, description="Failed runs kept.")


class Job(PodFields):
    """A part of the application that ends; with a schedule it runs again and again."""

    schedule: Text | None = Field(
        default=None, description="Cron expression; none runs once a deploy that changed it."
    )
    time_zone: Text = Field(default="UTC", description="IANA name that the schedule is read in.")
    concurrency: Literal["allow", "forbid", "replace"] = Field(
        default="allow", description="What happens when the last run still goes on."
    )
    starting_deadline: Duration | None = Field(
        default=None, description="How late a missed run may still start."
    )
    suspend: Flag = Field(default=False, description="Keep the schedule, start nothing.")
    backoff_limit: Count = Field(default=3, description="Retries before the job has failed.")
    timeout: Duration | None = Field(default=None, description="A run that takes longer fails.")
    completions: Positive = Field(default=1, description="Runs that must succeed.")
    parallelism: Positive = Field(default=1, description="Runs at the same time.")
    history: JobHistory = Field(default_factory=JobHistory, description="Finished runs kept.")
    ttl: Duration | None = Field(default=None, description="Finished runs go after this time.")
    placement: Placement | None = Field(default=None, description="Where it runs.")
    restart_policy: RestartPolicy | None = Field(
        default=None, description="Restarts in place; counts towards the backoff limit."
    )
    priority: Annotated[int, Field(ge=0, le=100, strict=True)] | None = Field(
        default=None, description="Higher is placed first and evicted last."
    )
    overrides: Overrides = Field(
        default=EMPTY, description="Settings of one platform, by its name; not portable."
    )


class SecretName(Model):
    """A pointer to one of the application's secrets."""

    secret: Name = Field(description="Name of the secret.")


class Tls(Model):
    """Where a route's certificate comes from; exactly one way."""

    cert: SecretName | None = Field(default=None, description="Certificate chain in PEM.")
    key: SecretName | None = Field(default=None, description="Private key in PEM.")
    acme: Flag = Field(default=False, description="Ask an ACME authority for it.")
    certificate: Text | None = Field(
        default=None, description="Identifier of a certificate that the platform holds."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.cert is None) != (self.key is None):
            msg = "cert and key go together"
            raise ValueError(msg)
        if sum((self.cert is not None, self.acme, self.certificate is not None)) != 1:
            msg = "tls has exactly one of cert with key, acme, certificate"
            raise ValueError(msg)
        return self


class Route(Model):
    """Requests from outside, by host and path, to a service."""

    host: Text | None = Field(default=None, description="Host name; none means every host.")
    path: Text = Field(default="/", pattern="^/", description="Path prefix.")
    service: Name = Field(description="Service that answers.")
    port: PortNumber | Name = Field(description="Its port, by number or name.")
    tls: Tls | None = Field(default=None, description="Serve it encrypted.")
    weight: Annotated[int, Field(ge=0, le=1000, strict=True)] | None = Field(
        default=None, description="Share among routes of the same host and path."
    )


class Volume(Model):
    """Storage that outlives replicas."""

    size: Bytes | None = Field(default=None, description="Space that is asked for.")
    access: Literal["exclusive", "shared", "read-only-many"] = Field(
        default="exclusive", description="Who may mount it at the same time."
    )
    per_replica: Flag = Field(default=False, description="Each replica has its own.")
    driver: Text | None = Field(default=None, description="Driver or storage class.")
    driver_opts: Map[str, Scalar] = Field(default=EMPTY, description="Driver-specific settings.")
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on the volume.")
    name: Text | None = Field(default=None, description="Its true name on the platform.")
    external: Flag = Field(default=False, description="It exists already and is not ours.")


class IpamPool(Model):
    """An address range of a network."""

    subnet: Text | None = Field(default=None, description="Range in CIDR form.")
    gateway: Text | None = Field(default=None, description="Address of the gateway.")
    ip_range: Text | None = Field(default=None, description="Part of it that is given out.")


class Network(Model):
    """A network that services join."""

    driver: Text | None = Field(default=None, description="Driver of the platform.")
    driver_opts: Map[str, Scalar] = Field(default=EMPTY, description="Driver-specific settings.")
    internal: Flag = Field(default=False, description="No way out of it.")
    encrypted: Flag = Field(default=False, description="Encrypt traffic between hosts.")
    attachable: Flag = Field(default=False, description="Containers of others may join.")
    enable_ipv6: Flag = Field(default=False, description="Give IPv6 addresses too.")
    ipam: tuple[IpamPool, ...] = Field(default=(), description="Address ranges.")
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on the network.")
    name: Text | None = Field(default=None, description="Its true name on the platform.")
    external: Flag = Field(default=False, description="It exists already and is not ours.")


class Config(Model):
    """A file that is not secret, from beside the spec, from the spec itself, or external.

    Loading fills `content` from `file`, so that everything after it reads no files; a config of
    a loaded application that has a `file` has its content too.
    """

    file: Text | None = Field(default=None, description="Path beside the spec.")
    content: Scalar | None = Field(default=None, description="The text itself.")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="base64 for content that is not text."
    )
    external: Flag = Field(default=False, description="It exists already and is not ours.")
    name: Text | None = Field(default=None, description="Its true name on the platform.")
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on the config.")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.external == (self.file is not None or self.content is not None):
            msg = "a config has exactly one of file, content, external"
            raise ValueError(msg)
        return self

    @property
    def size(self) -> int:
        """Bytes of its content, decoded."""
        content = self.content or ""
        if self.encoding == "base64":
            return len(content.rstrip("=")) * 3 // 4
        return len(content.encode())


class Secret(Model):
    """Where a secret's value is read when a plan is made; the value is never kept."""

    provider: Name | None = Field(default=None, description="Secret provider: env, file …")
    key: Text | None = Field(default=None, description="What the provider is asked for.")
    path: Text | None = Field(default=None, description="Path that the provider reads.")
    options: Map[str, Scalar] = Field(default=EMPTY, description="Provider-specific settings.")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="base64 for a value that the provider gives in base64."
    )
    external: Flag = Field(default=False, description="It exists already and is not ours.")
    name: Text | None = Field(default=None, description="Its true name on the platform.")
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on the secret.")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.external == (self.provider is not None):
            msg = "a secret has either a provider or external: true"
            raise ValueError(msg)
        return self


class Registry(Model):
    """Credentials for private images."""

    username: Text = Field(description="User name or token name.")
    password: SecretName = Field(description="Secret that holds the password or token.")


class Peer(Model):
    """One side of a policy."""

    service: Name = Field(description="Service or job.")
    port: PortNumber | Name | None = Field(default=None, description="Only this port.")


class Policy(Model):
    """Who may talk to whom: once a service is named in `to`, only `from` reaches it."""

    to: Peer = Field(description="The service that is protected.")
    from_: tuple[Peer, ...] = Field(default=(), alias="from", description="Who may reach it.")


class Application(Model):
    """A whole application, as resolved and validated."""

    apiVersion: Literal["orch/v1"] = Field(  # noqa: N815
        default="orch/v1", description="Version of this format."
    )
    name: Name = Field(description="Name of the application.")
    services: NamedMap[Name, Service] = Field(default=EMPTY, description="What keeps running.")
    jobs: NamedMap[Name, Job] = Field(default=EMPTY, description="What runs and ends.")
    routes: tuple[Route, ...] = Field(default=(), description="Ways in from outside.")
    volumes: NamedMap[Name, Volume] = Field(default=EMPTY, description="Storage.")
    networks: NamedMap[Name, Network] = Field(default=EMPTY, description="Networks.")
    configs: Map[Name, Config] = Field(default=EMPTY, description="Files.")
    secrets: Map[Name, Secret] = Field(default=EMPTY, description="Secret files and values.")
    policies: tuple[Policy, ...] = Field(default=(), description="Who may talk to whom.")
    registries: Map[Text, Registry] = Field(default=EMPTY, description="Image credentials.")
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on every object.")
    fidelity: Map[str, Literal["require", "ignore"]] = Field(
        default=EMPTY, description="By field path: refuse its loss, or accept it."
    )
    _extensions: Any = PrivateAttr(default=EMPTY)

    @property
    def extensions(self) -> Mapping[FieldPath, Any]:
        """What the author wrote under keys that begin with `x-`, by path; orch reads none of it."""
        extensions: Mapping[FieldPath, Any] = self._extensions
        return extensions

    def with_extensions(self, extensions: Mapping[FieldPath, Any]) -> Self:
        """The same application, carrying these."""
        copy = self.model_copy()
        copy._extensions = FrozenDict(extensions)  # noqa: SLF001  (a copy of itself)
        return copy
