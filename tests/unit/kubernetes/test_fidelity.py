"""Every field of the model on every flavour: it arrives, or the ledger says that it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orch.testing.mutation import FidelityMutation, prove
from orch.testing.variations import IMAGE, Pair, application_base
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.flavours import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def _noted(text: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {"example.com/note": text}}}


OVERRIDES: Mapping[str, Any] = {
    "kubernetes": {
        "deployment": (
            {"spec": {"revisionHistoryLimit": 2}},
            {"spec": {"revisionHistoryLimit": 3}},
        ),
        "serviceAccount": (_noted("1"), _noted("2")),
        "ingress": (_noted("1"), _noted("2")),
        "httpRoute": (_noted("1"), _noted("2")),
    }
}
OTHERS = tuple(name for name in FLAVOURS if name != "plain")
OLD = ("1.20", "1.28")


def _by_clock(document: dict[str, Any]) -> dict[str, Any]:
    jobs = {name: {**job, "schedule": "0 3 * * *"} for name, job in document["jobs"].items()}
    return {**document, "jobs": jobs}


def _alpha(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    services = document["services"]
    return {**document, "services": {**services, "alpha": {**services["alpha"], **more}}}


def _measured(document: dict[str, Any]) -> dict[str, Any]:
    """What alpha uses can be told as a share of what it asks for."""
    amounts = {"cpus": 0.5, "memory": "1Gi"}
    return _alpha(document, resources={"reservations": amounts})


def _pair(path: tuple[Any, ...], before: dict[str, Any], after: dict[str, Any]) -> Pair:
    base = application_base(IMAGE)
    return Pair(("services", "alpha", *path), _alpha(base, **before), _alpha(base, **after))


def _claims(document: dict[str, Any]) -> dict[str, Any]:
    """Each replica of alpha has the volumes alpha and beta for itself."""
    mounts = [{"type": "volume", "source": n, "target": f"/{n}"} for n in ("alpha", "beta")]
    return _alpha(document, volumes=mounts)


def _port(**said: Any) -> dict[str, Any]:
    return {"ports": [{"name": "alpha", "target": 8080, **said}]}


def _beside(port: dict[str, Any]) -> dict[str, Any]:
    return {"sidecars": {"side": {"image": "local/alpha:1", **port}}}


def own_pairs() -> Iterator[Pair]:
    """What the model's own pairs do not reach, as it takes several fields at once."""
    host = {"published": 18080, "mode": "host"}
    for path, around in (((), dict), (("sidecars", "side"), _beside)):
        for key, before, after in (
            ("host_ip", {**host, "host_ip": "10.0.0.1"}, {**host, "host_ip": "10.0.0.2"}),
            ("mode", {**host, "mode": "ingress"}, host),
            ("published", host, {**host, "published": 18081}),
        ):
            pair = around(_port(**before)), around(_port(**after))
            yield _pair((*path, "ports", 0, key), *pair)
    yield from _placed()
    hook = {"pre_stop": [{"command": ["sleep", "5"]}]}
    graces = ({**hook, "stop_grace_period": said} for said in ("20s", "30s"))
    yield _pair(("stop_grace_period",), *graces)
    yield _root(
        ("policies", 0, "to", "port"),
        *(
            {
                "policies": [
                    {"to": {"service": "alpha", "port": port}, "from": [{"service": "beta"}]}
                ]
            }
            for port in (8080, 8081)
        ),
    )
    volume = {"size": "1Gi", "labels": {"a": "b"}}
    yield _root(
        ("volumes", "alpha", "access"),
        {"volumes": {"alpha": {**volume, "access": "shared"}, "beta": {}}},
        {"volumes": {"alpha": {**volume, "access": "exclusive"}, "beta": {}}},
    )
    yield _root(
        ("volumes", "alpha", "access"),
        *(
            {"volumes": {"alpha": {"driver": "own", "access": said}, "beta": {}}}
            for said in ("read-only-many", "shared")
        ),
    )
    jobs = application_base(IMAGE)["jobs"]
    clock = {**jobs["gamma"], "schedule": "0 3 * * *"}
    yield _root(
        ("jobs", "gamma", "starting_deadline"),
        {"jobs": {**jobs, "gamma": {**clock, "starting_deadline": "1m"}}},
        {"jobs": {**jobs, "gamma": {**clock, "starting_deadline": "2m"}}},
    )


def _root(path: tuple[Any, ...], before: dict[str, Any], after: dict[str, Any]) -> Pair:
    base = application_base(IMAGE)
    return Pair(path, {**base, **before}, {**base, **after})


def _placed() -> Iterator[Pair]:
    jobs = application_base(IMAGE)["jobs"]
    for path, before, after in (
        (
            ("tolerations", 0, "seconds"),
            {"tolerations": [{"effect": "no_execute", "seconds": 1}]},
            {"tolerations": [{"effect": "no_execute", "seconds": 2}]},
        ),
        (("max_replicas_per_node",), {"max_replicas_per_node": 2}, {"max_replicas_per_node": 1}),
    ):
        said = [{"deploy": {"placement": placement}} for placement in (before, after)]
        yield _pair(("deploy", "placement", *path), *said)
        held = [
            {"jobs": {**jobs, "gamma": {**jobs["gamma"], "placement": placement}}}
            for placement in (before, after)
        ]
        yield _root(("jobs", "gamma", "placement", *path), *held)


class TestPlainFidelity(FidelityMutation):
    overrides = OVERRIDES

    def make_backend(self) -> KubernetesBackend:
        return KubernetesBackend({})

    def pairs(self) -> Iterator[Pair]:
        """Every field, those of jobs in one that runs by the clock too."""
        for pair in super().pairs():
            yield pair
            if pair.path[0] == "jobs" and "schedule" not in pair.path:
                yield replace(pair, before=_by_clock(pair.before), after=_by_clock(pair.after))
            if "autoscale" in pair.path:
                yield replace(pair, before=_measured(pair.before), after=_measured(pair.after))
            if pair.path[0] == "volumes" and "external" not in pair.path:
                yield replace(pair, before=_claims(pair.before), after=_claims(pair.after))
        yield from own_pairs()


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Every field, in an application of images alone: others are refused everywhere alike."""
    test = TestPlainFidelity()
    test.kinds = (IMAGE,)
    return list(test.pairs())


@pytest.fixture(scope="module")
def chosen(pairs: list[Pair]) -> list[Pair]:
    """Without the helpers of jobs, who are as those of services; the plain flavour has all."""
    return [p for p in pairs if p.path[0] != "jobs" or not {"sidecars", "pre_start"} & set(p.path)]


@pytest.mark.parametrize("flavour", OTHERS)
def test_every_flavour_tells_of_every_field(flavour: str, chosen: list[Pair]) -> None:
    proof = prove(KubernetesBackend({"flavour": flavour}), chosen)
    assert proof == ([], []), proof


@pytest.mark.parametrize("version", OLD)
def test_every_version_tells_of_every_field(version: str, pairs: list[Pair]) -> None:
    proof = prove(KubernetesBackend({"version": version}), pairs)
    assert proof == ([], []), proof
