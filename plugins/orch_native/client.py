"""A typed client of the native server, over HTTP on its Unix socket.

Every fault of the connection and every problem that the server tells becomes one of `orch.errors`:
see `wire_faults`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from orch.frozen import EMPTY
from orch.types import Event, EventKind, Instance, LogLine, Replica, ServiceStatus, Status
from orch_native.api import (
    About,
    HeldLock,
    Refusal,
    Rollout,
    RolloutPhase,
    StoredResource,
)
from orch_native.process_mark import own_mark
from orch_native.remote_exec import RemoteExec
from orch_native.wire_faults import problem_fault, raise_for, translated, unreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import httpx

    from orch.types import Resource

    Params = dict[str, str | int | float]


class NativeClient:
    """One connection pool to one server. Safe to use from several threads.

    Every method may raise Unreachable (no answer), Denied (not our socket) or Transient (the
    connection broke, the call may be repeated).
    """

    def __init__(self, socket: Path, *, timeout: float = 30.0) -> None:
        import httpx

        self.socket = socket
        transport = httpx.HTTPTransport(uds=str(socket))
        self._http = httpx.Client(transport=transport, base_url="http://orch", timeout=timeout)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- the server ------------------------------------------------------------------------

    def about(self) -> About:
        """Who answers; also proves that it is ready."""
        return About(**self._get("/v1/about"))

    def stop(self, *, tasks: bool = False) -> None:
        """End the server; with `tasks` everything that it runs is stopped first."""
        self._send("POST", "/v1/stop", {"tasks": tasks})

    def node(self) -> dict[str, Any]:
        """Facts of the node: cpus (thousandths), memory, disk, drivers, devices, labels."""
        found: dict[str, Any] = self._get("/v1/node")
        return found

    def instances(self) -> list[tuple[str, str]]:
        """Namespace and name of every instance that the server holds anything of."""
        return [(row["namespace"], row["name"]) for row in self._get("/v1/apps")]

    # -- resources -------------------------------------------------------------------------

    def put_resource(
        self,
        instance: Instance,
        kind: str,
        name: str,
        body: Mapping[str, Any],
        *,
        revision: int = 0,
        secrets: Mapping[str, bytes] = EMPTY,
        expect_version: str | None = None,
        as_applied: bool = True,
        formerly: str = "",
    ) -> StoredResource:
        """Create or change a resource; the same body again changes nothing.

        `secrets` holds values by name, beside the body. `expect_version` None takes whatever is
        there, empty means that it must not exist. With `as_applied=False` the change counts as
        made by somebody else, which a later plan shows as drift. `formerly` is the name of a
        service or job that becomes this one. Raises Conflict when the version moved, UsageFault
        for a body that is not valid.
        """
        put = {
            "body": body,
            "revision": revision,
            "secrets": {name: b64encode(value).decode() for name, value in secrets.items()},
            "expect_version": expect_version,
            "as_applied": as_applied,
            "formerly": formerly,
        }
        return StoredResource(**self._send("PUT", _resource(instance, kind, name), put))

    def delete_resource(
        self, instance: Instance, kind: str, name: str, *, expect_version: str | None = None
    ) -> None:
        """Begin to remove a resource; one that is gone is no fault. `rollout` ends with GONE.

        Volumes and networks go when nothing uses them any more; a volume's data goes with it.
        """
        params: Params = {} if expect_version is None else {"expect_version": expect_version}
        self._request("DELETE", _resource(instance, kind, name), params=params)

    def resources(self, instance: Instance) -> list[StoredResource]:
        """Everything that the instance has, but for what is being removed."""
        return [StoredResource(**row) for row in self._get(f"{_app(instance)}/resources")]

    def resource(self, instance: Instance, kind: str, name: str) -> StoredResource | None:
        """One resource, None when there is none; one being removed has `deleting` set."""
        found = self._get(_resource(instance, kind, name), missing=None)
        return None if found is None else StoredResource(**found)

    def restart(self, instance: Instance, kind: str, name: str, *, revision: int = 0) -> None:
        """Replace every replica at the pace of the update config, or run a job once more."""
        body = {"kind": kind, "name": name, "revision": revision}
        self._send("POST", f"{_app(instance)}/restart", body)

    def retry(self, instance: Instance, kind: str, name: str, *, revision: int = 0) -> None:
        """Start anew what does not serve, with a new deadline, or run a failed job once more.

        While a rollout is on its way, nothing: the first call has done it.
        """
        body = {"kind": kind, "name": name, "revision": revision}
        self._send("POST", f"{_app(instance)}/retry", body)

    def promote(self, instance: Instance, name: str) -> None:
        """Let a service's canary, or its paused update, go on."""
        self._send("POST", f"{_app(instance)}/promote", {"kind": "service", "name": name})

    def rollout(
        self, instance: Instance, kind: str, name: str, *, timeout: float | None = None
    ) -> Iterator[Rollout]:
        """Follow a change until a final phase; every sight that differs from the last is given.

        A schedule is HEALTHY once it is accepted. Raises TimedOut after `timeout` seconds.
        """
        params: Params = {"kind": kind, "name": name}
        if timeout is not None:
            params["timeout"] = timeout
        for row in self._stream(f"{_app(instance)}/rollout", params):
            yield _rollout(row)

    def refusals(
        self, instance: Instance, units: Iterable[Resource], leaving: Collection[str] = ()
    ) -> list[Refusal]:
        """What of these units can't be run together on any node now, each with its reason.

        `leaving` are the ids of services and jobs that may go for them.
        """
        rows = [{"kind": unit.kind, "name": unit.name, "body": unit.body} for unit in units]
        asked = {"units": rows, "leaving": list(leaving)}
        found = self._send("POST", f"{_app(instance)}/refusals", asked)
        return [Refusal(**row) for row in found]

    # -- what runs -------------------------------------------------------------------------

    def status(self, instance: Instance) -> Status:
        """Services and jobs, their replicas and health."""
        found = self._get(f"{_app(instance)}/status")
        services = tuple(_service_status(row) for row in found["services"])
        return Status(instance.name, instance.target, found["revision"], found["healthy"], services)

    def stats(self, instance: Instance) -> dict[str, dict[str, float]]:
        """Cpu (cores) and memory (bytes) by replica id."""
        found: dict[str, dict[str, float]] = self._get(f"{_app(instance)}/stats")
        return found

    def logs(
        self,
        instance: Instance,
        *,
        services: Sequence[str] = (),
        replicas: Sequence[str] = (),
        follow: bool = False,
        since: float | None = None,
        tail: int | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the chosen replicas; following includes replicas that start later."""
        params: dict[str, Any] = {
            "service": list(services),
            "replica": list(replicas),
            "follow": int(follow),
        }
        params |= {} if since is None else {"since": since}
        params |= {} if tail is None else {"tail": tail}
        for row in self._stream(f"{_app(instance)}/logs", params):
            yield LogLine(**row)

    def events(
        self, instance: Instance, *, follow: bool = False, since: float | None = None
    ) -> Iterator[Event]:
        """What happened, oldest first; `since` is seconds since the epoch."""
        params: Params = {"follow": int(follow)}
        params |= {} if since is None else {"since": since}
        for row in self._stream(f"{_app(instance)}/events", params):
            yield Event(EventKind(row.pop("kind")), **row)

    def why(self, instance: Instance, replica: str) -> list[str]:
        """Why a service or replica is where it is, or why it is nowhere; with figures."""
        found: list[str] = self._get(f"{_app(instance)}/why", params={"replica": replica})
        return found

    def exec(
        self,
        instance: Instance,
        service: str,
        replica: str,
        command: Sequence[str],
        *,
        tty: bool = False,
    ) -> RemoteExec:
        """Run a command in a replica (by id or index; empty means the first that runs)."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import unix_connect

        stack = ExitStack()
        try:
            connection = stack.enter_context(
                unix_connect(str(self.socket), f"ws://orch{_app(instance)}/exec", max_size=None)
            )
        except (OSError, WebSocketException, TimeoutError) as fault:
            raise unreachable(self.socket, fault) from None
        asked = {"service": service, "replica": replica, "command": list(command), "tty": tty}
        connection.send(json.dumps(asked))
        return RemoteExec(connection, stack)

    # -- records and the lock --------------------------------------------------------------

    def create_record(self, instance: Instance, name: str, data: bytes) -> None:
        """Write a record. Raises Conflict when the name is taken."""
        self._request("PUT", _record(instance, name), content=data)

    def read_record(self, instance: Instance, name: str) -> bytes:
        """Raises KeyError when there is none."""
        answer = self._request("GET", _record(instance, name), missing=True)
        if answer is None:
            raise KeyError(name)
        return answer.content

    def held_secrets(self, instance: Instance) -> dict[str, list[str]]:
        """The versions of each secret whose values are kept."""
        found: dict[str, list[str]] = self._get(f"{_app(instance)}/secrets")
        return found

    def forget_secrets(self, instance: Instance, keep: Mapping[str, Collection[str]]) -> None:
        """Drop the values of all other versions, but for those that something runs with."""
        versions = {name: sorted(kept) for name, kept in keep.items()}
        self._send("POST", f"{_app(instance)}/secrets/forget", {"versions": versions})

    def record_names(self, instance: Instance, prefix: str = "") -> list[str]:
        """Names that begin so."""
        found: list[str] = self._get(f"{_app(instance)}/records", params={"prefix": prefix})
        return found

    def delete_record(self, instance: Instance, name: str) -> None:
        """Remove a record; one that is gone already is no fault."""
        self._request("DELETE", _record(instance, name))

    def acquire_lock(self, instance: Instance, holder: str, ttl: float) -> HeldLock:
        """Take the instance's lock for `ttl` seconds. Raises Locked naming the holder.

        It ends with this process: nobody has to wait for a deploy that was killed.
        """
        wish = {"holder": holder, "ttl": ttl, "process": own_mark()}
        return self._lock(instance, "acquire", wish)

    def renew_lock(self, instance: Instance, token: str, ttl: float) -> HeldLock:
        """Raises Locked when it was lost."""
        return self._lock(instance, "renew", {"token": token, "ttl": ttl})

    def release_lock(self, instance: Instance, token: str) -> None:
        """Give it back; a lost lock is no fault."""
        self._send("POST", f"{_app(instance)}/lock/release", {"token": token})

    def break_lock(self, instance: Instance) -> str:
        """Remove whatever lock there is; its holder, empty when there was none."""
        return str(self._send("POST", f"{_app(instance)}/lock/break", {})["holder"])

    def _lock(self, instance: Instance, verb: str, body: Mapping[str, Any]) -> HeldLock:
        return HeldLock(**self._send("POST", f"{_app(instance)}/lock/{verb}", body))

    # -- the wire --------------------------------------------------------------------------

    def _get(self, path: str, **options: Any) -> Any:
        answer = self._request("GET", path, **options)
        return None if answer is None else answer.json()

    def _send(self, method: str, path: str, body: Any) -> Any:
        answer = self._request(method, path, json=body)
        return answer.json() if answer is not None and answer.content else None

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        absent_is_fine = "missing" in options
        options.pop("missing", None)
        with translated(self.socket):
            answer = self._http.request(method, path, **options)
        if absent_is_fine and answer.status_code == 404:  # noqa: PLR2004
            return None
        raise_for(answer)
        return answer

    def _stream(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        import httpx

        endless = httpx.Timeout(30.0, read=None)
        with (
            translated(self.socket),
            self._http.stream("GET", path, params=params, timeout=endless) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise_for(answer)
            for line in answer.iter_lines():
                row = json.loads(line)
                if "problem" in row:
                    raise problem_fault(row["problem"])
                yield row


def _app(instance: Instance) -> str:
    return f"/v1/apps/{quote(instance.namespace, safe='')}/{quote(instance.name, safe='')}"


def _resource(instance: Instance, kind: str, name: str) -> str:
    return f"{_app(instance)}/resources/{quote(kind, safe='')}/{quote(name, safe='')}"


def _record(instance: Instance, name: str) -> str:
    return f"{_app(instance)}/records/{quote(name, safe='')}"


def _rollout(row: dict[str, Any]) -> Rollout:
    row["phase"] = RolloutPhase(row["phase"])
    row["failed"] = tuple(row["failed"])
    return Rollout(**row)


def _service_status(row: dict[str, Any]) -> ServiceStatus:
    row["replicas"] = tuple(Replica(**replica) for replica in row["replicas"])
    row["endpoints"] = tuple(row["endpoints"])
    return ServiceStatus(**row)
