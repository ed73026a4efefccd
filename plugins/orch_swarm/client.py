"""The engine's API of a manager: the only module that knows the SDK; faults are translated here."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orch.errors import Conflict, Denied, OrchError, Transient, Unreachable, UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import APIClient

SECONDS = 60
REGISTRY_SECONDS = 15
POOL = 32
_EXIT_SECONDS = 5.0
_NOT_A_SWARM = "this node is not a swarm manager"
_NO_LEADER = ("does not have a leader", "no elected", "lost quorum", "raft: stopped")


class Missing(OrchError):
    """The swarm has no such object."""


class InUse(Transient):
    """The object can't go yet: something still uses it."""


class SwarmClient:
    """A connection to a manager, made when it is first needed."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        self._lock = threading.Lock()
        self._api: APIClient | None = None
        self._where = ""

    # -- connection --------------------------------------------------------------------------

    def _client(self) -> APIClient:
        with self._lock:
            if self._api is None:
                self._api = self._connect()
            return self._api

    def _connect(self) -> APIClient:
        import docker

        settings = self._settings()
        self._where = settings.get("base_url") or "unix:///var/run/docker.sock"
        _knock(self._where)
        try:
            return docker.APIClient(version="auto", timeout=SECONDS, max_pool_size=POOL, **settings)
        except Exception as fault:
            raise self._unreachable(fault) from fault

    def _settings(self) -> dict[str, Any]:
        import docker

        host, folder = self._options.get("host"), self._options.get("tls")
        if host:
            tls = _tls(Path(folder)) if folder else None
            return {"base_url": host, **({"tls": tls} if tls else {}), **_ssh(host)}
        named = self._options.get("context")
        settings = {} if named else docker.utils.kwargs_from_env()
        if settings.get("base_url"):
            return {**settings, **_ssh(settings["base_url"])}
        return _context_settings(named or os.environ.get("DOCKER_CONTEXT"))

    def _unreachable(self, fault: BaseException) -> Unreachable:
        return Unreachable(
            f"no Docker engine answers: {_cause(fault)}",
            place=self._where,
            mend="check the host, context or DOCKER_HOST, its TLS files, and that dockerd runs",
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[APIClient]:
        import docker
        import requests
        import urllib3

        api = self._client()
        try:
            yield api
        except docker.errors.APIError as fault:
            said = str(fault.explanation or fault)
            raise fault_of(int(fault.status_code or 0), said, self._where) from fault
        except (requests.Timeout, TimeoutError) as fault:
            raise Transient(f"the engine did not answer in time: {_cause(fault)}") from fault
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as fault:
            raise self._unreachable(fault) from fault

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._api is not None:
                self._api.close()
                self._api = None

    # -- plain calls ---------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> Any:
        """A GET whose answer is JSON; parameters that are mappings go out as JSON."""
        with self._translated() as api:
            return api._result(api._get(api._url(path), params=_params(params)), json=True)  # noqa: SLF001

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Any:
        """A POST; the answer as JSON, None when it is empty."""
        with self._translated() as api:
            answer = api._post(  # noqa: SLF001
                api._url(path),  # noqa: SLF001
                data=json.dumps(body if body is not None else {}),
                headers={"Content-Type": "application/json", **(headers or {})},
                params=_params(params),
            )
            api._raise_for_status(answer)  # noqa: SLF001
            return answer.json() if answer.content else None

    def delete(self, path: str, **params: Any) -> None:
        """A DELETE; one that is gone already is no fault."""
        with contextlib.suppress(Missing), self._translated() as api:
            answer = api._delete(api._url(path), params=_params(params))  # noqa: SLF001
            api._raise_for_status(answer)  # noqa: SLF001

    def api_version(self) -> tuple[int, int]:
        """The version of the API that is spoken."""
        with self._translated() as api:
            major, _, minor = str(api.api_version).partition(".")
            return int(major), int(minor)

    # -- what is there ---------------------------------------------------------------------------

    def node_id(self) -> str:
        """This node's id. Raises Unreachable when it is no manager of a swarm."""
        with self._translated() as api:
            swarm = api.info().get("Swarm") or {}
        if swarm.get("LocalNodeState") in (None, "", "inactive"):
            raise Unreachable(
                "the engine is in no swarm",
                place=self._where,
                mend="run `docker swarm init` there, or name a manager",
            )
        if not swarm.get("ControlAvailable"):
            raise Unreachable(
                swarm.get("Error") or _NOT_A_SWARM,
                place=self._where,
                mend=_QUORUM if swarm.get("LocalNodeState") != "active" else _MANAGER,
            )
        return str(swarm.get("NodeID", ""))

    def listed(self, kind: str, **filters: list[str]) -> list[dict[str, Any]]:
        """Services, tasks, nodes, configs, secrets, networks or volumes."""
        params: dict[str, Any] = {"filters": filters} if filters else {}
        if kind == "services" and self.api_version() >= (1, 41):
            params["status"] = "true"
        found = self.get(f"/{kind}", **params)
        rows = found.get("Volumes") if kind == "volumes" else found
        return cast("list[dict[str, Any]]", rows or [])

    def one(self, kind: str, id_: str) -> dict[str, Any] | None:
        """An object by id or name, None when there is none."""
        try:
            return cast("dict[str, Any]", self.get(f"/{kind}/{id_}"))
        except Missing:
            return None

    # -- images ------------------------------------------------------------------------------------

    def digest_of(self, image: str, login: Mapping[str, str] | None) -> str:
        """The digest that the registry gives for an image now. Raises OrchError."""
        headers = {"X-Registry-Auth": self.auth_header(image, login)}
        with self._translated() as api:
            answer = api.get(
                api._url("/distribution/{0}/json", image),  # noqa: SLF001
                headers={k: v for k, v in headers.items() if v},
                timeout=REGISTRY_SECONDS,
            )
            found = api._result(answer, json=True)  # noqa: SLF001
        return str(found["Descriptor"]["digest"])

    def auth_header(self, image: str, login: Mapping[str, str] | None) -> str:
        """What the engine is sent to log in to an image's registry; empty for nothing."""
        from docker import auth

        if login:
            return cast("bytes", auth.encode_header(dict(login))).decode()
        registry, _ = auth.resolve_repository_name(image.partition("@")[0])
        with self._translated() as api:
            found = auth.resolve_authconfig(
                api._auth_configs,  # noqa: SLF001
                registry,
                credstore_env=api.credstore_env,
            )
        return cast("bytes", auth.encode_header(found)).decode() if found else ""

    # -- streams -----------------------------------------------------------------------------------

    def logs(self, path: str, *, follow: bool, tail: int | None, since: float | None) -> Any:
        """An open answer of a service's or task's logs; close it after use."""
        query: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "details": 1}
        query["follow"] = int(follow)
        query["tail"] = "all" if tail is None else tail
        if since:
            query["since"] = int(since)
        with self._translated() as api:
            answer = api.get(
                api._url(path),  # noqa: SLF001
                params=query,
                stream=True,
                timeout=None if follow else SECONDS,
            )
            api._raise_for_status(answer)  # noqa: SLF001
            return answer

    def exec(self, container: str, command: list[str], *, tty: bool, stdin: bool) -> str:
        """Prepare a command in a container of this node; its id."""
        with self._translated() as api:
            made = api.exec_create(container, command, stdin=stdin, tty=tty)
            return str(made["Id"])

    def exec_socket(self, id_: str, *, tty: bool) -> Any:
        """Start a prepared command; the socket of its streams."""
        with self._translated() as api:
            return api.exec_start(id_, tty=tty, socket=True)

    def exec_code(self, id_: str) -> int:
        """The exit code of a command whose streams have ended."""
        end = time.monotonic() + _EXIT_SECONDS
        with self._translated() as api:
            while (state := api.exec_inspect(id_))["Running"] and time.monotonic() < end:
                # The streams are closed a moment before the engine has written the end down.
                time.sleep(0.02)
        return int(state["ExitCode"] or 0)

    def exec_resize(self, id_: str, rows: int, columns: int) -> None:
        """Tell a command's terminal its size."""
        with contextlib.suppress(OrchError), self._translated() as api:
            api.exec_resize(id_, height=rows, width=columns)


