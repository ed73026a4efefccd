"""Manifests of Kubernetes, unchanged, on the Docker driver: files, names, ports and a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.integration.journey.conftest import Orch

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(400)]

CANARY = "canary-5b1e"
MANIFESTS = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: pages}}
data: {{index.html: "first page\\n", store.html: "from the store\\n"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: api}}
stringData: {{token: {canary}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: store-deployment}}
spec:
  selector: {{matchLabels: {{app: store}}}}
  template:
    metadata: {{labels: {{app: store}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: store
          image: {image}
          command: [httpd]
          args: [-f, -p, "8080", -h, /www]
          volumeMounts: [{{name: pages, mountPath: /www/index.html, subPath: store.html}}]
          readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
      volumes: [{{name: pages, configMap: {{name: pages}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: store}}
spec: {{selector: {{app: store}}, ports: [{{port: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: {image}
          command: [sh, -c]
          args: ["test -n \\"$TOKEN\\" && exec httpd -f -p 8080 -h $(ROOT)"]
          env:
            - {{name: ROOT, value: /www}}
            - {{name: TOKEN, valueFrom: {{secretKeyRef: {{name: api, key: token}}}}}}
          volumeMounts: [{{name: pages, mountPath: /www}}]
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /, port: http}}, periodSeconds: 1}}
      volumes:
        - name: pages
          configMap: {{name: pages, items: [{{key: index.html, path: index.html}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: {port}, targetPort: http}}]}}
"""


def test_from_manifests_to_running(
    orch_docker: Orch, tool_image: str, free_ports: list[int]
) -> None:
    orch, files = orch_docker, ("-f", "k8s", "--name", "shop")
    folder = orch.folder / "k8s"
    folder.mkdir()
    text = MANIFESTS.format(canary=CANARY, image=tool_image, port=free_ports[0])
    (folder / "all.yaml").write_text(text)

    orch("deploy", *files, timeout=180)
    status = orch("status", *files, "--output", "json").data
    assert status["healthy"]
    assert {service["name"] for service in status["services"]} == {"store", "web"}
    assert httpx.get(f"http://127.0.0.1:{free_ports[0]}/").text == "first page\n"
    said = orch("exec", *files, "web", "--", "curl", "-s", "http://store:8080/").stdout
    assert said == "from the store\n"
    assert orch("exec", *files, "web", "--", "sh", "-c", "echo $TOKEN").stdout == f"{CANARY}\n"

    orch("import", "k8s", "-o", "orch.yaml")
    plan = orch("plan", "-f", "orch.yaml", "--name", "shop", "--exit-code", "--output", "json")
    assert not plan.data["pending"]
    shown = [ran for ran in orch.ran if ran.command[0] != "exec"]
    assert not any(CANARY in ran.stdout + ran.stderr for ran in shown)
    orch("down", *files, "--yes")
