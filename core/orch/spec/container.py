"""What runs: image or host process, its command, environment, mounts and privileges."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from orch.frozen import EMPTY
from orch.spec.base import (
    Count,
    FileMode,
    Flag,
    Map,
    Model,
    Name,
    NamedMap,
    PortNumber,
    Positive,
    Scalar,
    Strings,
    Text,
)
from orch.spec.image import Image
from orch.spec.probe import Probes
from orch.spec.units import Bytes, Cpus, Duration
from orch.types import Condition


class SecretRef(Model):
    """The value of a secret, given as an environment variable."""

    secret: Name = Field(description="Name of one of the application's `secrets`.")


def _variable_kind(raw: Any) -> str:
    return "secret" if isinstance(raw, dict | SecretRef) else "text"


Variable = Annotated[
    Annotated[Scalar, Tag("text")] | Annotated[SecretRef, Tag("secret")],
    Discriminator(_variable_kind),
]


class FileMount(Model):
    """A config or secret as a file in the container."""

    source: Name = Field(description="Name of the config or secret.")
    target: Text = Field(
        description="Path of the file; a secret's bare name is placed under /run/secrets."
    )
    uid: Scalar | None = Field(default=None, description="Numeric owner of the file.")
    gid: Scalar | None = Field(default=None, description="Numeric group of the file.")
    mode: FileMode = Field(default="0444", description="Permissions in octal, in quotes.")


class TmpfsOptions(Model):
    """Settings of a memory-backed mount."""

    size: Bytes | None = Field(default=None, description="Most that it may hold.")
    mode: FileMode | None = Field(default=None, description="Permissions of its root, in octal.")


class BindOptions(Model):
    """Settings of a mounted host path."""

    propagation: Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"] | None = (
        Field(default=None, description="Whether mounts below it are seen on the other side.")
    )
    create_host_path: Flag = Field(
        default=False, description="Make the directory on the host when it is missing."
    )


class VolumeOptions(Model):
    """Settings of a mounted volume."""

    nocopy: Flag = Field(
        default=False, description="Do not fill an empty volume with the image's files."
    )
    subpath: Text | None = Field(default=None, description="Mount this folder of the volume.")


class Mount(Model):
    """A volume, host path or memory-backed folder at a path of the container."""

    type: Literal["volume", "bind", "tmpfs"] = Field(description="Where the files live.")
    source: Text | None = Field(
        default=None, description="Name of the volume, or path on the host; none for tmpfs."
    )
    target: Text = Field(pattern="^/", description="Absolute path in the container.")
    read_only: Flag = Field(default=False, description="Forbid writing through this mount.")
    volume: VolumeOptions | None = Field(default=None, description="For `type: volume`.")
    bind: BindOptions | None = Field(default=None, description="For `type: bind`.")
    tmpfs: TmpfsOptions | None = Field(default=None, description="For `type: tmpfs`.")

    @model_validator(mode="after")
    def _parts_fit_the_type(self) -> Self:
        if self.type == "tmpfs" and self.source is not None:
            msg = "a tmpfs has no source; remove it, or write type: volume"
            raise ValueError(msg)
        if self.type != "tmpfs" and self.source is None:
            msg = f"a mount of type {self.type} needs a source"
            raise ValueError(msg)
        for part in ("volume", "bind", "tmpfs"):
            if part != self.type and getattr(self, part) is not None:
                msg = f"`{part}` belongs to `type: {part}`, and this mount has type {self.type}"
                raise ValueError(msg)
        return self


class Port(Model):
    """A port that the container listens on, and how it is reached."""

    name: Name | None = Field(default=None, description="Name used by probes, routes, policies.")
    target: PortNumber = Field(description="Port in the container.")
    published: PortNumber | None = Field(
        default=None, description="Port opened to the outside; none keeps it inside the app."
    )
    protocol: Literal["tcp", "udp", "sctp"] = Field(default="tcp", description="Transport.")
    app_protocol: Text | None = Field(
        default=None, description="What is spoken on it: http, http2, grpc, https, tcp …"
    )
    mode: Literal["ingress", "host"] = Field(
        default="ingress",
        description="`ingress` balances over all replicas; `host` opens it where each one runs.",
    )
    host_ip: Text | None = Field(default=None, description="Address of the host to listen on.")


class DeviceRequest(Model):
    """Accelerators such as GPUs."""

    capabilities: Strings = Field(default=("gpu",), description="What the device must offer.")
    count: Positive | Literal["all"] = Field(default=1, description="How many of them.")
    driver: Text | None = Field(default=None, description="Vendor driver, e.g. nvidia.")
    device_ids: Strings = Field(default=(), description="Exactly these devices.")
    options: Map[str, Scalar] = Field(default=EMPTY, description="Driver-specific settings.")


class Limits(Model):
    """The most that a replica may use."""

    cpus: Cpus | None = Field(default=None, description="Processors; throttled above it.")
    memory: Bytes | None = Field(default=None, description="Memory; killed above it.")
    swap: Bytes | None = Field(default=None, description="Swap beyond the memory limit.")
    pids: Positive | None = Field(default=None, description="Processes and threads.")
    ephemeral_storage: Bytes | None = Field(
        default=None, description="Writable layer and scratch space."
    )


class Reservations(Model):
    """What is set aside for a replica when it is placed."""

    cpus: Cpus | None = Field(default=None, description="Processors counted for placement.")
    memory: Bytes | None = Field(default=None, description="Memory counted for placement.")
    ephemeral_storage: Bytes | None = Field(
        default=None, description="Scratch space counted for placement."
    )
    devices: tuple[DeviceRequest, ...] = Field(default=(), description="Accelerators.")
    generic: Map[str, Positive] = Field(
        default=EMPTY, description="Other countable resources that nodes advertise, by name."
    )


class Resources(Model):
    """What a replica needs and may use."""

    limits: Limits | None = Field(default=None, description="Upper bounds.")
    reservations: Reservations | None = Field(default=None, description="Guaranteed share.")


class Device(Model):
    """A device file of the host."""

    source: Text = Field(description="Path on the host, or a CDI name.")
    target: Text | None = Field(default=None, description="Path in the container.")
    permissions: Text = Field(
        default="rwm", pattern="^[rwm]{1,3}$", description="Any of r, w and m."
    )


class Ulimit(Model):
    """A soft and a hard bound of a process resource; -1 is no bound."""

    soft: Annotated[int, Field(ge=-1, strict=True)] = Field(description="The bound in force.")
    hard: Annotated[int, Field(ge=-1, strict=True)] = Field(description="How far it may rise.")


class Logging(Model):
    """Where the platform sends what a replica prints."""

    driver: Text | None = Field(default=None, description="Name of the platform's log driver.")
    options: Map[str, Scalar] = Field(default=EMPTY, description="Driver-specific settings.")


class Build(Model):
    """How the image is made by `orch build`."""

    context: Text = Field(default=".", description="Folder or Git URL that is sent to the builder.")
    dockerfile: Text | None = Field(default=None, description="Path within the context.")
    target: Text | None = Field(default=None, description="Stage to build.")
    args: Map[str, Scalar] = Field(default=EMPTY, description="Build arguments.")
    platforms: Strings = Field(default=(), description="Platforms such as linux/arm64.")


class Hook(Model):
    """A command run inside the container around its life."""

    command: Strings = Field(min_length=1, description="Program and its arguments.")
    user: Scalar | None = Field(default=None, description="Run as this user.")
    working_dir: Text | None = Field(default=None, description="Folder to run in.")
    environment: Map[str, Scalar] = Field(default=EMPTY, description="Further variables.")


class CredentialSpec(Model):
    """A Windows group-managed service account."""

    config: Name | None = Field(default=None, description="Name of a config that holds it.")
    file: Text | None = Field(default=None, description="File of the engine's folder.")
    registry: Text | None = Field(default=None, description="Value of the host's registry.")


class Container(Model):
    """A process with its own file system, or a plain process of the host when no image is given."""

    image: Image | None = Field(default=None, description="Image to run.")
    build: Build | None = Field(default=None, description="How `orch build` makes the image.")
    pull_policy: Literal["always", "missing", "never"] = Field(
        default="missing", description="When the image is fetched."
    )
    platform: Text | None = Field(
        default=None, description="Operating system and processor, such as linux/amd64."
    )
    command: Strings = Field(default=(), description="Arguments, replacing the image's CMD.")
    entrypoint: Strings = Field(default=(), description="Program, replacing the image's own.")
    working_dir: Text | None = Field(default=None, description="Folder that it starts in.")
    user: Scalar | None = Field(default=None, description="User or uid, with `:group` or `:gid`.")
    group_add: Strings = Field(default=(), description="Supplementary groups.")
    init: Flag = Field(default=False, description="Run a small init as process 1 that reaps.")
    tty: Flag = Field(default=False, description="Give it a terminal.")
    stdin_open: Flag = Field(default=False, description="Keep its standard input open.")
    environment: Map[str, Variable] = Field(
        default=EMPTY, description="Variables: text, or `{secret: NAME}`."
    )
    configs: tuple[FileMount, ...] = Field(default=(), description="Configs as files.")
    secrets: tuple[FileMount, ...] = Field(default=(), description="Secrets as files.")
    volumes: tuple[Mount, ...] = Field(default=(), description="Mounted folders.")
    read_only: Flag = Field(default=False, description="Make the root file system read-only.")
    cap_add: Strings = Field(default=(), description="Linux capabilities to add.")
    cap_drop: Strings = Field(default=(), description="Linux capabilities to drop.")
    security_opt: Strings = Field(
        default=(), description="Labels and profiles, such as no-new-privileges:true."
    )
    privileged: Flag = Field(default=False, description="Lift all isolation. Avoid it.")
    devices: tuple[Device, ...] = Field(default=(), description="Device files of the host.")
    ulimits: Map[str, Ulimit] = Field(default=EMPTY, description="Bounds by name, e.g. nofile.")
    sysctls: Map[str, Scalar] = Field(default=EMPTY, description="Kernel parameters.")
    shm_size: Bytes | None = Field(default=None, description="Size of /dev/shm.")
    stop_signal: Text = Field(default="SIGTERM", description="Signal that asks it to stop.")
    logging: Logging | None = Field(default=None, description="Log driver and options.")
    resources: Resources | None = Field(
        default=None, description="Needs of this container; a service states them in `deploy`."
    )


class InitContainer(Container):
    """A container that must finish before the main one starts."""


class Sidecar(Container):
    """A container that lives beside the main one and shares its network."""

    ports: tuple[Port, ...] = Field(default=(), description="Ports that it listens on.")
    probes: Probes | None = Field(default=None, description="Its own health probes.")


class NetworkAttachment(Model):
    """How a service takes part in a network."""

    aliases: Strings = Field(default=(), description="Further names it has there.")
    ipv4_address: Text | None = Field(default=None, description="Fixed IPv4 address.")
    ipv6_address: Text | None = Field(default=None, description="Fixed IPv6 address.")
    priority: Count = Field(default=0, description="Networks of higher priority join first.")
    driver_opts: Map[str, Scalar] = Field(default=EMPTY, description="Driver-specific settings.")


_AWAITED = {
    "service_started": Condition.STARTED,
    "service_healthy": Condition.HEALTHY,
    "service_completed_successfully": Condition.COMPLETED,
}


class Dependency(Model):
    """What is awaited of another service or job."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = (
        Field(default="service_started", description="The state that is awaited.")
    )
    restart: Flag = Field(
        default=False, description="Restart this service when that one is updated."
    )
    required: Flag = Field(
        default=True, description="When false, a missing or failed one only warns."
    )

    @property
    def awaited(self) -> Condition:
        """The condition in the words of a manifest."""
        return _AWAITED[self.condition]


