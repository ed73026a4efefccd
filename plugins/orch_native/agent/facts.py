"""What a node is and has."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from typing import TYPE_CHECKING

import psutil

from orch_native.messages import NodeFacts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orch_native.agent.driver import Driver

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def node_facts(
    name: str, state: Path, drivers: Mapping[str, Driver], labels: Mapping[str, str]
) -> NodeFacts:
    """The node as it is now."""
    machine = platform.machine()
    facts = {key: driver.facts() for key, driver in drivers.items()}
    return NodeFacts(
        name=name,
        cpus=len(os.sched_getaffinity(0)) * 1000,
        memory=psutil.virtual_memory().total,
        disk=shutil.disk_usage(state).total,
        attributes={
            "os": platform.system().lower(),
            "arch": ARCHITECTURES.get(machine, machine),
            "kernel": platform.release(),
            "hostname": platform.node(),
        },
        labels=dict(labels),
        drivers=facts,
        devices={kind: n for driver in facts.values() for kind, n in driver.devices.items()},
        addresses=tuple(addresses()),
    )


def addresses() -> list[str]:
    """Addresses of this host that others may reach, IPv4 first; link-local ones are left out."""
    found: dict[int, list[str]] = {socket.AF_INET: [], socket.AF_INET6: []}
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            local = entry.address.startswith(("127.", "169.254.", "fe80", "::1"))
            if entry.family in found and not local:
                found[entry.family].append(entry.address)
    return found[socket.AF_INET] + found[socket.AF_INET6]
