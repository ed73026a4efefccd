"""The API of a cluster: the only module that knows the SDK; faults are translated here."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from orch.errors import OrchError, Unreachable, UsageFault
from orch_kubernetes.api.faults import Expired, Missing, broken, fault_of, is_lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orch_kubernetes.api.kinds import Kind

SECONDS = 20.0
WRITE_SECONDS = 45.0
"""What watches over the cluster may take 30 s by itself."""
STREAM_SECONDS = 320.0
"""Without a word for so long, a stream is taken for broken; watches are ended before by the API."""
PAGE = 500
POOL = 32
LOGIN_SECONDS = 5.0
"""How long a header that logs in is used: less than any token is given before its end."""
PATIENCE = 5
"""How often a call that is throttled is made again where the API says after how many seconds."""
LONGEST_PAUSE = 10.0
OUTLASTED = 15.0
"""Seconds for which an API that has answered before is asked again while it is started anew."""
LOST_PAUSE = 0.5
MANAGER = "orch"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
COMMANDS = "v5.channel.k8s.io, v4.channel.k8s.io"
FORWARDING = "v4.channel.k8s.io"
Row = dict[str, Any]


class KubernetesClient:
    """A connection by a kubeconfig, made when it is first needed.

    Logins and certificates are those of the kubeconfig, as the SDK reads it; without one, those
    that a pod finds in itself. Bodies are plain JSON: the SDK's own models refuse what a newer
    cluster answers.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._file = options.get("kubeconfig") or None
        self._context = options.get("context") or None
        self._api: Any = None
        self._opening = threading.Lock()
        self._header: Mapping[str, str] = {}
        self._login_until = self._noted = 0.0
        self._skew = 0.0
        self._answered = False
        self._streams: set[Any] = set()

    # -- connection ----------------------------------------------------------------------------

    def _client(self) -> Any:
        with self._opening:
            if self._api is None:
                self._api = self._connected()
            return self._api

    def _connected(self) -> Any:
        try:
            from kubernetes.client import ApiClient, Configuration
            from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
        except ImportError as fault:
            raise UsageFault(
                "the client of Kubernetes is not installed",
                mend='install it: pip install "anyorch[kubernetes]"',
            ) from fault
        settings = Configuration()
        settings.connection_pool_maxsize = POOL
        try:
            _untyped(load_kube_config)(self._file, self._context, settings)
        except (ConfigException, OSError) as fault:
            if self._file or self._context or not _is_in_pod():
                raise self._unusable(fault) from fault
            _untyped(load_incluster_config)(client_configuration=settings)
        return ApiClient(configuration=settings)

    def _unusable(self, fault: Exception) -> UsageFault:
        context = f", context {self._context}" if self._context else ""
        return UsageFault(
            f"there is no way to the cluster: {fault}",
            place=f"{self._file or os.environ.get('KUBECONFIG') or '~/.kube/config'}{context}",
            mend="name a context that `kubectl config get-contexts` lists"
            if self._context
            else "name a kubeconfig with --option kubeconfig=FILE or in KUBECONFIG",
        )

    def host(self) -> str:
        """Where the API is, as a URL."""
        return str(self._client().configuration.host)

    def now(self) -> float:
        """Seconds since the epoch by the cluster's clock, as its last answer told it."""
        return time.time() + self._skew

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | Sequence[tuple[str, str]] | None,
        headers: Mapping[str, str],
        **how: Any,
    ) -> Any:
        api = self._client()
        where = f"{api.configuration.host}{path}"
        said = {"Accept": "application/json", **headers, **self._login(api)}
        url = f"{where}?{urlencode(query)}" if query else where
        pool = api.rest_client.pool_manager
        with _translated(path):
            return pool.request(method, url, headers=said, retries=False, **how)

    def _login(self, api: Any) -> Mapping[str, str]:
        """The header that logs in; the SDK is asked anew now and then, as tokens expire."""
        now = time.monotonic()
        if now > self._login_until:
            self._header, self._login_until = _login(api), now + LOGIN_SECONDS
        return self._header

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """Make a call; its answer as JSON holds it.

        Raises Missing, Conflict, Denied, Refused, Transient, Unreachable, or OrchError.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind, "Accept": accept}
        seconds = SECONDS if method == "GET" else WRITE_SECONDS
        for left in reversed(range(PATIENCE)):
            how = {"body": data, "timeout": seconds}
            answer = self._outlasting(method, path, query, headers, how)
            self._note_clock(answer)
            pause = _pause_of(answer)
            if not pause or not left:
                break
            time.sleep(pause)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise fault_of(answer.status, _told(answer), path)
        return json.loads(answer.data or b"null")

    def _outlasting(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        how: Mapping[str, Any],
    ) -> Any:
        """Send; a connection that is lost is made again for a while, where it once stood.

        A repeated write finds what the first one did: all but PUT may be made twice.
        """
        end = time.monotonic() + OUTLASTED
        while True:
            try:
                answer = self._send(method, path, query, headers, **how)
            except Unreachable as fault:
                again = self._answered and method != "PUT" and is_lost(fault)
                if not again or time.monotonic() > end:
                    raise
                time.sleep(LOST_PAUSE)
            else:
                self._answered = True
                return answer

    def _note_clock(self, answer: Any) -> None:
        now = time.monotonic()
        if now - self._noted < 1:
            return  # the header has whole seconds
        self._noted = now
        with contextlib.suppress(KeyError, TypeError, ValueError):
            there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
            # Less than its whole seconds is no difference.
            skew = there - time.time()
            self._skew = skew if abs(skew) > 2 else 0.0  # noqa: PLR2004

    # -- objects -------------------------------------------------------------------------------

    def get(self, path: str, **query: str) -> Any:
        """Read something."""
        return self.request("GET", path, query=query)

    def one(self, path: str) -> Row | None:
        """An object, None when it is not there."""
        try:
            found: Row = self.get(path)
        except Missing:
            return None
        return found

    def listed(self, path: str, *, metadata: bool = False, **query: str) -> list[Row]:
        """All objects of a collection, page by page. Raises Missing where there is no such kind."""
        while True:
            try:
                return list(self._pages(path, query, _METADATA if metadata else "application/json"))
            except Expired:
                continue

    def _pages(self, path: str, query: Mapping[str, str], accept: str) -> Iterator[Row]:
        more = ""
        while True:
            asked = {"limit": str(PAGE), **query, **({"continue": more} if more else {})}
            found = self.request("GET", path, query=asked, accept=accept)
            yield from found.get("items") or ()
            more = (found.get("metadata") or {}).get("continue") or ""
            if not more:
                return

    def apply(self, path: str, body: Any, *, force: bool = False, dry_run: bool = False) -> Row:
        """Apply an object as our own; what would be there, when it is a dry run.

        Raises FieldConflict where others own what is set, unless it is forced.
        """
        query = {"fieldManager": MANAGER, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        made: Row = self.request("PATCH", path, body, query=query, kind=APPLY)
        return made

    def merge(self, path: str, body: Any, manager: str, *, dry_run: bool = False) -> Row:
        """Change some fields of an object, in the name of a manager."""
        query = {"fieldManager": manager, **({"dryRun": "All"} if dry_run else {})}
        changed: Row = self.request("PATCH", path, body, query=query, kind=MERGE)
        return changed

    def delete(self, path: str, *, uid: str = "", propagation: str = "Background") -> bool:
        """Remove an object; False when it was gone already. Raises Conflict for another uid."""
        options: Row = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path, options)
        except Missing:
            return False
        return True

    # -- streams -------------------------------------------------------------------------------

    def lines(self, path: str, query: Mapping[str, str], *, follow: bool) -> Iterator[bytes]:
        """Lines of a long answer, as they come."""
        seconds: Any = STREAM_SECONDS
        if follow:
            from urllib3 import Timeout

            seconds = Timeout(connect=SECONDS, read=None)
        answer = self._send("GET", path, query, {}, timeout=seconds, preload_content=False)
        self._streams.add(answer)
        try:
            with _translated(path):
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise fault_of(answer.status, _told(answer), path)
                yield from _split(answer)
        finally:
            self._streams.discard(answer)
            answer.close()

    def watch(self, path: str, since: str, **query: str) -> Iterator[Row]:
        """Events of a collection since a version; it ends when the API ends it. Raises Expired."""
        asked = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(int(STREAM_SECONDS) - 20),
            **query,
        }
        for line in self.lines(path, asked, follow=False):
            event = json.loads(line)
            if event.get("type") == "ERROR":
                said = event.get("object") or {}
                raise fault_of(int(said.get("code") or 500), said, path)
            yield event

    def socket(self, path: str, query: Sequence[tuple[str, str]], protocols: str = COMMANDS) -> Any:
        """A WebSocket of the API, for commands and forwarded ports."""
        from kubernetes.stream.ws_client import create_websocket
        from websocket import WebSocketBadStatusException, WebSocketException

        api = self._client()
        host = api.configuration.host.replace("http", "ws", 1)
        login = {key.lower(): value for key, value in self._login(api).items()}
        headers = {**login, "sec-websocket-protocol": protocols}
        with _translated(path):
            try:
                return _untyped(create_websocket)(
                    api.configuration, f"{host}{path}?{urlencode(query)}", headers
                )
            except WebSocketBadStatusException as fault:
                raise fault_of(fault.status_code, _parsed(fault.resp_body), path) from fault
            except WebSocketException as fault:
                raise broken(fault, path) from fault

    # -- what it is ------------------------------------------------------------------------------

    def version(self) -> str:
        """The version of the cluster, such as v1.36.2."""
        return str(self.get("/version")["gitVersion"])

    def of_kind(self, kind: Kind, namespace: str, **query: str) -> list[Row] | None:
        """Objects of a kind, None where the cluster has no such kind."""
        try:
            return self.listed(kind.collection(namespace), metadata=False, **query)
        except Missing:
            return None

    def close(self) -> None:
        """Give the connections back; whoever still reads a stream comes to its end."""
        for answer in list(self._streams):
            with contextlib.suppress(Exception):
                answer.shutdown()
        with self._opening:
            if self._api is not None:
                self._api.rest_client.pool_manager.clear()
                self._api.close()
                self._api = None


def _untyped(function: Any) -> Any:
    return function


def _is_in_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ


def _login(api: Any) -> dict[str, str]:
    """The header that logs in; certificates are the pool's business."""
    return {
        one["key"]: one["value"]
        for one in api.configuration.auth_settings().values()
        if one.get("in") == "header" and one.get("value")
    }


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """Faults of the connection as ours."""
    from urllib3.exceptions import HTTPError

    try:
        yield
    except OrchError:
        raise
    except (HTTPError, OSError) as fault:
        raise broken(fault, path) from fault


def _pause_of(answer: Any) -> float:
    """Seconds after which a throttled call is to be made again, 0 for never."""
    if answer.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return 0.0
    said = answer.headers.get("Retry-After", "")
    return min(float(said), LONGEST_PAUSE) if said.isdigit() else 0.0


def _told(answer: Any) -> Row:
    """The API's own words."""
    return _parsed(answer.data) or {"message": str(answer.reason or answer.status)}


def _parsed(data: bytes | None) -> Row:
    try:
        said = json.loads(data or b"{}")
    except ValueError:
        return {"message": (data or b"").decode(errors="replace").strip()}
    return said if isinstance(said, dict) else {"message": str(said)}


def _split(answer: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := answer.read1(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