class PodFields(Container):
    """What services and jobs have in common."""

    annotations: Map[str, Scalar] = Field(
        default=EMPTY, description="Non-identifying metadata handed to the platform."
    )
    labels: Map[str, Scalar] = Field(default=EMPTY, description="Metadata on what runs.")
    profiles: tuple[Name, ...] = Field(
        default=(), description="Left out unless one of these profiles is chosen."
    )
    networks: NamedMap[Name, NetworkAttachment] = Field(
        default=EMPTY, description="Networks it joins; none means the app's own default one."
    )
    network_mode: Literal["app", "host", "none"] = Field(
        default="app", description="`host` shares the host's network, `none` has none."
    )
    pre_start: tuple[InitContainer, ...] = Field(
        default=(), description="Containers that run, in order, before the main one."
    )
    sidecars: Map[Name, Sidecar] = Field(
        default=EMPTY, description="Containers beside the main one, in its network."
    )
    extra_hosts: Map[str, Text] = Field(default=EMPTY, description="Host names to addresses.")
    dns: Strings = Field(default=(), description="Name servers.")
    dns_search: Strings = Field(default=(), description="Search domains.")
    dns_opt: Strings = Field(default=(), description="Resolver options.")
    hostname: Text | None = Field(default=None, description="Its own host name.")
    domainname: Text | None = Field(default=None, description="Its own domain name.")
    ipc: Text | None = Field(default=None, description="IPC namespace: private, shareable, host.")
    pid: Literal["host"] | None = Field(default=None, description="Share the host's processes.")
    userns_mode: Literal["host"] | None = Field(
        default=None, description="Share the host's user namespace."
    )
    runtime: Text | None = Field(default=None, description="Container runtime, such as kata.")
    oom_score_adj: Annotated[int, Field(ge=-1000, le=1000, strict=True)] | None = Field(
        default=None, description="How soon the kernel kills it when memory runs out."
    )
    credential_spec: CredentialSpec | None = Field(
        default=None, description="Windows service account."
    )
    stop_grace_period: Duration = Field(
        default=Duration(10_000), description="Time between the stop signal and the kill."
    )
    depends_on: NamedMap[Text, Dependency] = Field(
        default=EMPTY,
        description="What must be up first; `other-app/service` waits for another app's.",
    )
    formerly: Name | None = Field(
        default=None, description="Earlier name: ownership and volumes move to the new one."
    )
