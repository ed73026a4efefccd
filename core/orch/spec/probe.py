"""Health probes: how a replica tells that it has started, is ready and is alive."""

from typing import Literal, Self

from pydantic import Field, model_validator

from orch.frozen import EMPTY
from orch.spec.base import Map, Model, Name, PortNumber, Positive, Strings, Text
from orch.spec.units import Duration


class ExecCheck(Model):
    """A command inside the container; exit code 0 is success."""

    command: Strings = Field(min_length=1, description="Program and its arguments.")


class HttpCheck(Model):
    """A request to the replica; a status from 200 to 399 is success."""

    path: Text = Field(default="/", pattern="^/", description="Path and query of the request.")
    port: PortNumber | Name = Field(description="Port number, or the name of one of `ports`.")
    scheme: Literal["http", "https"] = Field(
        default="http", description="With https the certificate is not verified."
    )
    host: Text | None = Field(default=None, description="Value of the Host header.")
    headers: Map[str, str] = Field(default=EMPTY, description="Further request headers.")


class TcpCheck(Model):
    """A connection that opens is success."""

    port: PortNumber | Name = Field(description="Port number, or the name of one of `ports`.")


class GrpcCheck(Model):
    """The standard gRPC health service answers SERVING."""

    port: PortNumber | Name = Field(description="Port number, or the name of one of `ports`.")
    service: Text = Field(default="", description="Service name that is asked for.")


CHECKS = ("exec", "http", "tcp", "grpc")


class Probe(Model):
    """One check with its timing. Exactly one of `exec`, `http`, `tcp` and `grpc` is given."""

    exec: ExecCheck | None = Field(default=None, description="Run a command in the container.")
    http: HttpCheck | None = Field(default=None, description="Send an HTTP GET request.")
    tcp: TcpCheck | None = Field(default=None, description="Open a TCP connection.")
    grpc: GrpcCheck | None = Field(default=None, description="Ask the gRPC health service.")
    interval: Duration = Field(
        default=Duration(10_000), description="Time from the end of one check to the next."
    )
    timeout: Duration = Field(
        default=Duration(5_000), description="A check that takes longer has failed."
    )
    initial_delay: Duration = Field(
        default=Duration(0), description="Time after the start before the first check."
    )
    failure_threshold: Positive = Field(
        default=3, description="Failures in a row that turn the result to failed."
    )
    success_threshold: Positive = Field(
        default=1, description="Successes in a row that turn the result to passed."
    )

    @model_validator(mode="after")
    def _one_check(self) -> Self:
        given = [name for name in CHECKS if getattr(self, name) is not None]
        if len(given) != 1:
            has = " and ".join(given) or "none"
            msg = f"a probe has exactly one of {', '.join(CHECKS)}; this one has {has}"
            raise ValueError(msg)
        return self


class Probes(Model):
    """The three questions asked of a replica."""

    startup: Probe | None = Field(
        default=None, description="Until it passes, the other probes wait."
    )
    readiness: Probe | None = Field(
        default=None, description="While it fails, the replica gets no traffic."
    )
    liveness: Probe | None = Field(
        default=None, description="When it fails, the replica is restarted."
    )
