"""The stage itself: what is deployed with plain API calls runs, and a stopped cluster is gone."""

from __future__ import annotations

import subprocess
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, config, stream, utils

from tests.control_plane.cluster import CGROUPS, raised
from tests.control_plane.conftest import KubernetesCluster, built_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.optional, pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 120
SERVE = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


@dataclass(frozen=True)
class Space:
    """A namespace of one test, on a cluster."""

    name: str
    image: str
    api: client.ApiClient

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    def create(self, document: dict[str, Any]) -> None:
        utils.create_from_dict(self.api, document, namespace=self.name)

    def pods(self, app: str) -> list[Any]:
        found = self.core.list_namespaced_pod(self.name, label_selector=f"app={app}").items
        return list(found)

    def ready(self, app: str, count: int) -> bool:
        states = [one for pod in self.pods(app) for one in pod.status.container_statuses or []]
        return len(states) == count and all(state.ready for state in states)

    def waiting(self, app: str) -> set[str]:
        states = [one for pod in self.pods(app) for one in pod.status.container_statuses or []]
        return {state.state.waiting.reason for state in states if state.state.waiting}

    def deploy(self, app: str, script: str, replicas: int = 1, **fields: Any) -> None:
        self.create(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": app},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": app}},
                    "template": self.pod(app, script, **fields),
                },
            }
        )

    def expose(self, app: str, port: int, **fields: Any) -> None:
        ports = [{"port": port, "targetPort": 8080}]
        self.create(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": app},
                "spec": {"selector": {"app": app}, "ports": ports, **fields},
            }
        )

    def pod(self, app: str, script: str, **fields: Any) -> dict[str, Any]:
        container = {
            "name": "main",
            "image": self.image,
            "command": ["sh", "-c", script],
            **fields.pop("container", {}),
        }
        spec = {"containers": [container], "terminationGracePeriodSeconds": 1, **fields}
        return {"metadata": {"labels": {"app": app}}, "spec": spec}

    def run(self, app: str, *command: str) -> str:
        pod = self.pods(app)[0].metadata.name
        line = stream.stream(
            self.core.connect_get_namespaced_pod_exec,
            pod,
            self.name,
            command=list(command),
            stdout=True,
            stderr=True,
            stdin=False,
            tty=False,
            _preload_content=False,
        )
        line.run_forever(timeout=30)
        said = str(line.read_all())
        line.sock.shutdown()  # its own close() leaves the socket open where the server closed first
        return said


def wait(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


@pytest.fixture
def space(kubernetes_cluster: KubernetesCluster) -> Iterator[Space]:
    name = f"stage-{uuid.uuid4().hex[:8]}"
    with config.new_client_from_config(str(kubernetes_cluster.kubeconfig)) as api:
        made = Space(name, kubernetes_cluster.image, api)
        made.core.create_namespace({"metadata": {"name": name}})
        # Pods need the account that a controller makes a moment after the namespace.
        wait(lambda: made.core.list_namespaced_service_account(name).items)
        yield made
        made.core.delete_namespace(name)


def test_replicas_of_a_deployment_run_and_can_be_looked_into(space: Space) -> None:
    space.deploy("web", "echo serving; hostname > /tmp/name; exec sleep 1000", replicas=2)
    wait(lambda: space.ready("web", 2))
    for pod in space.pods("web"):
        assert space.core.read_namespaced_pod_log(pod.metadata.name, space.name) == "serving\n"
    assert space.run("web", "cat", "/tmp/name").strip() == space.pods("web")[0].metadata.name


def test_a_service_leads_to_a_pod(space: Space) -> None:
    space.deploy("web", SERVE)
    space.expose("web", port=80)
    wait(lambda: space.ready("web", 1))
    address = space.core.read_namespaced_service("web", space.name).spec.cluster_ip
    ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} 80"
    wait(lambda: "hello" in space.run("web", "sh", "-c", ask))


def test_a_load_balancer_leads_in_from_outside(space: Space) -> None:
    space.deploy("web", SERVE)
    space.expose("web", port=8765, type="LoadBalancer")
    wait(lambda: space.ready("web", 1))
    wait(lambda: space.core.read_namespaced_service("web", space.name).status.load_balancer.ingress)
    service = space.core.read_namespaced_service("web", space.name)
    address = service.status.load_balancer.ingress[0].ip
    wait(lambda: _fetched(f"http://{address}:8765") == b"hello\n")


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_a_job_completes(space: Space) -> None:
    template = space.pod("job", "echo done", restartPolicy="Never")
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}}
    space.create({**job, "spec": {"template": template}})
    batch = client.BatchV1Api(space.api)
    wait(lambda: batch.read_namespaced_job_status("job", space.name).status.succeeded == 1)


def test_a_volume_is_made_and_mounted(space: Space) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}}
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    space.create({**claim, "spec": size})
    space.deploy(
        "store",
        "echo kept > /data/file; exec sleep 1000",
        container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    wait(lambda: space.ready("store", 1))
    assert space.run("store", "cat", "/data/file") == "kept\n"


def test_an_image_that_is_nowhere_and_a_pod_that_fits_nowhere_are_told(space: Space) -> None:
    space.deploy("lost", "true", container={"image": "localhost:9/no/such-image:1"})
    space.deploy("large", "true", container={"resources": {"requests": {"memory": "4Ti"}}})
    wait(lambda: space.waiting("lost") & {"ErrImagePull", "ImagePullBackOff"})
    wait(lambda: _unschedulable(space.pods("large")))


def _unschedulable(pods: list[Any]) -> bool:
    told = [one for pod in pods for one in pod.status.conditions or []]
    return any("Insufficient memory" in (one.message or "") for one in told)


def test_a_stopped_cluster_leaves_nothing(tmp_path: Path, tool_archive: Path) -> None:
    with raised(tmp_path / "cluster", built_programs(), tool_archive) as cluster:
        first = cluster.first
        address = cluster.address
        processes = _processes(cluster.folder)
        assert len(processes) > 7
    assert not cluster.folder.exists()
    assert not Path(f"/proc/{first}").exists()
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not list(CGROUPS.glob(f"**/{cluster.cgroup}"))
    links = subprocess.run(["ip", "-br", "addr"], capture_output=True, text=True, check=True)
    assert f"{address.rsplit('.', 1)[0]}." not in links.stdout
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def _processes(folder: Path) -> list[str]:
    """The host's numbers of all processes that see the cluster's folder at its fixed place."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (entry / "mountinfo").read_text()
        except OSError:
            continue
        if f"{folder} /mnt " in mounts:
            found.append(entry.name)
    return found
