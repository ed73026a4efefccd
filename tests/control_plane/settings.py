"""What each program of a cluster is told, with every path as the cluster's own node sees it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HOME = "/mnt"  # where the node sees the cluster's folder
KEYS = f"{HOME}/keys"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.88.0.0/16"
API_PORT = 6443
NODE = "node-1"
DNS = "10.96.0.10"  # nobody serves names there; pods are told so all the same, as in any cluster
PAUSE_IMAGE = "local/pause:1"
TOOL_IMAGE = "local/tool:1"
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/host-path",
}
LAST_WITH_CONTAINER_RUNTIME_FLAG = 26  # of the kubelet, by minor version


def kubeconfig(keys: Path, user: str, address: str) -> str:
    """A kubeconfig that holds the user's certificate itself, so that the file can be moved."""

    def held(name: str) -> str:
        return base64.b64encode((keys / name).read_bytes()).decode()

    cluster = {
        "server": f"https://{address}:{API_PORT}",
        "certificate-authority-data": held("ca.crt"),
    }
    proof = {
        "client-certificate-data": held(f"{user}.crt"),
        "client-key-data": held(f"{user}.key"),
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": proof}],
        },
        indent=1,
    )


def commands(address: str, minor: int) -> dict[str, list[str]]:
    """The command line of each program, by the program's name, in the order to start them."""
    return {
        "etcd": _etcd(),
        "kube-apiserver": _apiserver(address),
        "kube-controller-manager": _controller_manager(),
        "kube-scheduler": _scheduler(),
        "containerd": [f"--config={HOME}/containerd.toml"],
        "kubelet": _kubelet(address, minor),
        "kube-proxy": [f"--config={HOME}/kube-proxy.json", "--v=1"],
    }


def _etcd() -> list[str]:
    return [
        f"--data-dir={HOME}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # nothing here outlives a crash of the host
    ]


def _apiserver(address: str) -> list[str]:
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={address}",
        f"--secure-port={API_PORT}",
        f"--client-ca-file={KEYS}/ca.crt",
        f"--tls-cert-file={KEYS}/kube-apiserver.crt",
        f"--tls-private-key-file={KEYS}/kube-apiserver.key",
        f"--kubelet-client-certificate={KEYS}/admin.crt",
        f"--kubelet-client-key={KEYS}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={KEYS}/service-accounts.key",
        f"--service-account-signing-key-file={KEYS}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
    ]


def _controller_manager() -> list[str]:
    account = f"{KEYS}/kube-controller-manager.json"
    return [
        f"--kubeconfig={account}",
        f"--authentication-kubeconfig={account}",
        f"--authorization-kubeconfig={account}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={KEYS}/service-accounts.key",
        f"--root-ca-file={KEYS}/ca.crt",
        "--leader-elect=false",
        "--enable-hostpath-provisioner",
        f"--cert-dir={HOME}/kube-controller-manager",
    ]


def _scheduler() -> list[str]:
    account = f"{KEYS}/kube-scheduler.json"
    return [
        f"--kubeconfig={account}",
        f"--authentication-kubeconfig={account}",
        f"--authorization-kubeconfig={account}",
        "--leader-elect=false",
    ]


def _kubelet(address: str, minor: int) -> list[str]:
    remote = ["--container-runtime=remote"] if minor <= LAST_WITH_CONTAINER_RUNTIME_FLAG else []
    return [
        f"--config={HOME}/kubelet.json",
        f"--kubeconfig={KEYS}/kubelet.json",
        f"--root-dir={HOME}/kubelet",
        f"--hostname-override={NODE}",
        f"--node-ip={address}",
        *remote,
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
    ]


def kubelet(cgroup: str, minor: int) -> dict[str, Any]:
    """The kubelet's own settings: for a host whose disk, swap and cgroups others use too."""
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{KEYS}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "resolvConf": f"{HOME}/resolv.conf",
        "evictionHard": {
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "memory.available": "50Mi",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "5s",  # an old kubelet lets go of a pod only when it looks again
        "volumePluginDir": f"{HOME}/volume-plugins",
    }
    if minor >= 31:
        settings["failCgroupV1"] = False
    return settings


def kube_proxy() -> dict[str, Any]:
    """The service proxy's settings: it has a network namespace of its own, but no conntrack."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{KEYS}/kube-proxy.json"},
        "clusterCIDR": POD_RANGE,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "hostnameOverride": NODE,
        "mode": "iptables",
        "oomScoreAdj": 0,
    }


def containerd(minor: int) -> str:
    """The container runtime's settings, in the form of the release that fits the kubelet."""
    return _CONTAINERD_2 if minor > LAST_WITH_CONTAINER_RUNTIME_FLAG else _CONTAINERD_1


_CONTAINERD_COMMON = f"""
root = "{HOME}/containerd"
state = "/run/containerd"
oom_score = 0
"""
_CONTAINERD_1 = f"""version = 2
{_CONTAINERD_COMMON}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{HOME}/programs/cni"
    conf_dir = "{HOME}/cni"
[plugins."io.containerd.internal.v1.opt"]
  path = "{HOME}/containerd/opt"
"""
_CONTAINERD_2 = f"""version = 3
{_CONTAINERD_COMMON}
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{HOME}/programs/cni"]
    conf_dir = "{HOME}/cni"
[plugins."io.containerd.internal.v1.opt"]
  path = "{HOME}/containerd/opt"
"""


def pod_network() -> dict[str, Any]:
    """A link of its own for each pod: what pods say to each other passes the node's firewall."""
    ranges = [[{"subnet": POD_RANGE}]]
    link = {
        "type": "ptp",
        "ipMasq": True,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [link, portmap]}
