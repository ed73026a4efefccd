"""The API of a cluster: the only module that knows the SDK; faults are translated here."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

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

    Logins are those of the kubeconfig. Bodies are plain JSON: the SDK's own models refuse what a
    newer cluster answers.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._file = options.get("kubeconfig") or None
        self._context = options.get("context") or None
        self._api: Any = None

    def _client(self) -> Any:
        if self._api is None:
            from kubernetes.config import ConfigException, new_client_from_config

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
        with _translated(path):
            return api.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )

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


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """Foreign faults as ours."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as fault:
        raise _fault_of(fault.status, _told(fault), path) from fault
    except (HTTPError, OSError) as fault:
        raise Unreachable(
            f"the cluster does not answer: {fault}", place=path, mend="see `kubectl cluster-info`"
        ) from fault


def _told(fault: Any) -> str:
    """The API's own words."""
    try:
        said = json.loads(fault.body or "{}")
    except ValueError:
        return str(fault.reason)
    return str(said.get("message") or fault.reason) if isinstance(said, dict) else str(fault.reason)


def _fault_of(status: int, told: str, path: str) -> OrchError:
    if status in (401, 403):
        mend = "log in again, or ask for the rights that are named"
        return Denied(f"the cluster denies it: {told}", place=path, mend=mend)
    if status == 404:  # noqa: PLR2004  (HTTP)
        return Missing(told, place=path)
    if status == 409:  # noqa: PLR2004  (HTTP)
        return Conflict(told, place=path)
    if status in _THROTTLED:
        return Transient(f"the cluster answers {status}: {told}", place=path)
    return OrchError(f"the cluster refuses it ({status}): {told}", place=path)
