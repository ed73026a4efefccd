"""Pairs of applications that differ in one field, derived from the model itself.

A new field is covered by being in the model. Only a field that takes nothing of what is tried
needs an entry in the tables below, and the test says so.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from orch.spec.application import Application
from orch.spec.image import Image
from orch.spec.units import Bytes, Cpus, Duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch.types import FieldPath

IMAGE, PROCESS = "image", "process"
"""The two kinds of application: whose services have images, and whose have commands alone."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two documents of a model that differ at `path`; the second one sets it for certain.

    `trial` marks a guess by type alone: the first one that is valid will do.
    """

    path: FieldPath
    before: Any
    after: Any
    trial: bool = False


# What is tried where the type alone does not tell, first by model and field, then by field. ---

VALUES: Mapping[str, tuple[Any, ...]] = {
    "Port.published": (18080, 18081),
    "Port.host_ip": ("127.0.0.1", "127.0.0.2"),
    "Device.source": ("/dev/null", "/dev/zero"),
    "Job.schedule": ("0 3 * * *", "*/5 * * * *"),
    "ScaleSchedule.schedule": ("0 8 * * *", "0 20 * * *"),
    "SpreadPreference.spread": ("node.labels.zone", "node.labels.rack"),
    "Placement.constraints": (["node.arch == amd64"], ["node.labels.tier == web"]),
    "IpamPool.subnet": ("10.77.0.0/24", "10.78.0.0/24"),
    "IpamPool.ip_range": ("10.77.0.0/28", "10.77.0.16/28"),
    "IpamPool.gateway": ("10.77.0.1", "10.77.0.2"),
    "formerly": ("former", "older"),
    "Autoscale.max": (5, 6),
    "ipv4_address": ("10.77.0.9", "10.77.0.10"),
    "ipv6_address": ("2001:db8::9", "2001:db8::10"),
    "time_zone": ("UTC", "America/Sao_Paulo"),
    "platform": ("linux/amd64", "linux/arm64"),
    "platforms": (["linux/amd64"], ["linux/arm64"]),
    "port": (8080, 8081, "alpha", "beta"),
    "user": ("1000", "2000"),
    "group_add": (["1000"], ["2000"]),
    "uid": ("1000", "2000"),
    "gid": ("1000", "2000"),
    "dns": (["10.0.0.1"], ["10.0.0.2"]),
    "cap_add": (["NET_ADMIN"], ["SYS_TIME"]),
    "cap_drop": (["ALL"], ["NET_RAW"]),
    "security_opt": (["no-new-privileges:true"], ["seccomp=unconfined"]),
    "stop_signal": ("SIGINT", "SIGQUIT"),
    "ipc": ("host", "private"),
    "endpoint_mode": ("dnsrr", "vip"),
}
KEYS: Mapping[str, tuple[str, str]] = {
    "Application.jobs": ("gamma", "delta"),
    "Application.fidelity": ("services.alpha.image", "services.beta.image"),
    "Application.registries": ("registry.example.com", "other.example.com"),
    "depends_on": ("beta", "delta"),
    "sysctls": ("net.ipv4.tcp_syncookies", "net.ipv4.ip_local_port_range"),
    "ulimits": ("nofile", "nproc"),
    "environment": ("ALPHA", "BETA"),
    "sidecars": ("side", "car"),
}
BASES: Mapping[str, tuple[Document, ...]] = {
    "Probe": ({"tcp": {"port": 8080}}, {}),
    "Mount": (
        {"type": "volume", "source": "alpha", "target": "/alpha"},
        {"type": "bind", "source": "/srv", "target": "/alpha"},
        {"type": "tmpfs", "target": "/alpha"},
    ),
    "FileMount": ({"source": "alpha", "target": "/run/alpha"},),
    "Tls": (
        {"cert": {"secret": "alpha"}, "key": {"secret": "beta"}},
        {"certificate": "alpha"},
        {},
    ),
    "Config": ({"content": "alpha"}, {}),
    "Secret": ({"provider": "env", "key": "ALPHA"}, {}),
    "Metric": ({"type": "cpu", "target": 50}, {"type": "custom", "target": 50, "name": "alpha"}),
    "Autoscale": ({"max": 5},),
    "Port": ({"name": "alpha", "target": 8080},),
    "Route": ({"service": "alpha", "port": 8080},),
    "Device": ({"source": "/dev/null"},),
    "Build": ({},),
}
SECOND: Mapping[str, Document] = {"Port": {"target": 8081}}
"""What tells the second item of a list from the first, where one field more is not enough."""
SWAPS: Mapping[str, tuple[Document, Document]] = {
    "Tls.acme": ({"certificate": "alpha"}, {"acme": True}),
    "Config.external": ({"content": "alpha"}, {"external": True}),
    "Secret.external": ({"provider": "env", "key": "ALPHA"}, {"external": True}),
}
"""Fields that can't change alone: another one has to go when they come."""

