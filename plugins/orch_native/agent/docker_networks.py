"""Networks of applications on a Docker engine: made for the first pod, dropped after the last."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from orch_native.agent.docker_body import network_body
from orch_native.agent.docker_marks import AGENT, OWNER, labels_of, owner_labels
from orch_native.agent.driver import StartFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orch_native.agent.docker_client import Engine
    from orch_native.agent.pod import Pod


class Networks:
    """The networks that this agent makes, and which pods use them. Safe to use from any thread."""

    def __init__(self, engine: Engine, agent: str) -> None:
        self._engine, self._agent = engine, agent
        self._lock = threading.Lock()
        self._users: dict[str, set[str]] = {}

    def prepare(self, pod: Pod) -> None:
        """Have those there that a pod joins. Raises StartFault."""
        if pod.spec.network_mode != "app":
            return
        with self._lock:
            for name, known, _attachment in pod.networks():
                self._make(pod, name, known)
                self._users.setdefault(name, set()).add(pod.main.handle)

    def leave(self, pod_handle: str, names: Sequence[str]) -> None:
        """Note that a pod uses them no more, and drop those that nobody uses."""
        with self._lock:
            for name in names:
                users = self._users.get(name, set())
                users.discard(pod_handle)
                if not users:
                    self._drop(name)

    def remove(self, name: str) -> None:
        """Drop it, whoever was noted as a user."""
        with self._lock:
            self._users.pop(name, None)
            self._drop(name)

    def _make(self, pod: Pod, name: str, known: Mapping[str, Any]) -> None:
        found = self._engine.network(name)
        if known.get("external"):
            if found is None:
                raise StartFault(f"the network {name} is external and not on this host")
            return
        body = network_body(known, owner_labels(self._agent, pod))
        labels = labels_of(found)
        if found is not None and OWNER not in labels:
            raise StartFault(
                f"a network {name} is there already and is not ours; set external: true to use it"
            )
        if found is not None:
            if labels.get("orch.settings") == body["Labels"]["orch.settings"]:
                return
            if not self._engine.remove_network(name):
                self._check_users(name)
                return
        self._engine.create_network(name, body)

    def _check_users(self, name: str) -> None:
        """The server lets none of ours hold back a change; containers of others may."""
        ours = {found["Id"] for found in self._engine.containers(f"{AGENT}={self._agent}")}
        users = self._engine.network_users(name)
        others = sorted(user for id, user in users.items() if id not in ours)
        if others or not users:
            raise StartFault(
                f"the network {name} can't be changed: {', '.join(others) or 'something'} uses it;"
                " end that, or name another network"
            )

    def _drop(self, name: str) -> None:
        found = self._engine.network(name)
        if labels_of(found).get(OWNER) == self._agent:
            self._engine.remove_network(name)
