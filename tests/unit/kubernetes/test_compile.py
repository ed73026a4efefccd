"""What services, jobs and the rest of a spec become on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.compile.compile import compile_app
from orch.errors import UsageFault
from orch.spec.application import Application
from orch.types import Fidelity, parse_path, render_path
from orch_kubernetes.backend import KubernetesBackend
from orch_kubernetes.flavours import FLAVOURS
from tests.golden.test_golden import EXAMPLES, application

if TYPE_CHECKING:
    from pathlib import Path

    from orch.types import LedgerEntry, Manifest

IMAGE = {"image": "ghcr.io/acme/web:1"}


def compiled(document: dict[str, Any], **options: str) -> Manifest:
    app = Application.model_validate({"name": "shop", **document})
    return compile_app(KubernetesBackend(options), app)


def body(manifest: Manifest, id_: str) -> dict[str, Any]:
    return next(dict(r.body) for r in manifest.resources if r.id == id_)


def pod(manifest: Manifest, id_: str = "service/web") -> dict[str, Any]:
    found: dict[str, Any] = body(manifest, id_)["spec"]["template"]["spec"]
    return found


def row(manifest: Manifest, path: str) -> LedgerEntry:
    return next(entry for entry in manifest.ledger if entry.path == parse_path(path))


def web(**said: Any) -> dict[str, Any]:
    return {"services": {"web": {**IMAGE, **said}}}


MOUNT = {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}


@pytest.mark.parametrize(
    ("service", "volume", "kind"),
    [
        ({}, {}, "Deployment"),
        ({"deploy": {"mode": "global"}}, {}, "DaemonSet"),
        ({"deploy": {"ordered": True}}, {}, "StatefulSet"),
        (MOUNT, {}, "StatefulSet"),
        (MOUNT, {"per_replica": True}, "StatefulSet"),
        (MOUNT, {"access": "shared"}, "Deployment"),
        (MOUNT, {"external": True}, "Deployment"),
    ],
)
def test_the_kind_of_a_service(service: Any, volume: Any, kind: str) -> None:
    manifest = compiled({**web(**service), "volumes": {"data": volume}})
    assert body(manifest, "service/web")["kind"] == kind


def test_each_replica_has_its_claim_and_its_name() -> None:
    said = web(**MOUNT, deploy={"replicas": 2}, ports=[{"target": 80}])
    manifest = compiled({**said, "volumes": {"data": {"per_replica": True, "size": "2Gi"}}})
    claims = body(manifest, "service/web")["spec"]["volumeClaimTemplates"]
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert "volume/data" not in {r.id for r in manifest.resources}
    selectors = [body(manifest, f"address/web-{i}")["spec"]["selector"] for i in range(2)]
    assert [list(s.values()) for s in selectors] == [["web-0"], ["web-1"]]
    assert "volumes" not in pod(manifest)


def test_the_kubelet_fills_nothing_in() -> None:
    manifest = compiled(web(command=["echo", "$(HOME)"], environment={"A": "$(B)", "C": "$D"}))
    main = pod(manifest)["containers"][0]
    assert main["args"] == ["echo", "$$(HOME)"]
    assert [one["value"] for one in main["env"]] == ["$$(B)", "$D"]


@pytest.mark.parametrize(("version", "where"), [("1.29", "initContainers"), ("1.28", "containers")])
def test_sidecars(version: str, where: str) -> None:
    manifest = compiled(web(sidecars={"log": IMAGE}), version=version)
    found = [one for one in pod(manifest)[where] if one["name"] == "log"]
    assert found[0].get("restartPolicy") == ("Always" if version == "1.29" else None)
    worse = row(manifest, "services.web.sidecars.log.image").outcome is Fidelity.DEGRADED
    assert worse is (version == "1.28")


def test_a_sidecar_may_be_called_as_its_service() -> None:
    found = pod(compiled(web(sidecars={"web": IMAGE})))
    assert [found["containers"][0]["name"], found["initContainers"][0]["name"]] == [
        "web",
        "web-sidecar",
    ]


def test_a_job_has_no_volume_of_its_own() -> None:
    document = {"jobs": {"job": {**IMAGE, **MOUNT}}, "volumes": {"data": {"per_replica": True}}}
    manifest = compiled(document)
    assert row(manifest, "jobs.job.volumes[0].source").outcome is Fidelity.REJECTED
    assert "no service" in row(manifest, "volumes.data.per_replica").reason


def test_parts_written_empty_hold_their_defaults() -> None:
    manifest = compiled({**web(deploy={}, probes={}), "volumes": {"data": {}}})
    assert manifest.ledger.worst() is not Fidelity.LOST


def test_another_kind_replaces_the_object() -> None:
    """A service that gets its own storage keeps its id, and is another kind of object."""
    limits = KubernetesBackend({}).capabilities().limits
    assert {"StatefulSet:kind", "Deployment:kind", "HTTPRoute:kind"} <= set(limits["immutable"])
    before = compiled(web())
    after = compiled({**web(**MOUNT), "volumes": {"data": {}}})
    kinds = [next(r.kind for r in m.resources if r.id == "service/web") for m in (before, after)]
    assert kinds == ["Deployment", "StatefulSet"]


@pytest.mark.parametrize(
    ("version", "apis"),
    [
        ("1.20", ("autoscaling/v2beta2", "batch/v1beta1", "policy/v1beta1")),
        ("1.22", ("autoscaling/v2beta2", "batch/v1", "policy/v1")),
        ("1.37", ("autoscaling/v2", "batch/v1", "policy/v1")),
    ],
)
def test_api_versions(version: str, apis: tuple[str, ...]) -> None:
    said = web(deploy={"disruption": {"max_unavailable": 1}}, autoscale={"max": 3})
    manifest = compiled(
        {**said, "jobs": {"tick": {**IMAGE, "schedule": "0 3 * * *"}}}, version=version
    )
    ids = ("autoscale/web", "job/tick", "disruption/web")
    assert tuple(body(manifest, id_)["apiVersion"] for id_ in ids) == apis


def test_a_time_zone_is_lost_where_it_is_not_known() -> None:
    job = {**IMAGE, "schedule": "0 3 * * *", "time_zone": "Europe/Lisbon"}
    old = compiled({"jobs": {"tick": job}}, version="1.24")
    assert "timeZone" not in body(old, "job/tick")["spec"]
    assert row(old, "jobs.tick.time_zone").outcome is Fidelity.LOST
    new = compiled({"jobs": {"tick": job}}, version="1.25")
    assert body(new, "job/tick")["spec"]["timeZone"] == "Europe/Lisbon"


def test_a_job_is_held_back_where_that_is_known() -> None:
    def held(version: str, *, said: bool, **more: Any) -> tuple[Fidelity, Any]:
        job = {**IMAGE, "suspend": said, **more}
        manifest = compiled({"jobs": {"seed": job}}, version=version)
        return row(manifest, "jobs.seed.suspend").outcome, body(manifest, "job/seed")["spec"].get(
            "suspend"
        )

    assert held("1.22", said=True) == (Fidelity.NATIVE, True)
    assert held("1.21", said=True) == (Fidelity.LOST, None)
    assert held("1.21", said=False) == (Fidelity.NATIVE, None)
    assert held("1.21", said=True, schedule="0 3 * * *") == (Fidelity.NATIVE, True)


@pytest.mark.parametrize("most", [3, 4])
def test_a_pod_has_three_name_servers(most: int) -> None:
    manifest = compiled(web(dns=[f"10.0.0.{n}" for n in range(most)]))
    found = row(manifest, "services.web.dns")
    assert found.outcome is (Fidelity.REJECTED if most > 3 else Fidelity.DEGRADED)
    assert most > 3 or "only two" in found.reason


@pytest.mark.parametrize(("version", "refused"), [("1.23", True), ("1.24", False)])
def test_a_load_balancer_has_one_protocol_before_1_24(version: str, *, refused: bool) -> None:
    ports = [{"target": 53, "published": 53, "protocol": kind} for kind in ("tcp", "udp")]
    manifest = compiled(web(ports=ports), version=version)
    found = [row(manifest, f"services.web.ports[{i}].published").outcome for i in (0, 1)]
    assert [one is Fidelity.REJECTED for one in found] == [False, refused]


LINUX_ALONE = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "cap_add": ["CHOWN"],
    "security_opt": ["no-new-privileges"],
    "init": True,
    "group_add": ["1"],
    "pid": "host",
}


@pytest.mark.parametrize("flavour", ["plain", "tanzu"])
def test_a_pod_on_windows_has_nothing_of_linux(flavour: str) -> None:
    said = {**LINUX_ALONE, "platform": "windows/amd64", "user": "ContainerUser"}
    manifest = compiled(web(**said), flavour=flavour)
    found = pod(manifest)
    assert found["os"] == {"name": "windows"}
    assert found["nodeSelector"]["kubernetes.io/os"] == "windows"
    context = found["containers"][0]["securityContext"]
    assert context == {"windowsOptions": {"runAsUserName": "ContainerUser"}}
    assert {"shareProcessNamespace", "hostPID", "securityContext"}.isdisjoint(found)
    assert row(manifest, "services.web.user").outcome is Fidelity.NATIVE
    for field in LINUX_ALONE:
        assert row(manifest, f"services.web.{field}").outcome is Fidelity.LOST, field
    assert "os" not in pod(compiled(web(**said), version="1.24"))
    assert "os" not in pod(compiled(web(platform="linux/amd64")))


def test_what_is_turned_off_is_off_on_windows_too() -> None:
    manifest = compiled(web(platform="windows/amd64", init=False, privileged=False))
    for field in ("init", "privileged"):
        assert row(manifest, f"services.web.{field}").outcome is Fidelity.NATIVE
    assert "shareProcessNamespace" not in pod(manifest)


def test_the_pace_of_an_update() -> None:
    fast = {"parallelism": 2, "order": "start-first", "delay": "3s", "monitor": "4s"}
    spec = body(compiled(web(deploy={"update_config": fast})), "service/web")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    assert spec["minReadySeconds"] == 7
    at_once = body(compiled(web(deploy={"update_config": {"parallelism": 0}})), "service/web")
    assert at_once["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": "100%"}


def test_what_has_one_writer_never_starts_first() -> None:
    said = web(**MOUNT, deploy={"update_config": {"order": "start-first"}})
    manifest = compiled({**said, "volumes": {"data": {}}})
    found = row(manifest, "services.web.deploy.update_config.order")
    assert found.outcome is Fidelity.REJECTED
    assert "stop-first" in found.mend


HOST_PORT = {"ports": [{"target": 80, "published": 80, "mode": "host"}]}
ON_HOST = {"ports": [{"target": 80}], "network_mode": "host"}
IN_SIDECAR = {"sidecars": {"side": {**IMAGE, **HOST_PORT}}}


@pytest.mark.parametrize("ports", [HOST_PORT, ON_HOST, IN_SIDECAR])
@pytest.mark.parametrize(
    ("mode", "outcome"), [("global", Fidelity.REJECTED), ("replicated", Fidelity.DEGRADED)]
)
def test_a_host_port_is_never_free_for_the_next_pod(
    ports: Any, mode: str, outcome: Fidelity
) -> None:
    def order(said: str, ports: Any) -> LedgerEntry:
        deploy = {"mode": mode, "update_config": {"order": said}}
        path = "services.web.deploy.update_config.order"
        return row(compiled(web(**ports, deploy=deploy)), path)

    found = order("start-first", ports)
    assert found.outcome is outcome
    assert "stop-first" in found.mend
    assert order("stop-first", ports).outcome is Fidelity.NATIVE
    assert order("start-first", {"ports": [{"target": 80}]}).outcome is Fidelity.NATIVE


def test_the_number_of_replicas_is_the_autoscalers() -> None:
    backend = KubernetesBackend({})
    deployment = body(compiled(web(autoscale={"max": 3})), "service/web")
    where = backend.capabilities().limits["initial"]["Deployment:spec.replicas"].split(".")
    part: Any = deployment
    for key in where:
        part = part[key]
    assert part == "1 to 3"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "it asks for none"),
        ({"resources": {"reservations": {"memory": "1Gi"}}}, "it asks for none"),
        ({"resources": {"reservations": {"cpus": 0.5}}}, ""),
        ({"deploy": {"resources": {"limits": {"cpus": 0.5}}}}, ""),
        (
            {"resources": {"reservations": {"cpus": 0.5}}, "sidecars": {"log": IMAGE}},
            "its sidecar 'log' asks for none",
        ),
    ],
)
def test_use_is_measured_against_what_is_asked_for(said: Any, told: str) -> None:
    scaled = web(**said, autoscale={"max": 3, "metrics": [{"type": "cpu", "target": 70}]})
    for leaf in ("type", "target"):
        found = row(compiled(scaled), f"services.web.autoscale.metrics[0].{leaf}")
        assert found.outcome is (Fidelity.DEGRADED if told else Fidelity.NATIVE)
        assert told in found.reason
        assert bool(found.mend) is bool(told)
    given = row(compiled(scaled, flavour="gke-autopilot"), "services.web.autoscale.metrics[0].type")
    assert given.outcome is Fidelity.NATIVE, "Autopilot gives what is not asked for"


def test_a_config_is_named_by_its_content() -> None:
    def called(content: str) -> str:
        document = {**web(), "configs": {"web.toml": {"content": content}}}
        found = compiled(document)
        return body(found, "config/web.toml")["metadata"]["name"]  # type: ignore[no-any-return]

    assert called("a") != called("b")
    assert called("a") == called("a")


@pytest.mark.parametrize(
    ("config", "outcome"),
    [
        ({"content": "x" * (1 << 20)}, "native"),
        ({"content": "é" * (1 << 19)}, "native"),
        ({"content": "é" * (1 << 19) + "x"}, "rejected"),
        ({"content": "AAAA" * ((1 << 20) // 3), "encoding": "base64"}, "native"),
        ({"content": "AAAA" * ((1 << 20) // 3 + 1), "encoding": "base64"}, "rejected"),
        ({"file": "big", "content": "x" * ((1 << 20) + 1)}, "rejected"),
    ],
)
def test_a_config_holds_a_mebibyte(config: dict[str, str], outcome: str) -> None:
    manifest = compiled({**web(), "configs": {"big": config}})
    field = "file" if "file" in config else "content"
    assert row(manifest, f"configs.big.{field}").outcome == outcome


def test_a_port_that_is_published_twice_is_opened_once() -> None:
    ports = [{"target": 80, "published": 80}, {"target": 80, "published": 8080, "name": "http"}]
    ports += [{"target": 80, "protocol": "udp"}, {"target": 80, "name": "web"}]
    manifest = compiled(web(ports=ports))
    said = [row(manifest, f"services.web.ports[{n}].name").outcome for n in (1, 3)]
    assert said == [Fidelity.NATIVE, Fidelity.EMULATED]
    assert pod(manifest)["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP", "name": "http"},
        {"containerPort": 80, "protocol": "UDP"},
    ]
    outside = body(manifest, "published/web")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in outside] == [(80, 80), (8080, 80)]


def test_a_port_of_a_container_is_opened_at_one_port_of_its_node() -> None:
    ports = [{"target": 80, "published": n, "mode": "host"} for n in (80, 8080, 80)]
    manifest = compiled(web(ports=ports))
    (port,) = pod(manifest)["containers"][0]["ports"]
    assert port["hostPort"] == 80
    said = [row(manifest, f"services.web.ports[{n}].published").outcome for n in range(3)]
    assert said == [Fidelity.NATIVE, Fidelity.REJECTED, Fidelity.NATIVE]


def test_secrets_are_tokens_and_name_their_version() -> None:
    said = web(environment={"PW": {"secret": "pw"}}, secrets=[{"source": "pw", "target": "pw"}])
    manifest = compiled({**said, "secrets": {"pw": {"provider": "env", "key": "PW"}}})
    assert body(manifest, "secret/pw")["data"] == {"pw": "{{orch.base64:pw}}"}
    main = pod(manifest)["containers"][0]
    reference = main["env"][0]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "pw-{{orch.version:pw}}", "key": "pw"}
    assert main["volumeMounts"][0]["mountPath"] == "/run/secrets/pw"
    service = next(r for r in manifest.resources if r.id == "service/web")
    assert service.sends == ()
    assert service.secrets == ("pw",)


def test_a_password_of_a_registry_is_in_no_other_secret() -> None:
    manifest = compiled(
        {
            **web(),
            "secrets": {"pw": {"provider": "env", "key": "PW"}},
            "registries": {"ghcr.io": {"username": "ci", "password": {"secret": "pw"}}},
        }
    )
    assert "secret/pw" not in {r.id for r in manifest.resources}
    assert body(manifest, "registry/ghcr.io")["type"] == "kubernetes.io/dockerconfigjson"
    assert body(manifest, "account/shop")["imagePullSecrets"]
    assert "imagePullSecrets" not in pod(manifest)


@pytest.mark.parametrize(
    ("constraint", "term"),
    [
        ("node.labels.tier == web", {"key": "tier", "operator": "In", "values": ["web"]}),
        (
            "node.arch not in (arm, arm64)",
            {"key": "kubernetes.io/arch", "operator": "NotIn", "values": ["arm", "arm64"]},
        ),
        (
            "node.role == worker",
            {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"},
        ),
        (
            "node.role != worker",
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
        ),
        (
            "node.labels.zone == a",
            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]},
        ),
    ],
)
def test_constraints(constraint: str, term: Any) -> None:
    manifest = compiled(web(deploy={"placement": {"constraints": [constraint]}}))
    required = pod(manifest)["affinity"]["nodeAffinity"]
    terms = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [{"matchExpressions": [term]}]


def test_a_constraint_without_words_is_refused() -> None:
    manifest = compiled(web(deploy={"placement": {"constraints": ["node.labels.a =~ ^b"]}}))
    found = row(manifest, "services.web.deploy.placement.constraints")
    assert found.outcome is Fidelity.REJECTED


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "Ingress"),
        ({"flavour": "gke"}, "HTTPRoute"),
        ({"flavour": "openshift"}, "Route"),
        ({"flavour": "openshift", "routes": "ingress"}, "Ingress"),
        ({"routes": "gateway", "gateway": "infra/shared"}, "HTTPRoute"),
    ],
)
def test_routes_are_what_the_cluster_has(options: dict[str, str], kind: str) -> None:
    port = {"ports": [{"name": "http", "target": 8080}]}
    route = {"host": "a.example.com", "service": "web", "port": "http"}
    manifest = compiled({**web(**port), "routes": [route]}, **options)
    found = [
        dict(r.body)
        for r in manifest.resources
        if r.id.partition("/")[0] in ("ingress", "httproute", "route")
    ]
    assert [one["kind"] for one in found] == [kind]
    if "gateway" in options:
        assert found[0]["spec"]["parentRefs"] == [{"name": "shared", "namespace": "infra"}]
        assert "Gateway" not in {r.kind for r in manifest.resources}


@pytest.mark.parametrize(
    ("flavour", "said", "path"),
    [
        ("eks-fargate", {"deploy": {"mode": "global"}}, "deploy.mode"),
        ("eks-fargate", {"privileged": True}, "privileged"),
        ("gke-autopilot", {"network_mode": "host"}, "network_mode"),
        ("gke-autopilot", {"pid": "host"}, "pid"),
        ("openshift", {"privileged": True}, "privileged"),
        ("openshift", {"cap_add": ["SYS_ADMIN"]}, "cap_add"),
        (
            "openshift",
            {"volumes": [{"type": "bind", "source": "/a", "target": "/a"}]},
            "volumes[0].source",
        ),
    ],
)
def test_what_a_policy_refuses_is_refused(flavour: str, said: Any, path: str) -> None:
    manifest = compiled(web(**said), flavour=flavour)
    found = row(manifest, f"services.web.{path}")
    assert found.outcome is Fidelity.REJECTED
    assert FLAVOURS[flavour].title in found.reason
    assert row(compiled(web(**said)), f"services.web.{path}").outcome is not Fidelity.REJECTED


def test_autopilot_gives_no_less_than_its_minimum() -> None:
    said = web(deploy={"resources": {"reservations": {"cpus": "0.01", "memory": "128Mi"}}})
    manifest = compiled(said, flavour="gke-autopilot")
    assert pod(manifest)["containers"][0]["resources"]["requests"] == {
        "cpu": "50m",
        "memory": "128Mi",
    }
    found = row(manifest, "services.web.deploy.resources.reservations.cpus")
    assert "50m; 10m was asked for" in found.reason


def test_a_service_of_a_route_stays_open_to_its_proxy() -> None:
    document = {
        **web(ports=[{"target": 8080}]),
        "routes": [{"service": "web", "port": 8080}],
        "policies": [{"to": {"service": "web"}}],
    }
    manifest = compiled(document, flavour="k3s")
    assert body(manifest, "open/web")["spec"]["ingress"] == [
        {"ports": [{"port": 8080, "protocol": "TCP"}]}
    ]
    assert row(manifest, "policies[0].to.service").outcome is Fidelity.DEGRADED


def test_a_policy_that_admits_nobody_says_so() -> None:
    document = {**web(), "policies": [{"to": {"service": "web"}, "from": []}]}
    manifest = compiled(document, flavour="k3s")
    found = row(manifest, "policies[0].from")
    assert found.outcome is Fidelity.EMULATED
    assert found.outputs == ("policy/0:spec.ingress",)
    assert body(manifest, "policy/0")["spec"]["ingress"] == []


def test_labels_that_are_none_become_annotations() -> None:
    manifest = compiled(web(labels={"team": "store front", "tier": "web", "not a key": "x"}))
    metadata = body(manifest, "service/web")["spec"]["template"]["metadata"]
    assert metadata["labels"]["tier"] == "web"
    assert metadata["annotations"]["team"] == "store front"
    assert "x" in metadata["annotations"].values()


def test_overrides_never_touch_what_an_object_is_known_by() -> None:
    said = {"kubernetes": {"deployment": {"spec": {"selector": {"matchLabels": {"a": "b"}}}}}}
    manifest = compiled(web(overrides=said))
    assert (
        row(manifest, "services.web.overrides.kubernetes.deployment").outcome is Fidelity.REJECTED
    )
    kept = body(manifest, "service/web")["spec"]["selector"]["matchLabels"]
    assert kept == {"orch/app": "shop", "orch/service": "web"}


def overridden(kubernetes: dict[str, Any], **more: Any) -> Manifest:
    ports = [{"target": 80, "published": 80}]
    return compiled(web(overrides={"kubernetes": kubernetes}, ports=ports, **more))


def test_overrides_reach_all_that_a_service_becomes() -> None:
    noted = {"metadata": {"annotations": {"example.com/internal": "true"}}}
    patient = {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}
    manifest = overridden(
        {"service": noted, "horizontalPodAutoscaler": patient},
        autoscale={"max": 3, "metrics": [{"type": "cpu", "target": 70}]},
    )
    outside = body(manifest, "published/web")["metadata"]
    assert outside["annotations"] == {"example.com/internal": "true"}
    assert "annotations" not in body(manifest, "address/web")["metadata"]
    assert body(manifest, "autoscale/web")["spec"]["behavior"]["scaleDown"]
    said = row(manifest, "services.web.overrides.kubernetes.service")
    assert said.outcome is Fidelity.NATIVE


ROUTED: dict[str, Any] = {
    "routes": [
        {"host": "a.example.com", "service": "web", "port": 80},
        {"host": "b.example.com", "service": "web", "port": 80},
        {"host": "b.example.com", "path": "/api", "service": "api", "port": 80},
    ]
}
NOTED = {"metadata": {"annotations": {"example.com/timeout": "60"}}}


def routed(web: dict[str, Any], api: dict[str, Any], **options: str) -> Manifest:
    services = {
        name: {**IMAGE, "ports": [{"target": 80}], "overrides": {"kubernetes": said}}
        for name, said in (("web", web), ("api", api))
    }
    return compiled({"services": services, **ROUTED}, **options)


def noted(manifest: Manifest) -> set[str]:
    return {
        resource.id
        for resource in manifest.resources
        if "example.com/timeout" in resource.body["metadata"].get("annotations", {})
    }


@pytest.mark.parametrize(
    ("routes", "kind", "ids"),
    [
        ("ingress", "ingress", {"ingress/a.example.com", "ingress/b.example.com"}),
        ("gateway", "httpRoute", {"httproute/a.example.com", "httproute/b.example.com"}),
        ("gateway", "gateway", {"gateway/app"}),
        ("route", "route", {"route/a.example.com", "route/b.example.com"}),
    ],
)
def test_overrides_reach_the_ways_in_that_lead_to_a_service(
    routes: str, kind: str, ids: set[str]
) -> None:
    manifest = routed({kind: NOTED}, {}, routes=routes)
    assert noted(manifest) == ids
    found = row(manifest, f"services.web.overrides.kubernetes.{kind}")
    assert found.outcome is Fidelity.NATIVE
    assert {output.partition(":")[0] for output in found.outputs} == ids


def test_overrides_leave_the_redirect_of_an_encrypted_host_alone() -> None:
    tls = {"certificate": "held"}
    route = {"host": "a.example.com", "service": "web", "port": 80, "tls": tls}
    more = {"ports": [{"target": 80}], "overrides": {"kubernetes": {"httpRoute": NOTED}}}
    manifest = compiled({**web(**more), "routes": [route]}, routes="gateway")
    assert noted(manifest) == {"httproute/a.example.com"}


def test_a_way_in_that_two_services_share_is_told_one_thing() -> None:
    other = {"metadata": {"annotations": {"example.com/timeout": "90"}}}
    alike = routed({"ingress": NOTED}, {"ingress": NOTED})
    assert row(alike, "services.api.overrides.kubernetes.ingress").outcome is Fidelity.NATIVE
    found = row(
        routed({"ingress": NOTED}, {"ingress": other}), "services.api.overrides.kubernetes.ingress"
    )
    assert found.outcome is Fidelity.REJECTED
    assert "Ingress b-example-com" in found.reason
    assert "says something else" in found.reason


@pytest.mark.parametrize("other", [{}, {"example.com/timeout": {"a": "b"}}])
def test_of_what_two_services_share_neither_takes_the_other_ones_away(other: Any) -> None:
    more = {"metadata": {"annotations": other}}
    found = row(
        routed({"ingress": NOTED}, {"ingress": more}), "services.api.overrides.kubernetes.ingress"
    )
    assert found.outcome is Fidelity.REJECTED
    assert "says something else" in found.reason or "is no mapping" in found.reason


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (None, "it is no mapping"),
        ("text", "it is no mapping"),
        ({"metadata": None}, "metadata is a mapping"),
        ({"metadata": {"labels": None}}, "metadata.labels is a mapping"),
        ({"metadata": "x"}, "metadata is a mapping"),
        ({"spec": {"rules": {"host": "x"}}}, "spec.rules is no mapping"),
        ({"spec": None}, "spec is a mapping"),
    ],
)
def test_what_can_not_be_laid_over_an_object_is_refused(said: Any, reason: str) -> None:
    found = row(routed({"ingress": said}, {}), "services.web.overrides.kubernetes.ingress")
    assert (found.outcome, found.reason) == (Fidelity.REJECTED, reason)


def test_of_what_is_compiled_a_part_may_be_taken_away() -> None:
    said = {"spec": {"template": {"spec": {"securityContext": None}}}}
    manifest = compiled(web(overrides={"kubernetes": {"deployment": said}}, group_add=["7"]))
    found = row(manifest, "services.web.overrides.kubernetes.deployment")
    assert found.outcome is Fidelity.NATIVE
    assert pod(manifest)["securityContext"] is None
    said["spec"]["template"]["spec"]["securityContext"] = "none"
    manifest = compiled(web(overrides={"kubernetes": {"deployment": said}}, group_add=["7"]))
    found = row(manifest, "services.web.overrides.kubernetes.deployment")
    assert found.reason == "spec.template.spec.securityContext is a mapping"


def test_settings_of_ways_in_that_the_cluster_has_not_are_lost_and_told() -> None:
    manifest = routed({"httpRoute": NOTED}, {"gateway": NOTED})
    lost = row(manifest, "services.web.overrides.kubernetes.httpRoute")
    assert (lost.outcome, lost.mend) == (Fidelity.LOST, "write it for ingress too")
    assert "no httpRoute" in lost.reason
    unrouted = compiled(web(overrides={"kubernetes": {"ingress": NOTED}}))
    rejected = row(unrouted, "services.web.overrides.kubernetes.ingress")
    assert rejected.outcome is Fidelity.REJECTED


ROLE = {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/web"}}}


def test_a_part_with_settings_of_its_account_has_one_of_its_own() -> None:
    said = {"overrides": {"kubernetes": {"serviceAccount": ROLE}}}
    document = {**web(**said), "jobs": {"tidy": {**IMAGE, **said}, "plain": IMAGE}}
    registry = {"registries": {"ghcr.io": {"username": "u", "password": {"secret": "token"}}}}
    secrets = {"secrets": {"token": {"provider": "env", "key": "T"}}}
    manifest = compiled({**document, **registry, **secrets})
    assert pod(manifest)["serviceAccountName"] == "shop-web"
    assert pod(manifest, "job/tidy")["serviceAccountName"] == "shop-tidy"
    assert pod(manifest, "job/plain")["serviceAccountName"] == "shop"
    own = body(manifest, "account/shop/web")
    assert own["metadata"]["annotations"] == ROLE["metadata"]["annotations"]
    assert own["imagePullSecrets"] == body(manifest, "account/shop")["imagePullSecrets"]
    assert "annotations" not in body(manifest, "account/shop")["metadata"]
    web_ = next(r for r in manifest.resources if r.id == "service/web")
    assert "account/shop/web" in {edge.id for edge in web_.depends_on}
    assert row(manifest, "jobs.tidy.overrides.kubernetes.serviceAccount").outcome is Fidelity.NATIVE


def test_an_account_of_its_own_decides_whether_pods_have_its_token() -> None:
    for mounts in (True, False):
        said = {"serviceAccount": {"automountServiceAccountToken": mounts}}
        manifest = compiled(web(overrides={"kubernetes": said}))
        assert body(manifest, "account/shop/web")["automountServiceAccountToken"] is mounts
        assert "automountServiceAccountToken" not in pod(manifest)
    assert pod(compiled(web()))["automountServiceAccountToken"] is False


def test_what_is_said_of_an_account_rolls_pods_out_and_runs_no_job_again() -> None:
    def template(unit: str, kubernetes: dict[str, Any]) -> Any:
        part = {**IMAGE, "overrides": {"kubernetes": kubernetes}}
        manifest = compiled({"services": {"web": part}, "jobs": {"tidy": part}})
        return body(manifest, unit)["spec"]["template"]

    other = {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:2"}}}
    for unit, rolls in (("service/web", True), ("job/tidy", False)):
        one, two = (template(unit, {"serviceAccount": said}) for said in (ROLE, other))
        assert (one != two) is rolls


@pytest.mark.parametrize("version", ["1.20", "1.25", "1.37"])
@pytest.mark.parametrize(
    ("kubernetes", "told"),
    [
        ({"deployment": {"spec": {"minReadySecondz": 3}}}, "spec: Additional properties"),
        ({"deployment": {"spec": {"minReadySeconds": "x"}}}, "spec.minReadySeconds: 'x' is not"),
        ({"daemonSet": {"spec": {}}}, "daemonSet is not known here"),
        ({"serviceAccount": {"automount": True}}, "Additional properties"),
    ],
)
def test_overrides_that_the_api_does_not_take_are_rejected(
    version: str, kubernetes: dict[str, Any], told: str
) -> None:
    said = {"overrides": {"kubernetes": kubernetes}}
    (key,) = kubernetes
    found = row(compiled(web(**said), version=version), f"services.web.overrides.kubernetes.{key}")
    assert found.outcome is Fidelity.REJECTED
    assert told in found.reason


@pytest.mark.parametrize(
    "option",
    [
        {"flavour": "mine"},
        {"version": "1.19"},
        {"routes": "magic"},
        {"load_balancer": "some"},
        {"pod_security": "none"},
    ],
)
def test_options_that_are_not_known_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(UsageFault):
        KubernetesBackend(option)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_no_row_is_better_than_what_is_promised(folder: Path, flavour: str) -> None:
    backend = KubernetesBackend({"flavour": flavour})
    promised = backend.capabilities()
    better = [
        f"{render_path(entry.path)}: {entry.outcome}, promised {promised.best(entry.path)}"
        for entry in compile_app(backend, application(folder)).ledger
        if entry.outcome.rank < promised.best(entry.path).rank
    ]
    assert not better
