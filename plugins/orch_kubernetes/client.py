"""The API of a cluster: the only module that knows the SDK; faults are translated here."""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from orch.errors import Conflict, Denied, OrchError, Transient, Unreachable, UsageFault
from orch_kubernetes.facts import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECONDS = 20.0
NODES = 20
"""How many nodes are looked at to recognise a flavour."""
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_THROTTLED = (429, 502, 503, 504)


class Missing(OrchError):
    """What was asked for is not there."""


class KubernetesClient:
    """A connection by a kubeconfig, made when it is first needed.

    Logins and certificates are those of the kubeconfig, as the SDK reads it. Bodies are plain JSON:
    the SDK's own models refuse what a newer cluster answers.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._file = options.get("kubeconfig") or None
        self._context = options.get("context") or None
        self._api: Any = None

    def _client(self) -> Any:
        if self._api is None:
            try:
                from kubernetes.config import ConfigException, new_client_from_config
            except ImportError as fault:
                raise UsageFault(
                    "the client of Kubernetes is not installed",
                    mend='install it: pip install "anyorch[kubernetes]"',
                ) from fault
            try:
                self._api = _untyped(new_client_from_config)(self._file, self._context)
            except (ConfigException, OSError) as fault:
                raise UsageFault(
                    f"the kubeconfig can't be used: {fault}",
                    place=f"the target's context {self._context or '(current)'}",
                    mend="name a context that `kubectl config get-contexts` lists",
                ) from fault
        return self._api

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Any:
        """Make a call; its answer as JSON holds it.

        Raises Missing, Conflict, Denied, Transient, Unreachable, or OrchError for a refusal.
        """
        api = self._client()
        headers = {"Accept": "application/json", "Content-Type": kind, **_login(api)}
        where = f"{api.configuration.host}{path}"
        with _translated(path):
            answer = api.rest_client.pool_manager.request(
                method,
                f"{where}?{urlencode(query)}" if query else where,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=SECONDS,
                retries=False,
            )
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _fault_of(answer.status, _told(answer), path)
        return json.loads(answer.data or b"null")

    def get(self, path: str, **query: str) -> Any:
        """Read something."""
        return self.request("GET", path, query=query)

    def sighting(self) -> Sighting:
        """What the cluster tells of itself; what it does not let one see counts as not there."""
        groups = frozenset(group["name"] for group in self.get("/apis").get("groups", ()))
        nodes = self._seen("/api/v1/nodes", limit=str(NODES))
        ingress = self._seen("/apis/networking.k8s.io/v1/ingressclasses")
        gateways = (
            self._seen("/apis/gateway.networking.k8s.io/v1/gatewayclasses")
            if "gateway.networking.k8s.io" in groups
            else []
        )
        return Sighting(
            version=self.get("/version")["gitVersion"],
            groups=groups,
            node_labels=frozenset(
                label for node in nodes for label in node["metadata"].get("labels") or ()
            ),
            ingress_classes=tuple(one["metadata"]["name"] for one in ingress),
            ingress_default=any(
                (one["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
                for one in ingress
            ),
            gateway_classes=tuple(one["metadata"]["name"] for one in gateways if _accepted(one)),
        )

    def _seen(self, path: str, **query: str) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self.get(path, **query).get("items") or []
        except (Missing, Denied):
            return []
        return found

    def close(self) -> None:
        """Give the connections back."""
        if self._api is not None:
            self._api.close()
            self._api = None


def _untyped(function: Any) -> Any:
    return function


def _accepted(gateway_class: Mapping[str, Any]) -> bool:
    """Whether a controller took a class of gateways."""
    conditions = (gateway_class.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)


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
    except (HTTPError, OSError) as fault:
        raise Unreachable(
            f"the cluster does not answer: {fault}", place=path, mend="see `kubectl cluster-info`"
        ) from fault


def _told(answer: Any) -> str:
    """The API's own words."""
    try:
        said = json.loads(answer.data or b"{}")
    except ValueError:
        return str(answer.reason)
    return str(said.get("message") or answer.reason) if isinstance(said, dict) else str(said)


def _fault_of(status: int, told: str, path: str) -> OrchError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        mend = "log in again, or ask for the rights that are named"
        return Denied(f"the cluster denies it: {told}", place=path, mend=mend)
    if status == HTTPStatus.NOT_FOUND:
        return Missing(told, place=path)
    if status == HTTPStatus.CONFLICT:
        return Conflict(told, place=path)
    if status in _THROTTLED:
        return Transient(f"the cluster answers {status}: {told}", place=path)
    return OrchError(f"the cluster refuses it ({status}): {told}", place=path)
