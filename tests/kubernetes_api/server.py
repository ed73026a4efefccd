"""A double of the Kubernetes API over a real socket, and what goes wrong there.

Written from the documentation of Kubernetes: API concepts, server-side apply, dry run, watches and
the rules of each kind. Every object that is written is checked against the platform's own schema.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.kubernetes_api import gateway
from tests.kubernetes_api.controllers import Controllers
from tests.kubernetes_api.forwarding import forward
from tests.kubernetes_api.platform import Key, Platform, Refusal, Row, matches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

_PATH = re.compile(
    r"/(?:api/(?P<core>v\d\w*)|apis/(?P<group>[^/]+)/(?P<version>v\d\w*))"
    r"(?:/namespaces/(?P<space>[^/]+)(?=/[^/]))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
    r"(?:/(?P<sub>[^/]+))?"
)
KINDS = {
    "pods": "Pod", "services": "Service", "secrets": "Secret", "configmaps": "ConfigMap",
    "serviceaccounts": "ServiceAccount", "namespaces": "Namespace", "nodes": "Node",
    "events": "Event", "persistentvolumeclaims": "PersistentVolumeClaim",
    "deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet",
    "replicasets": "ReplicaSet", "jobs": "Job", "cronjobs": "CronJob", "leases": "Lease",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler", "ingresses": "Ingress",
    "poddisruptionbudgets": "PodDisruptionBudget", "networkpolicies": "NetworkPolicy",
    "priorityclasses": "PriorityClass", "ingressclasses": "IngressClass",
    "storageclasses": "StorageClass",
    "endpointslices": "EndpointSlice", "widgets": "Widget",
    "gateways": "Gateway", "httproutes": "HTTPRoute", "routes": "Route",
    "gatewayclasses": "GatewayClass",
}  # fmt: skip
ADDITIONS = frozenset({"gatewayclasses", "gateways", "httproutes", "routes"})
"""Kinds that a cluster has only once somebody has installed what brings them."""
GROUPS = {
    "v1": (
        "pods", "services", "secrets", "configmaps", "serviceaccounts", "namespaces", "nodes",
        "events", "persistentvolumeclaims",
    ),
    "apps/v1": ("deployments", "statefulsets", "daemonsets", "replicasets"),
    "batch/v1": ("jobs", "cronjobs"),
    "autoscaling/v1": ("horizontalpodautoscalers",),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "policy/v1": ("poddisruptionbudgets",),
    "networking.k8s.io/v1": ("ingresses", "networkpolicies", "ingressclasses"),
    "coordination.k8s.io/v1": ("leases",),
    "storage.k8s.io/v1": ("storageclasses",),
    "discovery.k8s.io/v1": ("endpointslices",),
    "scheduling.k8s.io/v1": ("priorityclasses",),
    "example.com/v1": ("widgets",),
}  # fmt: skip
WIDE = (
    "namespaces", "nodes", "priorityclasses", "ingressclasses", "storageclasses", "gatewayclasses",
)  # fmt: skip


def groups(installed: Collection[str] = ()) -> list[Row]:
    """The groups of the API with their versions, the first one preferred."""
    found: dict[str, list[Row]] = {}
    for api in (*GROUPS, *([gateway.API] if "gatewayclasses" in installed else [])):
        group, slash, _ = api.partition("/")
        if slash:
            found.setdefault(group, []).append({"groupVersion": api})
    return [
        {"name": name, "versions": versions, "preferredVersion": versions[0]}
        for name, versions in found.items()
    ]


def resources(api: str) -> list[Row]:
    """The kinds of a version, as discovery tells them."""
    return [
        {"name": plural, "kind": KINDS[plural], "namespaced": plural not in WIDE,
         "verbs": ["get", "list", "watch"]}
        for plural in GROUPS[api]
    ]  # fmt: skip


@dataclass
class Fault:
    """What happens instead of an answer to the calls that are meant, before or `after` it."""

    method: str
    path: str
    act: Callable[[Handler], bool]
    times: int = 1
    after: bool = False
    dry: bool | None = None

    def fits(self, handler: Handler, *, after: bool) -> bool:
        query = dict(handler.query)
        dry = self.dry is None or self.dry is ("dryRun" in query)
        named = self.method in ("*", handler.command) and re.search(self.path, handler.path)
        return bool(self.times and named and dry and self.after is after)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Of many who come at once, one whom a short queue turns away comes a second later."""


