"""What the Gateway API takes, as far as it is written here: limits, forms, and what goes together.

After the reference of Gateway API v1, as a JSON Schema and the rules over several fields that such
a schema can't say. Keys that are not named are forbidden.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]
API = "gateway.networking.k8s.io/v1"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = {"type": "string", "minLength": 1, "maxLength": 253}
_SECTION = {**_NAME, "pattern": rf"^{_LABEL}(\.{_LABEL})*$"}
_HOST = {**_NAME, "pattern": rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$"}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_SPACE = {"type": "string", "pattern": f"^{_LABEL}$", "maxLength": 63}
_METADATA = {"type": "object"}


def _closed(required: tuple[str, ...] = (), **properties: Any) -> Row:
    return {"type": "object", "additionalProperties": False, "required": list(required),
            "properties": properties}  # fmt: skip


def _list(items: Row, most: int, least: int = 0) -> Row:
    return {"type": "array", "items": items, "maxItems": most, "minItems": least}


_REFERENCE = {"group": {"type": "string"}, "kind": {"type": "string"}, "name": _NAME,
              "namespace": _SPACE}  # fmt: skip
_TLS = _closed(
    mode={"enum": ["Terminate", "Passthrough"]},
    certificateRefs=_list(_closed(("name",), **_REFERENCE), 64),
    options={"type": "object", "maxProperties": 16},
)
_LISTENER = _closed(
    ("name", "port", "protocol"),
    name=_SECTION,
    hostname=_HOST,
    port=_PORT,
    protocol={"enum": ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]},
    tls=_TLS,
    allowedRoutes={"type": "object"},
)
_ADDRESS = _closed(("value",), type={"type": "string"}, value=_NAME)
_GATEWAY = _closed(
    ("gatewayClassName", "listeners"),
    gatewayClassName=_NAME,
    listeners=_list(_LISTENER, 64, 1),
    addresses=_list(_ADDRESS, 16),
)
_PATH = _closed(
    type={"enum": ["Exact", "PathPrefix", "RegularExpression"]},
    value={"type": "string", "pattern": "^/", "maxLength": 1024},
)
_REDIRECT = _closed(
    scheme={"enum": ["http", "https"]},
    hostname=_HOST,
    port=_PORT,
    statusCode={"enum": [301, 302]},
)
_FILTER = _closed(("type",), type={"const": "RequestRedirect"}, requestRedirect=_REDIRECT)
_WEIGHT = {"type": "integer", "minimum": 0, "maximum": 1000000}
_BACKEND = _closed(("name",), **_REFERENCE, port=_PORT, weight=_WEIGHT)
_RULE = _closed(
    matches=_list(_closed(path=_PATH), 64),
    filters=_list(_FILTER, 16),
    backendRefs=_list(_BACKEND, 16),
)
_PARENT = _closed(("name",), **_REFERENCE, sectionName=_SECTION, port=_PORT)
_ROUTE = _closed(
    parentRefs=_list(_PARENT, 32),
    hostnames=_list(_HOST, 16),
    rules=_list(_RULE, 16, 1),
)
_SCHEMAS = {
    kind: jsonschema.Draft202012Validator(
        _closed(
            ("apiVersion", "kind", "metadata", "spec"),
            apiVersion={"const": API},
            kind={"const": kind},
            metadata=_METADATA,
            spec=spec,
            status={"type": "object"},
        )
    )
    for kind, spec in (("Gateway", _GATEWAY), ("HTTPRoute", _ROUTE))
}
KINDS = frozenset(_SCHEMAS)


def faults(body: Row) -> list[tuple[str, str]]:
    """Fields and what is wrong with each."""
    kind = body["kind"]
    found = [
        (".".join(map(str, fault.absolute_path)), fault.message)
        for fault in _SCHEMAS[kind].iter_errors(body)
    ]
    return found or list(_gateway(body) if kind == "Gateway" else _route(body))


def _gateway(body: Row) -> Iterator[tuple[str, str]]:
    listeners = body["spec"]["listeners"]
    names = Counter(one["name"] for one in listeners)
    places = Counter((one["port"], one["protocol"], one.get("hostname")) for one in listeners)
    yield from (("spec.listeners", f"{n} is there twice") for n, c in names.items() if c > 1)
    yield from (("spec.listeners", f"{p} is there twice") for p, c in places.items() if c > 1)
    annotations = body["metadata"].get("annotations") or {}
    for index, one in enumerate(listeners):
        yield from _listener(f"spec.listeners.{index}", one)
        held = (one.get("tls") or {}).get("certificateRefs")
        if held and "networking.gke.io/certmap" in annotations:
            yield f"spec.listeners.{index}.tls", "GKE takes a certificate map or Secrets, not both"
        bare = one["protocol"] == "HTTPS" and "tls" not in one
        if bare and "networking.gke.io/certmap" not in annotations:
            yield f"spec.listeners.{index}.tls", "nothing says the certificate"


def _listener(where: str, one: Row) -> Iterator[tuple[str, str]]:
    tls, protocol = one.get("tls"), one["protocol"]
    if tls is not None and protocol in ("HTTP", "TCP", "UDP"):
        yield f"{where}.tls", f"{protocol} has none"
    if tls is not None and protocol == "HTTPS" and tls.get("mode") == "Passthrough":
        yield f"{where}.tls.mode", "HTTPS is terminated"
    if one.get("hostname") and protocol in ("TCP", "UDP"):
        yield f"{where}.hostname", f"{protocol} has none"
    terminated = tls is not None and tls.get("mode", "Terminate") == "Terminate"
    if terminated and not tls.get("certificateRefs") and not tls.get("options"):
        yield f"{where}.tls", "certificateRefs or options must be specified"


def _route(body: Row) -> Iterator[tuple[str, str]]:
    parents = Counter(
        (one.get("namespace"), one["name"], one.get("sectionName"))
        for one in body["spec"].get("parentRefs", ())
    )
    twice = [parent for parent, count in parents.items() if count > 1]
    yield from (("spec.parentRefs", f"{parent} is there twice") for parent in twice)
    for index, rule in enumerate(body["spec"]["rules"]):
        if rule.get("filters") and rule.get("backendRefs"):
            yield f"spec.rules.{index}", "a redirect has no backends"


def defaulted(spec: Row) -> None:
    """Fill in what the API does where a Gateway or an HTTPRoute says nothing."""
    for listener in spec.get("listeners", ()):
        listener.setdefault("allowedRoutes", {"namespaces": {"from": "Same"}})
        if "tls" in listener:
            listener["tls"].setdefault("mode", "Terminate")
            _refer(listener["tls"].get("certificateRefs", ()), "", "Secret")
    _refer(spec.get("parentRefs", ()), API.partition("/")[0], "Gateway")
    for rule in spec.get("rules", ()):
        rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
        _refer(rule.get("backendRefs", ()), "", "Service")
        for backend in rule.get("backendRefs", ()):
            backend.setdefault("weight", 1)


def _refer(references: list[Row] | tuple[()], group: str, kind: str) -> None:
    for one in references:
        one.setdefault("group", group)
        one.setdefault("kind", kind)