_TEXTS = (("alpha", "beta"), ("/alpha", "/beta"), ("0400", "0440"), ("r", "rw"))
_PLAIN: Mapping[Any, tuple[tuple[Any, Any], ...]] = {
    bool: ((False, True),),
    int: ((2, 3),),
    float: ((0.25, 0.75), (25, 75)),
    str: _TEXTS,
    Duration: (("7s", "9s"),),
    Bytes: (("64Mi", "96Mi"),),
    Cpus: (("0.25", "0.75"),),
    Image: (("local/alpha:1", "local/beta:2"),),
}


@cache
def application_pairs(kind: str) -> tuple[Pair, ...]:
    """One pair or more for every field of the spec, in an application of the given kind."""
    return tuple(_pairs(Application, kind))


@cache
def _known(model: type[BaseModel], kind: str) -> tuple[Pair, ...]:
    return tuple(_pairs(model, kind))


def _pairs(model: type[BaseModel], kind: str) -> Iterator[Pair]:
    for name, info in model.model_fields.items():
        spelling = info.alias or name
        label = f"{model.__name__}.{spelling}"
        if label == "Application.apiVersion":
            continue
        found = list(_of_field(model, spelling, info.annotation, kind))
        if not found:
            msg = f"nothing that was tried is valid for {label}: add it to {__name__}.VALUES"
            raise LookupError(msg)
        yield from found


def _of_field(model: type[BaseModel], name: str, annotation: Any, kind: str) -> Iterator[Pair]:
    label = f"{model.__name__}.{name}"
    if label in SWAPS:
        before, after = SWAPS[label]
        yield Pair((name,), before, after)
        return
    done: set[FieldPath] = set()
    for offer in _offers(annotation, label, kind):
        base = None if offer.trial and offer.path in done else _base_for(model, name, offer, kind)
        if base is not None:
            done.add(offer.path)
            before, after = _with(base, name, offer.before), _with(base, name, offer.after)
            yield Pair((name, *offer.path), before, after)


def _base_for(model: type[BaseModel], name: str, offer: Pair, kind: str) -> Document | None:
    for base in bases(model, kind):
        if all(_valid(model, _with(base, name, value)) for value in (offer.before, offer.after)):
            return base
    return None


def _with(base: Document, name: str, value: Any) -> Document:
    held = base.get(name)
    if isinstance(held, dict) and isinstance(value, dict):
        value = {**held, **value}
    return {**base, name: value}


def _valid(model: type[BaseModel], document: Document) -> bool:
    try:
        model.model_validate(document)
    except ValidationError:
        return False
    return True


def bases(model: type[BaseModel], kind: str) -> tuple[Document, ...]:
    """Small valid documents of a model, or such that one more field makes them valid."""
    name = model.__name__
    if name == "Application":
        return (application_base(kind),)
    if name in ("Service", "Job", "InitContainer", "Sidecar"):
        return (_container(name, kind),)
    return BASES.get(name) or (_required(model, kind),)


