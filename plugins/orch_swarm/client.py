"""The engine's API of a manager: the only module that knows the SDK; faults are translated here."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from orch.errors import Denied, OrchError, Transient, Unreachable, UsageFault
from orch_swarm.contexts import Endpoint, endpoint
from orch_swarm.faults import (
    JOIN,
    MANAGER,
    NOT_A_SWARM,
    QUORUM,
    Deposed,
    InUse,
    Leaderless,
    Lost,
    Missing,
    NoManager,
    fault_of,
)
from orch_swarm.reach import cause, knock, left_alone, nobody, unanswered
from orch_swarm.ssh import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docker import APIClient

SECONDS = 60
REGISTRY_SECONDS = 15
POOL = 32
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")
WAITS = (6.0, 6.0, 6.0, 6.0, 25.0)
"""Seconds that an answer may take, one try after another. A manager that asks a leader which has
just died gives it 20, and does not turn to the next one before; what is asked later is told."""
ELECTION_SECONDS = 30.0
"""How long managers that were led may take to agree on another leader: they wait 10 to 20 before
they vote, and may have to vote again."""
FIRST_SECONDS = 5.0
"""The same for a swarm that had none when last asked: it has more likely lost its quorum."""
_EXIT_SECONDS = 5.0
_POLL = 0.5
T = TypeVar("T")


class SwarmClient:
    """A connection to a manager, made when it is first needed; to the next one when it is lost."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)
        named = (host.strip() for host in self._options.get("host", "").split(","))
        self._hosts = [host for host in named if host] or [""]
        self._lock = threading.RLock()
        self._api: APIClient | None = None
        self._left: list[APIClient] = []
        self._patience = FIRST_SECONDS
        self._where = ""
        self._tunnels: dict[str, Tunnel] = {}

    # -- connection --------------------------------------------------------------------------

    def _client(self) -> APIClient:
        """The first of the hosts that answers, beginning with the one that answered last."""
        with self._lock:
            faults: list[Unreachable] = []
            while self._api is None:
                try:
                    self._api = self._connect(self._hosts[0])
                except Unreachable as fault:
                    faults.append(fault)
                    self._hosts.append(self._hosts.pop(0))
                    if len(faults) == len(self._hosts):
                        raise nobody(faults) from fault
            return self._api

    def _connect(self, host: str) -> APIClient:
        there = self._endpoint(host)
        self._where = there.host
        address = self._through(there.host)
        knock(address, there.host)
        settings = {"tls": _tls(there.tls, verify=there.verify)} if there.tls else {}
        try:
            return _connected(address, settings)
        except Exception as fault:
            raise self._refused(fault) from fault

    def _leave(self, api: APIClient) -> None:
        """Turn to the next host; what other threads still hear from this one is heard."""
        with self._lock:
            if self._api is api:
                self._left.append(api)
                self._api = None
                self._hosts.append(self._hosts.pop(0))

    def _made(self, call: Callable[[APIClient, float], T], *, repeat: bool) -> T:
        """Make a call, again while a leader is elected; one that may be repeated, elsewhere too.

        The call gets the seconds that its answer may take.
        """
        lost, since = 0, 0.0
        while True:
            api = self._client()
            try:
                with self._translated():
                    found = call(api, WAITS[min(lost, len(WAITS) - 1)])
            except Leaderless as fault:
                if isinstance(fault, Deposed) and not repeat:
                    raise unanswered(fault) from fault
                since = since or time.monotonic()
                self._outlast(fault, since)
            except InUse:
                raise
            except (Lost, NoManager, Transient) as fault:
                if isinstance(fault, Unreachable) and len(self._hosts) == 1:
                    raise left_alone(fault) from fault
                self._leave(api)
                if not repeat:
                    raise unanswered(fault) from fault
                lost += 1
                if lost >= max(len(WAITS), len(self._hosts)):
                    raise
            else:
                self._patience = ELECTION_SECONDS
                return found

    def _outlast(self, fault: Leaderless, since: float) -> None:
        """A pause, while an election that is known of since then may still go on."""
        if time.monotonic() - since > self._patience:
            self._patience = FIRST_SECONDS
            raise fault
        time.sleep(_POLL)

    def _endpoint(self, host: str) -> Endpoint:
        if not host:
            return endpoint(self._options.get("context"), os.environ)
        folder = self._options.get("tls")
        return Endpoint(host, _complete(Path(folder)) if folder else None)

    def _through(self, host: str) -> str:
        """The address at which this machine reaches a host."""
        if not host.startswith("ssh://"):
            return host
        if host not in self._tunnels:
            self._tunnels[host] = Tunnel(host)
        return self._tunnels[host].address

    def _unreachable(self, fault: BaseException) -> Unreachable:
        tunnel = self._tunnels.get(self._where)
        said = (tunnel.said() if tunnel else "") or cause(fault)
        mend = "check the host, context or DOCKER_HOST, its TLS files, and that dockerd runs"
        if "to an HTTPS server" in said:
            mend = "name a folder with its certificates as `tls`, or a context that has them"
        return Lost(f"no Docker engine answers: {said}", place=self._where, mend=mend)

    def _refused(self, fault: BaseException) -> Unreachable:
        """Why a first answer was none: an engine may deny even that."""
        step: BaseException | None = fault
        while step is not None:
            found = fault_of(getattr(step, "status_code", None) or 0, str(step), self._where)
            if isinstance(found, Denied):
                return found
            step = step.__cause__
        return self._unreachable(fault)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import docker
        import requests
        import urllib3

        try:
            yield
        except docker.errors.APIError as fault:
            said = str(fault.explanation or fault)
            raise fault_of(int(fault.status_code or 0), said, self._where) from fault
        except (requests.Timeout, TimeoutError) as fault:
            raise Transient(f"the engine did not answer in time: {cause(fault)}") from fault
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
            for api in (*self._left, self._api):
                if api is not None:
                    api.close()
            self._left, self._api = [], None
            for tunnel in self._tunnels.values():
                tunnel.close()
            self._tunnels = {}

    # -- plain calls ---------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> Any:
        """A GET whose answer is JSON; parameters that are mappings go out as JSON."""

        def ask(api: APIClient, seconds: float) -> Any:
            query = _params(params)
            answer = api._get(api._url(path), params=query, timeout=seconds)  # noqa: SLF001
            return api._result(answer, json=True)  # noqa: SLF001

        return self._made(ask, repeat=True)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        within: float = SECONDS,
        **params: Any,
    ) -> Any:
        """A POST; the answer as JSON, None when it is empty.

        Raises Transient when none came `within` seconds: it may have been done or not.
        """

        def send(api: APIClient, _seconds: float) -> Any:
            answer = api._post(  # noqa: SLF001
                api._url(path),  # noqa: SLF001
                data=json.dumps(body if body is not None else {}),
                headers={"Content-Type": "application/json", **(headers or {})},
                params=_params(params),
                timeout=within,
            )
            api._raise_for_status(answer)  # noqa: SLF001
            return answer.json() if answer.content else None

        return self._made(send, repeat=False)

    def delete(self, path: str, **params: Any) -> None:
        """A DELETE; one that is gone already is no fault."""

        def remove(api: APIClient, seconds: float) -> None:
            query = _params(params)
            answer = api._delete(api._url(path), params=query, timeout=seconds)  # noqa: SLF001
            api._raise_for_status(answer)  # noqa: SLF001

        with contextlib.suppress(Missing):
            self._made(remove, repeat=True)

    def api_version(self) -> tuple[int, int]:
        """The version of the API that is spoken."""
        major, _, minor = str(self._client().api_version).partition(".")
        return int(major), int(minor)

    # -- what is there ---------------------------------------------------------------------------

    def node_id(self) -> str:
        """This node's id. Raises Unreachable when it is no manager of a swarm."""

        def look(api: APIClient, seconds: float) -> str:
            answer = api._get(api._url("/info"), timeout=seconds)  # noqa: SLF001
            swarm = api._result(answer, json=True).get("Swarm") or {}  # noqa: SLF001
            state = swarm.get("LocalNodeState")
            if state in (None, "", "inactive"):
                raise NoManager("the engine is in no swarm", place=self._where, mend=JOIN)
            said = str(swarm.get("Error") or "")
            fault = fault_of(0, said, self._where)
            if isinstance(fault, Leaderless):
                raise fault
            if not swarm.get("ControlAvailable"):
                mend = MANAGER if state == "active" else QUORUM
                raise NoManager(said or NOT_A_SWARM, place=self._where, mend=mend)
            return str(swarm.get("NodeID", ""))

        return self._made(look, repeat=True)

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

    def distribution(self, image: str, login: Mapping[str, str] | None) -> dict[str, Any]:
        """What the registry says of an image now: its digest and platforms. Raises OrchError."""
        headers = {"X-Registry-Auth": self.auth_header(image, login)}
        api = self._client()
        with self._translated():
            answer = api.get(
                api._url("/distribution/{0}/json", image),  # noqa: SLF001
                headers={k: v for k, v in headers.items() if v},
                timeout=REGISTRY_SECONDS,
            )
            found = api._result(answer, json=True)  # noqa: SLF001
        return cast("dict[str, Any]", found)

    def auth_header(self, image: str, login: Mapping[str, str] | None) -> str:
        """What the engine is sent to log in to an image's registry; empty for nothing."""
        from docker import auth

        if login:
            return cast("bytes", auth.encode_header(dict(login))).decode()
        registry, _ = auth.resolve_repository_name(image.partition("@")[0])
        api = self._client()
        with self._translated():
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
        api = self._client()
        with self._translated():
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
        api = self._client()
        with self._translated():
            made = api.exec_create(container, command, stdin=stdin, tty=tty)
            return str(made["Id"])

    def exec_socket(self, id_: str, *, tty: bool) -> Any:
        """Start a prepared command; the socket of its streams."""
        api = self._client()
        with self._translated():
            return api.exec_start(id_, tty=tty, socket=True)

    def exec_code(self, id_: str) -> int:
        """The exit code of a command whose streams have ended."""
        api, end = self._client(), time.monotonic() + _EXIT_SECONDS
        with self._translated():
            while (state := api.exec_inspect(id_))["Running"] and time.monotonic() < end:
                # The streams are closed a moment before the engine has written the end down.
                time.sleep(0.02)
        return int(state["ExitCode"] or 0)

    def exec_resize(self, id_: str, rows: int, columns: int) -> None:
        """Tell a command's terminal its size."""
        with contextlib.suppress(OrchError), self._translated():
            self._client().exec_resize(id_, height=rows, width=columns)


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in params.items()}


def _connected(address: str, settings: Mapping[str, Any]) -> APIClient:
    import docker

    class Client(docker.APIClient):  # type: ignore[misc]
        def merge_environment_settings(
            self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
        ) -> Any:
            # Else REQUESTS_CA_BUNDLE would count for more than the authority of the TLS files.
            chosen = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, chosen, cert)

    return Client(version="auto", timeout=SECONDS, max_pool_size=POOL, base_url=address, **settings)


def _complete(folder: Path) -> Path:
    missing = [str(path) for path in map(folder.joinpath, TLS_FILES) if not path.is_file()]
    if missing:
        raise UsageFault(
            f"{', '.join(missing)} is missing",
            place="the target's option tls",
            mend="name a folder with ca.pem, cert.pem and key.pem",
        )
    return folder


def _tls(folder: Path, *, verify: bool) -> Any:
    import docker

    ca, *pair = (path if path.is_file() else None for path in map(folder.joinpath, TLS_FILES))
    return docker.tls.TLSConfig(
        client_cert=tuple(map(str, pair)) if all(pair) else None,
        ca_cert=str(ca) if ca else None,
        verify=verify,
    )
