"""What a cluster does by itself: Deployments make ReplicaSets and pods, jobs run, owners go.

What a pod does is read off its first container, as the tests' workloads write it: the variable
READY says whether it gets ready, an image of `no/such-image` can't be pulled, a script that would
exit with another code than 0 fails.
"""

from __future__ import annotations

import copy
import re
import threading
from typing import TYPE_CHECKING

from tests.kubernetes_api.platform import stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kubernetes_api.platform import Key, Platform, Row

TICK = 0.05
SERVICE_NAME = "kubernetes.io/service-name"
_FAILS = re.compile(r"\bexit [1-9]")


class Controllers(threading.Thread):
    """Looks at everything again and again, as controllers do."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(daemon=True)
        self.platform = platform
        self.asleep = threading.Event()
        self.balances = self.notes_endpoints = True
        self.forbids = ""
        """Why no pod is admitted."""
        self.says: dict[str, Callable[[Row], Row]] = {}
        """What controllers of additions note as the status of an object, by its plural."""
        self._over = threading.Event()
        self._waited: dict[str, int] = {}

    def run(self) -> None:
        while not self._over.wait(TICK):
            if not self.asleep.is_set():
                with self.platform.lock:
                    self.step()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def step(self) -> None:
        for key, row in list(self.platform.objects.items()):
            if key not in self.platform.objects:
                continue
            if "deletionTimestamp" in row["metadata"]:
                self._finish(key, row)
            elif key[1] == "namespaces":
                self._account(key[3])
            elif key[1] in ("deployments", "daemonsets", "statefulsets"):
                self._workload(key, row)
            elif key[1] == "jobs":
                self._job(key, row)
            elif key[1] == "pods":
                self._pod(key, row)
            elif key[1] == "services":
                self._service(key, row)
            elif key[1] in self.says:
                self.platform.status(key, self.says[key[1]](row))

    def _account(self, space: str) -> None:
        key = ("", "serviceaccounts", space, "default")
        if key not in self.platform.objects:
            body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            self.platform.create(key, body, "kube-controller-manager")

    # -- deletion ------------------------------------------------------------------------------

    def _owned(self, row: Row) -> list[Key]:
        uid = row["metadata"]["uid"]
        return [
            key
            for key, one in self.platform.objects.items()
            if any(o["uid"] == uid for o in one["metadata"].get("ownerReferences", ()))
        ]

    def _finish(self, key: Key, row: Row) -> None:
        below = self._owned(row)
        for one in below:
            self._finish(one, self.platform.objects[one])
        self.platform.forget(key)

    # -- workloads -----------------------------------------------------------------------------

    def _workload(self, key: Key, row: Row) -> None:
        spec = row["spec"]
        wanted = 1 if key[1] == "daemonsets" else spec.get("replicas", 1)
        mark = template_hash(spec["template"])
        held = self._owned(row)
        fresh = [
            k
            for k in held
            if self.platform.objects[k]["metadata"]["labels"].get("pod-template-hash") == mark
        ]
        old = [k for k in held if k not in fresh]
        for one in [k for k in old if not is_ready(self.platform.objects[k])]:
            self.platform.forget(one)
            old.remove(one)
        for _ in range(wanted - len(fresh)):
            self._make_pod(key, row, spec["template"], mark)
        for one in fresh[wanted:]:
            self.platform.forget(one)
        ready = sum(is_ready(self.platform.objects[k]) for k in fresh if k in self.platform.objects)
        if ready >= wanted:
            for one in old:
                self.platform.forget(one)
            old = []
        self._tell(key, row, wanted, len(fresh[:wanted]) or wanted, ready, len(old))

    def _tell(self, key: Key, row: Row, wanted: int, updated: int, ready: int, old: int) -> None:
        generation = row["metadata"].get("generation", 0)
        uid = f"{row['metadata']['uid']}/{generation}"
        waited = self._waited[uid] = self._waited.get(uid, 0) + 1
        late = waited * TICK > row["spec"].get("progressDeadlineSeconds", 600)
        why = "ProgressDeadlineExceeded" if late and ready < wanted else "NewReplicaSetAvailable"
        progressing = {"type": "Progressing", "status": str(why[0] == "N"), "reason": why,
                       "message": f"waited {waited}" if late else "it goes on"}  # fmt: skip
        size = {"replicas": updated + old, "updatedReplicas": updated, "readyReplicas": ready,
                "availableReplicas": ready}  # fmt: skip
        if key[1] == "daemonsets":
            size = {"desiredNumberScheduled": wanted, "updatedNumberScheduled": updated,
                    "currentNumberScheduled": updated, "numberMisscheduled": 0,
                    "numberReady": ready, "numberAvailable": ready}  # fmt: skip
        if key[1] == "statefulsets":
            size |= {"currentRevision": "1", "updateRevision": "1", "currentReplicas": updated}
        if late:
            progressing["message"] = "timed out progressing"
        conditions = [progressing] if key[1] == "deployments" else []
        self.platform.status(
            key, {"observedGeneration": generation, "conditions": conditions, **size}
        )

    def _make_pod(self, owner: Key, row: Row, template: Row, mark: str) -> None:
        if self.forbids:
            self._note(owner, row, "FailedCreate", f"Error creating: {self.forbids}")
            return
        name = f"{owner[3]}-{mark}-{self.platform.version}"
        metadata = {
            "name": name,
            "labels": {**template["metadata"].get("labels", {}), "pod-template-hash": mark},
            "ownerReferences": [{"apiVersion": row["apiVersion"], "kind": row["kind"],
                                 "controller": True, "name": owner[3],
                                 "uid": row["metadata"]["uid"]}],
        }  # fmt: skip
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": copy.deepcopy(template["spec"]),
        }
        self.platform.create(("", "pods", owner[2], name), body, "kube-controller-manager")
        self._note(owner, row, "SuccessfulCreate", f"Created pod: {name}")

    def _note(self, owner: Key, row: Row, reason: str, message: str) -> None:
        name = f"{owner[3]}.{self.platform.version}"
        event = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
            "involvedObject": {"kind": row["kind"], "name": owner[3], "namespace": owner[2],
                               "uid": row["metadata"]["uid"]},
            "reason": reason, "message": message, "lastTimestamp": stamp(),
            "type": "Normal" if reason.startswith("Success") else "Warning",
        }  # fmt: skip
        self.platform.create(("", "events", owner[2], name), event, "kube-controller-manager")

    def _job(self, key: Key, row: Row) -> None:
        status = row.get("status") or {}
        if status.get("conditions"):
            return
        pods = self._owned(row)
        if not pods:
            self._make_pod(key, row, row["spec"]["template"], "run")
            return
        phases = [(self.platform.objects[k].get("status") or {}).get("phase") for k in pods]
        if "Succeeded" in phases:
            done = {"type": "Complete", "status": "True"}
            self.platform.status(key, {"succeeded": 1, "conditions": [done]})
        elif "Failed" in phases:
            failed = {
                "type": "Failed",
                "status": "True",
                "reason": "BackoffLimitExceeded",
                "message": "too many",
            }
            self.platform.status(key, {"failed": 1, "conditions": [failed]})

    # -- services ------------------------------------------------------------------------------

    def _service(self, key: Key, row: Row) -> None:
        if row["spec"].get("type") == "LoadBalancer" and self.balances:
            self.platform.status(key, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})
        if self.notes_endpoints and row["spec"].get("selector"):
            self._slice(("discovery.k8s.io", "endpointslices", *key[2:]), row)

    def _slice(self, key: Key, service: Row) -> None:
        wanted = service["spec"]["selector"].items()
        pods = [
            row
            for one, row in self.platform.objects.items()
            if one[1:3] == ("pods", key[2]) and wanted <= row["metadata"]["labels"].items()
        ]
        endpoints = [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": is_ready(pod)},
             "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]}}
            for pod in pods
        ]  # fmt: skip
        standing = self.platform.objects.get(key)
        if standing is None:
            labels = {**service["metadata"].get("labels", {}), SERVICE_NAME: key[3]}
            owner = {"apiVersion": "v1", "kind": "Service", "name": key[3],
                     "uid": service["metadata"]["uid"]}  # fmt: skip
            body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {"labels": labels, "ownerReferences": [owner]},
                    "addressType": "IPv4", "endpoints": endpoints, "ports": []}  # fmt: skip
            self.platform.create(key, body, "endpointslice-controller")
        elif standing["endpoints"] != endpoints:
            self.platform.merge(key, {"endpoints": endpoints}, "endpointslice-controller")

    # -- pods ----------------------------------------------------------------------------------

    def _pod(self, key: Key, row: Row) -> None:
        if (row.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        container = row["spec"]["containers"][0]
        ends = row["spec"].get("restartPolicy", "Always") != "Always"
        self.platform.status(
            key, pod_status(container, ends=ends, began=row["metadata"]["creationTimestamp"])
        )


_WAITS = {
    "bad/name": {"reason": "InvalidImageName", "message": "couldn't parse the name"},
    "gone/image": {"reason": "ImagePullBackOff", "message": "Back-off: gone/image: not found"},
    "slow/image": {"reason": "ImagePullBackOff", "message": "Back-off: dial tcp: i/o timeout"},
}
"""Images that no pod gets, and what the kubelet says of them."""


def pod_status(container: Row, *, ends: bool, began: str) -> Row:
    """How a pod fares."""
    variables = {one["name"]: one.get("value") for one in container.get("env", ())}
    script = " ".join((*container.get("command", ()), *container.get("args", ())))
    state: Row = {"running": {"startedAt": began}}
    phase, ready = "Running", variables.get("READY") != "no"
    if "no/such-image" in container["image"]:
        said = f'Back-off pulling image "{container["image"]}"'
        state, phase, ready = (
            {"waiting": {"reason": "ImagePullBackOff", "message": said}},
            "Pending",
            False,
        )
    elif (waits := _WAITS.get(container["image"])) is not None:
        state, phase, ready = {"waiting": waits}, "Pending", False
    elif ends:
        code = 1 if _FAILS.search(script) else 0
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        phase, ready = "Failed" if code else "Succeeded", False
    condition = {"type": "Ready", "status": str(ready)}
    if not ready:
        condition["message"] = f"containers with unready status: [{container['name']}]"
    status = {"name": container["name"], "ready": ready, "state": state, "restartCount": 0,
              "image": container["image"], "imageID": ""}  # fmt: skip
    return {"phase": phase, "conditions": [condition], "containerStatuses": [status],
            "startTime": began, "podIP": "10.0.0.1"}  # fmt: skip


def template_hash(template: Row) -> str:
    import hashlib
    import json

    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def is_ready(pod: Row) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True"
        for c in (pod.get("status") or {}).get("conditions", ())
    )
