"""A cloud's part in a cluster: a service of type LoadBalancer gets an address, here the node's."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 0.2
SERVICES = "/api/v1/services"


class LoadBalancer:
    """Looks for such services until it is stopped; of two with one port, the later one waits."""

    def __init__(self, ask: Callable[..., bytes], address: str) -> None:
        self._ask, self._address = ask, address
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load balancer", daemon=True)

    def start(self) -> None:
        """Look at the services from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Return when it looks no more."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(SECONDS):
            # An API that is away for a moment, and a service that went meanwhile.
            with contextlib.suppress(OSError):
                self._look()

    def _look(self) -> None:
        rows = json.loads(self._ask(SERVICES))["items"]
        wanted = [row for row in rows if row["spec"]["type"] == "LoadBalancer"]
        taken = {port for row in wanted if _served(row) for port in _ports(row)}
        for row in wanted:
            if not _served(row) and not taken & _ports(row):
                taken |= _ports(row)
                self._serve(row["metadata"])

    def _serve(self, named: dict[str, Any]) -> None:
        status = {"loadBalancer": {"ingress": [{"ip": self._address}]}}
        path = f"/api/v1/namespaces/{named['namespace']}/services/{named['name']}/status"
        self._ask(path, {"status": status}, method="PATCH")


def _served(row: dict[str, Any]) -> bool:
    return bool(row["status"]["loadBalancer"].get("ingress"))


def _ports(row: dict[str, Any]) -> set[tuple[int, str]]:
    return {(port["port"], port["protocol"]) for port in row["spec"]["ports"]}