@dataclass
class Api:
    """A running double: its objects, its controllers, its faults, and every call it was asked."""

    platform: Platform = field(default_factory=Platform)
    version: str = "v1.36.2"
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    deaf: set[int] = field(default_factory=set)
    """Ports at which no pod listens."""
    installed: set[str] = field(default_factory=set)
    """Those of the additions that this cluster has."""

    def start(self) -> None:
        api = self

        class Bound(Handler):
            server_api = api

        self.server = _Server(("127.0.0.1", 0), Bound)
        self.controllers = Controllers(self.platform)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.controllers.start()

    def stop(self) -> None:
        self.controllers.stop()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        address = f"http://127.0.0.1:{self.server.server_port}"
        context = {"cluster": "here", "user": "me"}
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": context}],
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
        }))  # fmt: skip
        return path

    # -- what goes wrong -----------------------------------------------------------------------

    def answer(
        self, method: str, path: str, code: int, message: str = "", *, times: int = 1,
        after: bool = False, dry: bool | None = None, headers: dict[str, str] | None = None,
        reason: str = "", causes: list[Row] | None = None,
    ) -> None:  # fmt: skip
        """Refuse calls with a code; `after` means that they took effect all the same."""

        def act(handler: Handler) -> bool:
            refusal = Refusal(code, reason or str(code), message or f"refused with {code}", causes)
            handler.send(code, refusal.body, headers or {})
            return True

        self.faults.append(Fault(method, path, act, times, after, dry))

    def cut(self, method: str, path: str, *, times: int = 1, after: bool = False) -> None:
        """Cut the connection instead of an answer."""

        def act(handler: Handler) -> bool:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return True

        self.faults.append(Fault(method, path, act, times, after))

    def when(
        self, method: str, path: str, do: Callable[[], None], *, dry: bool | None = None
    ) -> None:
        """Do something right before a call takes effect."""

        def act(_handler: Handler) -> bool:
            do()
            return False

        self.faults.append(Fault(method, path, act, 1, after=False, dry=dry))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its body are two writes, 40 ms apart otherwise
    server_api: Api
    query: dict[str, str]

    def log_message(self, *_: Any) -> None:
        pass

    def _any(self) -> None:
        split = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(length) or b"null")
        api = self.server_api
        api.calls.append((self.command, self.path))
        if self._goes_wrong(after=False):
            return
        try:
            code, answer = self._answer(split.path)
        except Refusal as refusal:
            code, answer = refusal.code, refusal.body
        if self._goes_wrong(after=True):
            return
        if answer is not None:
            self.send(code, answer, {})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def _goes_wrong(self, *, after: bool) -> bool:
        for fault in self.server_api.faults:
            if fault.fits(self, after=after):
                fault.times -= 1
                if fault.act(self):
                    return True
        return False

    def send(self, code: int, answer: Any, headers: dict[str, str]) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, path: str) -> tuple[int, Any]:
        platform = self.server_api.platform
        if path == "/version":
            return 200, {"gitVersion": self.server_api.version}
        if path == "/apis":
            return 200, {"groups": groups(self.server_api.installed)}
        table = path.removeprefix("/apis/").removeprefix("/api/")
        if table in GROUPS:
            return 200, {"resources": resources(table)}
        found = _PATH.fullmatch(path)
        absent = ADDITIONS - self.server_api.installed
        if found is None or found["plural"] not in KINDS.keys() - absent:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        group, plural, name = found["group"] or "", found["plural"], found["name"]
        space = "" if plural in WIDE else found["space"] or ""
        kind = {
            "apiVersion": f"{group}/{found['version']}".lstrip("/") if group else found["core"],
            "kind": KINDS[plural],
        }
        if name is None and self.command == "GET":
            return self._list(group, plural, space)
        if found["sub"] in ("log", "portforward"):
            answer = self._log if found["sub"] == "log" else self._forward
            return 200, answer((group, plural, space, name))
        with platform.lock:
            return self._object(kind, (group, plural, space, name or ""))

    def _object(self, kind: Row, key: Key) -> tuple[int, Any]:
        platform, dry = self.server_api.platform, "dryRun" in self.query
        manager = self.query.get("fieldManager", "unknown")
        if self.command == "PATCH":
            return 200, self._patched(key, manager, dry=dry)
        if self.command == "DELETE":
            said = self.body or {}
            uid = (said.get("preconditions") or {}).get("uid", "")
            return 200, platform.remove(key, uid, said.get("propagationPolicy", "Background"))
        if self.command == "POST":
            key = (*key[:3], self.body["metadata"]["name"])
            return 201, platform.create(key, {**kind, **self.body}, manager, dry=dry)
        if self.command == "PUT":
            return 200, platform.replace(key, {**kind, **self.body}, manager, dry=dry)
        return 200, platform.get(key)

    def _patched(self, key: Key, manager: str, *, dry: bool) -> Row:
        platform, how = self.server_api.platform, self.headers["Content-Type"]
        if "apply-patch" in how:
            force = self.query.get("force") == "true"
            return platform.apply(key, self.body, manager, force=force, dry=dry)
        if "json-patch" in how:
            return platform.patch(key, self.body)
        return platform.merge(key, self.body, manager, dry=dry)

    def _list(self, group: str, plural: str, space: str) -> tuple[int, Any]:
        platform, selector = self.server_api.platform, self.query.get("labelSelector", "")
        if self.query.get("watch") == "true":
            return 200, self._watch(group, plural, space, selector)
        with platform.lock:
            rows = platform.listed(group, plural, space, selector)
            items = [
                {k: v for k, v in row.items() if k not in ("apiVersion", "kind")} for row in rows
            ]
            if "PartialObjectMetadataList" in self.headers.get("Accept", ""):
                items = [{"metadata": row["metadata"]} for row in items]
            size = int(self.query.get("limit") or 0) or len(items) or 1
            first = int(self.query.get("continue") or 0)
            metadata: Row = {"resourceVersion": str(platform.version)}
            if first + size < len(items):
                metadata["continue"] = str(first + size)
            return 200, {"metadata": metadata, "items": items[first : first + size]}

    def _watch(self, group: str, plural: str, space: str, selector: str) -> None:
        platform, last = self.server_api.platform, int(self.query.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with platform.changed:
                new = [
                    one
                    for one in platform.since(last)
                    if one.key[:2] == (group, plural)
                    and space in ("", one.key[2])
                    and matches(one.row, selector)
                ]
                if not new:
                    platform.changed.wait(0.2)
            for one in new:
                last = one.version
                data = json.dumps({"type": one.type, "object": one.row}).encode() + b"\n"
                try:
                    self.wfile.write(data)
                    self.wfile.flush()
                except OSError:
                    return
        self.close_connection = True

    def _forward(self, key: Key) -> None:
        self.server_api.platform.get(key)
        port = int(self.query["ports"])
        forward(self, key[3], port, listens=port not in self.server_api.deaf)

    def _log(self, key: Key) -> bytes:
        pod = self.server_api.platform.get(key)
        container = pod["spec"]["containers"][0]
        text = next((v.get("value") for v in container.get("env", ()) if v["name"] == "TEXT"), "")
        said = self.server_api.logs.get(key[3], f"serving {text}\n")
        return "".join(
            f"2026-01-01T00:00:00.123456789Z {line}\n" for line in said.splitlines()
        ).encode()