def _container(name: str, kind: str) -> Document:
    runs: Document = {"image": "local/alpha:1"} if kind == IMAGE else {"command": ["alpha"]}
    ports = [{"name": "alpha", "target": 8080}, {"name": "beta", "target": 8081}]
    return runs | ({"ports": ports} if name in ("Service", "Sidecar") else {})


def application_base(kind: str) -> Document:
    """An application that has two of everything, so that every name that is tried is there."""
    service, job = _container("Service", kind), _container("Job", kind)
    return {
        "name": "alpha",
        "services": {"alpha": service, "beta": service},
        "jobs": {"gamma": job, "delta": job},
        "volumes": {"alpha": {}, "beta": {}},
        "networks": {"alpha": {}, "beta": {}},
        "configs": {"alpha": {"content": "one"}, "beta": {"content": "two"}},
        "secrets": {
            "alpha": {"provider": "env", "key": "ALPHA"},
            "beta": {"provider": "env", "key": "BETA"},
        },
    }


def _required(model: type[BaseModel], kind: str) -> Document:
    document: Document = {}
    for name, info in model.model_fields.items():
        if info.is_required():
            label = f"{model.__name__}.{info.alias or name}"
            document[info.alias or name] = next(_offers(info.annotation, label, kind)).before
    return document


# -- what a type takes -----------------------------------------------------------------------


def _offers(annotation: Any, label: str, kind: str) -> Iterator[Pair]:
    given = VALUES.get(label) or VALUES.get(label.rpartition(".")[2])
    if given:
        yield from (Pair((), a, b) for a, b in _alike(given))
        return
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _offers(get_args(annotation)[0], label, kind)
    elif origin in (Union, types.UnionType):
        for option in get_args(annotation):
            if option is not type(None):
                yield from _offers(option, label, kind)
    elif origin is Literal:
        yield from _of_literal(get_args(annotation))
    elif origin is dict:
        yield from _of_map(get_args(annotation)[1], label, kind)
    elif origin is tuple:
        yield from _of_list(get_args(annotation)[0], kind)
    elif _is_model(annotation):
        yield from _known(annotation, kind)
    else:
        yield from (Pair((), a, b, trial=True) for a, b in _PLAIN.get(annotation, _TEXTS))


def _alike(values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Two and two values of one type."""
    return ((a, b) for a, b in combinations(values, 2) if type(a) is type(b))


def _of_literal(values: tuple[Any, ...]) -> Iterator[Pair]:
    if len(values) == 1:
        yield Pair((), None, values[0])
    for before, after in combinations(values, 2):
        yield Pair((), before, after)


def _of_map(item: Any, label: str, kind: str) -> Iterator[Pair]:
    first, second = KEYS.get(label) or KEYS.get(label.rpartition(".")[2]) or ("alpha", "beta")
    offers = list(_offers(item, "", kind))
    for offer in offers:
        path = (first, *offer.path)
        yield Pair(path, {first: offer.before}, {first: offer.after}, offer.trial)
    if label.startswith("Application."):
        return
    one = offers[0]
    both = {first: one.before, second: one.after}
    yield Pair((second, *one.path), {first: one.before}, both)
    if _is_model(item) and _valid(item, {}):
        yield Pair((first,), {}, {first: {}})


def _of_list(item: Any, kind: str) -> Iterator[Pair]:
    offers = list(_offers(item, "", kind))
    models = _is_model(item)
    for offer in offers:
        path = (0, *offer.path) if models else ()
        yield Pair(path, [offer.before], [offer.after], offer.trial)
    one = offers[0]
    second = {**one.after, **SECOND.get(item.__name__, {})} if models else one.after
    yield Pair((1, *one.path) if models else (), [one.before], [one.before, second])


def _is_model(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, BaseModel)
