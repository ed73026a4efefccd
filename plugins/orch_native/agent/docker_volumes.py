"""Named volumes on a Docker engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.errors import Refused
from orch_native.agent.docker_client import ENDED, Taken
from orch_native.agent.docker_marks import AGENT, OWNER, labels_of, owner_labels
from orch_native.agent.driver import StartFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch_native.agent.docker_client import Engine
    from orch_native.agent.pod import Pod


class Volumes:
    """The volumes that this agent makes and removes."""

    def __init__(self, engine: Engine, agent: str) -> None:
        self._engine, self._agent = engine, agent

    def prepare(self, pod: Pod) -> None:
        """Have those there that a pod mounts. Raises StartFault."""
        for name, known in pod.allocation.volumes.items():
            self._make(pod, str(known.get("name", name)), known)

    def remove(self, name: str) -> None:
        """Remove what is ours of this name. Raises Refused, naming who uses it."""
        found = self._engine.volume(name)
        if OWNER not in labels_of(found):
            return
        others = []
        for user in self._engine.users_of_volume(name):
            # One of ours that has ended is about to go, and must not hold it up.
            if user["Labels"].get(AGENT) == self._agent and user["State"] in ENDED:
                self._engine.remove(user["Id"])
            else:
                others.append(user["Names"][0].lstrip("/"))
        try:
            self._engine.remove_volume(name)
        except Taken as fault:
            names = " ".join(sorted(others))
            told = f"it is in use by {', '.join(sorted(others))}" if others else str(fault)
            mend = f"docker rm --force {names}" if others else "stop what uses it"
            raise Refused(told, place=f"volume {name}", mend=mend) from None

    def _make(self, pod: Pod, name: str, known: Mapping[str, Any]) -> None:
        found = self._engine.volume(name)
        if found is None and known.get("external"):
            raise StartFault(f"the volume {name} is external and not on this host")
        if found is None:
            options = {k: str(v) for k, v in known.get("driver_opts", {}).items()}
            labels = {str(k): str(v) for k, v in known.get("labels", {}).items()}
            self._engine.create_volume(
                name,
                known.get("driver"),
                driver_opts=options,
                labels=labels | owner_labels(self._agent, pod),
            )
        elif not known.get("external") and OWNER not in labels_of(found):
            raise StartFault(
                f"a volume {name} is there already and is not ours; set external: true to use it"
            )