_QUORUM = (
    "too few managers answer: start them again, or run `docker swarm init --force-new-cluster`"
)
_MANAGER = "name a manager as the host: workers can't be asked"


def fault_of(status: int, said: str, where: str = "") -> OrchError:
    """An API fault by what the caller does next."""
    low = said.lower()
    for words, make in _BY_WORDS:
        if any(part in low for part in words):
            return make(said, where)
    if status in _BY_STATUS:
        return _BY_STATUS[status](said, where)
    return OrchError(said, place=where)


_INIT = "run `docker swarm init` there, or name a manager"
_Fault = Callable[[str, str], OrchError]
_BY_WORDS: tuple[tuple[tuple[str, ...], _Fault], ...] = (
    (("update out of sequence",), lambda said, _: _moved(said)),
    (
        ("no space left",),
        lambda said, where: OrchError(said, place=where, mend="make room on that node's disk"),
    ),
    (
        _NO_LEADER,
        lambda said, where: Unreachable(
            f"the swarm has no leader: {said}", place=where, mend=_QUORUM
        ),
    ),
    (
        ("not part of a swarm", _NOT_A_SWARM, "is not a swarm manager"),
        lambda said, where: Unreachable(said, place=where, mend=_INIT),
    ),
    (("in use", "active endpoints"), lambda said, _: InUse(said, mend="remove what uses it")),
    (("deadline", "timed out", "context canceled"), lambda said, _: Transient(said)),
)
_BY_STATUS: Mapping[int, _Fault] = {
    400: lambda said, _: UsageFault(f"the swarm refuses it: {said}", mend="change the spec"),
    401: lambda said, where: Denied(said, place=where, mend="log in with rights for it"),
    403: lambda said, where: Denied(said, place=where, mend="log in with rights for it"),
    404: lambda said, _: Missing(said),
    409: lambda said, _: _moved(said),
}


