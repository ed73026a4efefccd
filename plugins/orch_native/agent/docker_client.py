"""The Docker Engine API, as the driver needs it; its errors are translated here, once."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, cast

from orch.errors import innermost
from orch_native.agent.driver import StartFault, Unreached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from docker import APIClient

    from orch_native.agent.driver import Stop

USUAL = "unix:///var/run/docker.sock"
SECONDS = 60
POOL = 64
ENDED = ("exited", "removing", "dead")
"""States of a container that runs no more."""


class Missing(StartFault):
    """The engine has no such object."""


class Taken(StartFault):
    """The object's state or name does not allow it."""


class Engine:
    """A connection to an engine, made when it is first needed and again when it was lost."""

    def __init__(self, host: str | None) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._api: APIClient | None = None

    def _client(self) -> APIClient:
        with self._lock:
            if self._api is None:
                self._api = self._connect()
            return self._api

    def _connect(self) -> APIClient:
        import docker

        chosen = {"DOCKER_HOST": self._host} if self._host else {}
        settings = docker.utils.kwargs_from_env(environment={**os.environ, **chosen})
        host = settings.get("base_url") or USUAL
        _knock(host)
        try:
            return docker.APIClient(version="auto", timeout=SECONDS, max_pool_size=POOL, **settings)
        except docker.errors.DockerException as fault:
            raise Unreached(f"no Docker engine answers at {host}: {innermost(fault)}") from fault

    @contextlib.contextmanager
    def _translated(self) -> Iterator[APIClient]:
        import docker
        import requests
        import urllib3

        api = self._client()
        try:
            yield api
        except docker.errors.NotFound as fault:
            raise Missing(str(fault.explanation)) from fault
        except docker.errors.APIError as fault:
            kind = Taken if fault.status_code == 409 else StartFault  # noqa: PLR2004
            raise kind(str(fault.explanation or fault)) from fault
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
        ) as fault:
            raise Unreached(f"the Docker engine does not answer: {innermost(fault)}") from fault

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._api:
                self._api.close()
                self._api = None

    # -- the engine ------------------------------------------------------------------------------

    def version(self) -> dict[str, Any]:
        """Versions of the engine and its API."""
        with self._translated() as api:
            return cast("dict[str, Any]", api.version(api_version=False))

    def info(self) -> dict[str, Any]:
        """Settings of the engine."""
        with self._translated() as api:
            return cast("dict[str, Any]", api.info())

    def deaths(self, label: str, since: int) -> Iterator[str]:
        """Names of containers with a label, as they end; returns when the connection is lost."""
        with self._translated() as api:
            stream = api.events(
                since=since,
                filters={"type": "container", "event": "die", "label": label},
                decode=True,
            )
            self._deaths = stream
            for event in stream:
                yield event["Actor"]["Attributes"]["name"]

    def stop_deaths(self) -> None:
        """End the stream of `deaths`."""
        stream = getattr(self, "_deaths", None)
        if stream:
            with contextlib.suppress(Exception):
                stream.close()

    # -- images ----------------------------------------------------------------------------------

    def has_image(self, reference: str) -> bool:
        """Whether an image is on the host."""
        try:
            with self._translated() as api:
                api.inspect_image(reference)
        except Missing:
            return False
        return True

    def pull(self, reference: str, platform: str | None, login: tuple[str, str] | None) -> None:
        """Fetch an image. Raises StartFault with the registry's words."""
        auth = {"username": login[0], "password": login[1]} if login else None
        with self._translated() as api:
            name, tag = _split(reference)
            for step in api.pull(
                name, tag=tag, auth_config=auth, platform=platform, stream=True, decode=True
            ):
                if "error" in step:
                    raise StartFault(step["error"])

    # -- containers ------------------------------------------------------------------------------

    def create(self, name: str, body: Mapping[str, Any], platform: str | None) -> str:
        """Make a container from the API's own body; its id."""
        with self._translated() as api:
            made = api.create_container_from_config(dict(body), name, platform)
            return str(made["Id"])

    def start(self, name: str) -> None:
        """Start a container."""
        with self._translated() as api:
            api.start(name)

    def inspect(self, name: str) -> dict[str, Any] | None:
        """All about a container, None when there is none."""
        try:
            with self._translated() as api:
                return cast("dict[str, Any]", api.inspect_container(name))
        except Missing:
            return None

    def containers(self, *labels: str) -> list[dict[str, Any]]:
        """Containers with all these labels, running or not."""
        with self._translated() as api:
            found = api.containers(all=True, filters={"label": list(labels)})
            return cast("list[dict[str, Any]]", found)

    def kill(self, name: str, signal: str) -> None:
        """Send a signal; one that has ended gets none."""
        with contextlib.suppress(Missing, Taken), self._translated() as api:
            api.kill(name, signal)

    def remove(self, name: str) -> None:
        """Remove a container with its anonymous volumes."""
        with contextlib.suppress(Missing, Taken), self._translated() as api:
            api.remove_container(name, force=True, v=True)

    def usage(self, name: str) -> dict[str, Any]:
        """One reading of what a container uses."""
        with self._translated() as api:
            return cast("dict[str, Any]", api.stats(name, stream=False, one_shot=True))

    def logs(
        self, name: str, *, since: float | None, tail: int | None, follow: Stop | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream (1 stdout, 2 stderr) and data, each line led by its time."""
        query: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1}
        query["follow"] = int(follow is not None)
        query["tail"] = "all" if tail is None else tail
        if since:
            query["since"] = f"{since:.9f}"
        found = self.inspect(name)
        if found is None or found["HostConfig"]["LogConfig"]["Type"] == "none":
            return
        from docker import types

        with self._translated() as api:
            address = f"{api.base_url}/v{api.api_version}/containers/{name}/logs"
            with api.get(address, params=query, stream=True, timeout=None) as answer:
                if not answer.ok:
                    raise StartFault(_words(answer.text))
                chunks = answer.iter_content(None)
                if follow:
                    follow.wakes(types.CancellableStream(chunks, answer).close)
                if found["Config"]["Tty"]:
                    for chunk in chunks:
                        yield 1, chunk
                else:
                    yield from _frames(chunks)

    def exec(self, name: str, command: Sequence[str], **settings: Any) -> str:
        """Prepare a command in a container; its id."""
        with self._translated() as api:
            made = api.exec_create(name, list(command), **settings)
            return str(made["Id"])

    def exec_socket(self, id: str, *, tty: bool) -> Any:
        """Start a prepared command; the socket of its streams."""
        with self._translated() as api:
            return api.exec_start(id, tty=tty, socket=True)

    def exec_state(self, id: str) -> dict[str, Any]:
        """Whether a command runs, its pid on the host and its exit code."""
        with self._translated() as api:
            return cast("dict[str, Any]", api.exec_inspect(id))

    def exec_resize(self, id: str, rows: int, columns: int) -> None:
        """Tell a command's terminal its size."""
        with contextlib.suppress(StartFault), self._translated() as api:
            api.exec_resize(id, height=rows, width=columns)

    # -- networks and volumes --------------------------------------------------------------------

    def network(self, name: str) -> dict[str, Any] | None:
        """A network by its exact name, None when there is none."""
        with self._translated() as api:
            found = api.networks(names=[name])
        return next((n for n in found if n["Name"] == name), None)

    def network_users(self, name: str) -> dict[str, str]:
        """Ids and names of the containers that are in a network."""
        with self._translated() as api:
            found = api.inspect_network(name)["Containers"] or {}
        return {id: str(user["Name"]) for id, user in found.items()}

    def create_network(self, name: str, body: Mapping[str, Any]) -> None:
        """Make a network from the API's own body."""
        self._post("/networks/create", {"Name": name, "CheckDuplicate": True, **body})

    def connect(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Join a container to a further network."""
        body = {"Container": container, "EndpointConfig": dict(endpoint)}
        self._post(f"/networks/{network}/connect", body)

    def remove_network(self, name: str) -> bool:
        """Remove a network; False when it is in use."""
        try:
            with self._translated() as api:
                api.remove_network(name)
        except Missing:
            return True
        except StartFault:
            return False
        return True

    def volume(self, name: str) -> dict[str, Any] | None:
        """A volume, None when there is none."""
        try:
            with self._translated() as api:
                return cast("dict[str, Any]", api.inspect_volume(name))
        except Missing:
            return None

    def create_volume(self, name: str, driver: str | None, **settings: Any) -> None:
        """Make a volume."""
        with self._translated() as api:
            api.create_volume(name, driver, **settings)

    def users_of_volume(self, name: str) -> list[dict[str, Any]]:
        """Containers that mount a volume, running or not."""
        with self._translated() as api:
            found = api.containers(all=True, filters={"volume": name})
            return cast("list[dict[str, Any]]", found)

    def remove_volume(self, name: str) -> None:
        """Remove a volume. Raises Taken when it is in use."""
        with contextlib.suppress(Missing), self._translated() as api:
            api.remove_volume(name)

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        with self._translated() as api:
            answer = api.post(f"{api.base_url}/v{api.api_version}{path}", json=body)
        with contextlib.closing(answer):
            if not answer.ok:
                kinds: dict[int, Callable[[str], StartFault]] = {404: Missing, 409: Taken}
                raise kinds.get(answer.status_code, StartFault)(_words(answer.text))


def _knock(host: str) -> None:
    """See whether an engine's socket is open; the SDK leaves one behind when it is not."""
    path = host.partition("unix://")[2]
    if not path:
        return
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError as fault:
            raise Unreached(f"no Docker engine answers at {host}: {fault.strerror}") from fault


def _words(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:500]


def _split(reference: str) -> tuple[str, str | None]:
    """Name and tag for the pull call; a digest stays with the name's last part."""
    name, at, digest = reference.partition("@")
    if at:
        base = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
        return base, digest
    base, colon, tag = name.rpartition(":")
    return (base, tag) if colon and "/" not in tag else (name, None)


def _frames(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Split the engine's multiplexed stream: 1 byte stream, 3 of padding, 4 of length."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        while len(rest) >= 8:  # noqa: PLR2004
            stream, size = struct.unpack(">BxxxL", rest[:8])
            if len(rest) < 8 + size:
                break
            yield stream, rest[8 : 8 + size]
            rest = rest[8 + size :]
