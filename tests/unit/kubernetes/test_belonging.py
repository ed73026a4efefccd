"""Which objects of a namespace belong to an application: by labels, by use, and by nobody's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orch_kubernetes.adopt.belonging import Circle, by_labels, own_rows

Row = dict[str, Any]


def row(kind: str, name: str = "web", spec: Row | None = None, **metadata: Any) -> Row:
    return {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}}


def workload(name: str, labels: dict[str, str], kind: str = "Deployment", **pod: Any) -> Row:
    template = {"metadata": {"labels": labels}, "spec": pod}
    return row(kind, name, {"template": template}, labels=labels)


def names(rows: list[Row]) -> set[tuple[str, str]]:
    return {(one["kind"], one["metadata"]["name"]) for one in rows}


# -- labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app=api", False),
        ("app!=api", True),
        ("app!=web", False),
        ("app", True),
        ("!app", False),
        ("!tier", True),
        ("app in (api, web)", True),
        ("app notin (api,web)", False),
        ("tier notin (x)", True),
        ("app=web,!tier", True),
        ("app=web,tier", False),
        ("app in (web),app!=api", True),
    ],
)
def test_a_selector_means_what_it_means_to_kubectl(selector: str, *, fits: bool) -> None:
    assert by_labels(selector)(row("Pod", labels={"app": "web"})) is fits


@pytest.mark.parametrize("text", ["!app=web", "!app in (web)", "app in web", "a b", "=web", ""])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        by_labels(text)


def test_labels_of_pods_count_where_the_workload_has_none() -> None:
    deployment = workload("web", {"app": "web"})
    del deployment["metadata"]["labels"]
    assert by_labels("app=web")(deployment)


# -- what is nobody's ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        row("ReplicaSet", ownerReferences=[{"uid": "1", "controller": True}]),
        row("ConfigMap", "kube-root-ca.crt"),
        row("ServiceAccount", "default"),
        {**row("Secret", "sh.helm.release.v1.web.v1"), "type": "helm.sh/release.v1"},
        row("Secret", labels={"orch/store": "yes"}),
    ],
)
def test_what_the_cluster_or_a_tool_made_is_left_out(made: Row) -> None:
    mine = row("ConfigMap", "mine", ownerReferences=[{"uid": "1"}])
    assert own_rows([made, mine]) == [mine]


def test_of_our_own_versions_the_newest_counts() -> None:
    def version(name: str, revision: int) -> Row:
        said = {"orch/id": "config/conf", "orch/revision": str(revision)}
        return row("ConfigMap", name, annotations=said)

    old, new = version("conf-1", 1), version("conf-2", 2)
    assert own_rows([new, old]) == [new]


# -- who uses whom ---------------------------------------------------------------------------------


def test_around_a_workload_stands_what_it_uses_and_what_leads_to_it() -> None:
    web = workload("web", {"app": "web"}, volumes=[{"configMap": {"name": "conf"}}])
    other = workload("other", {"app": "other"})
    service = row("Service", "front", {"selector": {"app": "web"}})
    to_front = {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "front"}}}]}}]}
    ingress = row("Ingress", "out", to_front)
    elsewhere = row("Ingress", "other", {"defaultBackend": {"service": {"name": "other"}}})
    widget = row("Widget", "front-widget", {"service": {"name": "front"}})
    rows = [
        *(web, other, service, ingress, elsewhere, widget),
        row("Service", "other", {"selector": {"app": "other"}}),
        row("Service", "by-hand"),
        *(row("ConfigMap", "conf"), row("ConfigMap", "unused")),
    ]
    chosen = Circle(rows).around(by_labels("app=web"))
    assert names(chosen) == {
        ("Deployment", "web"),
        ("Service", "front"),
        ("Ingress", "out"),
        ("ConfigMap", "conf"),
    }


def test_what_does_not_run_draws_nothing_that_chooses_pods() -> None:
    """An object of another kind may have a template, too: its labels are those of no pods."""
    chart = workload("chart", {"app": "web"}, kind="Widget")
    service = row("Service", "front", {"selector": {"app": "web"}})
    bare = row("Deployment", "bare", {"template": {}}, labels={"part": "x"})
    assert names(Circle([chart, service]).around(by_labels("app=web"))) == {("Widget", "chart")}
    assert names(Circle([bare, service]).around(by_labels("part=x"))) == {("Deployment", "bare")}
