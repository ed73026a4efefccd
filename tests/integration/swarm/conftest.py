"""A swarm of one engine, and applications on it."""

from __future__ import annotations

import os
import random
import socket
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import docker
import pytest

from orch.testing.conformance import Trial
from orch.testing.workloads import Containers
from orch_swarm.backend import SwarmBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Engine

# The kernels that tests run on have no IP_VS, which virtual addresses need.
OPTIONS = {"endpoint_mode": "dnsrr", "resolve_image": "never"}


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on, below those that the kernel gives to outgoing connections.

    One of those may be taken again in the moment in which a replica follows another.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((address, port))
            return port


def own_address() -> str:
    """A loopback address that no other process uses.

    Gossip binds one fixed port: a second swarm on the same address has neither names nor keys.
    """
    number = os.getpid() % (1 << 22)
    return f"127.{64 + (number >> 16)}.{number >> 8 & 255}.{max(1, number & 255)}"


@pytest.fixture(scope="module")
def swarm(dockerd: Engine) -> Iterator[str]:
    """The host of an engine that is the only manager of a swarm."""
    client = dockerd.client()
    address = own_address()
    # Engines on one machine would share the bridge of this name, and take its routes away as they
    # end: each has one of its own, made before the swarm as the engine's manual says.
    gateway = client.networks.create("docker_gwbridge", "bridge", options=_own_bridge())
    client.swarm.init(
        advertise_addr=address,
        listen_addr=f"{address}:{free_port(address)}",
        data_path_port=20000 + os.getpid() % 20000,
        default_addr_pool=["10.205.0.0/16"],
    )
    yield dockerd.host
    client.swarm.leave(force=True)
    with suppress(docker.errors.APIError):
        gateway.remove()
    client.close()


def _own_bridge() -> dict[str, str]:
    prefix = "com.docker.network.bridge"
    return {f"{prefix}.name": f"gw{os.getpid()}", f"{prefix}.enable_icc": "false"}


@pytest.fixture
def backend(swarm: str) -> Iterator[SwarmBackend]:
    made = SwarmBackend({"host": swarm, **OPTIONS})
    yield made
    made.close()


@pytest.fixture
def trial(backend: SwarmBackend, tool_image: str) -> Iterator[Trial]:
    made = Trial(backend, Containers(tool_image), "tests", f"t{uuid.uuid4().hex[:8]}")
    yield made
    made.session().unlock()
    outcome = made.down()
    assert outcome.exit_code == 0, outcome