def _moved(said: str) -> Conflict:
    return Conflict(said, mend="look again: somebody else changed it")


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in params.items()}


def _ssh(host: str) -> dict[str, Any]:
    """The user's own ssh, with its configuration and agent."""
    return {"use_ssh_client": True} if host.startswith("ssh://") else {}


def _tls(folder: Path) -> Any:
    import docker

    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise UsageFault(
            f"{', '.join(missing)} is missing",
            place="the target's option tls",
            mend="name a folder with ca.pem, cert.pem and key.pem",
        )
    pair = (str(files["cert"]), str(files["key"]))
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=str(files["ca"]), verify=True)


def _context_settings(named: str | None) -> dict[str, Any]:
    from docker import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_context(named) if named else ContextAPI.get_current_context()
    except DockerException as fault:
        raise UsageFault(str(fault), mend="see `docker context ls`") from fault
    if context is None:
        if named:
            raise UsageFault(
                f"there is no docker context {named!r}", mend="see `docker context ls`"
            )
        return {}
    settings: dict[str, Any] = {"base_url": context.Host, **_ssh(context.Host or "")}
    if context.TLSConfig:
        settings["tls"] = context.TLSConfig
    return settings


def _knock(host: str) -> None:
    """See whether a socket is open; the SDK leaves one behind when it is not."""
    path = host.partition("unix://")[2]
    if not path:
        return
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except PermissionError as fault:
            raise Denied(
                "this user may not speak to the Docker engine",
                place=host,
                mend="join the docker group, or use sudo",
            ) from fault
        except OSError as fault:
            raise Unreachable(
                f"no Docker engine answers: {fault.strerror}",
                place=host,
                mend="check the host, context or DOCKER_HOST, and that dockerd runs",
            ) from fault


def _cause(fault: BaseException) -> str:
    """The innermost reason, without the wrappings of HTTP libraries."""
    found: BaseException = fault
    step: BaseException | None = fault
    while step is not None:
        found = step if isinstance(step, OSError) and step.strerror else found
        step = step.__context__
    text = getattr(found, "strerror", None) or str(found)
    return text.strip().splitlines()[0][:200] if text.strip() else type(found).__name__
