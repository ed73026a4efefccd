"""Storage classes of a cluster: whether a claim finds one, and whether it can be shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch.frozen import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
ONE_NODE: Mapping[str, str] = FrozenDict(
    {
        "ebs.csi.aws.com": "disks of Amazon EBS",
        "ebs.csi.eks.amazonaws.com": "disks of Amazon EBS",
        "kubernetes.io/aws-ebs": "disks of Amazon EBS",
        "disk.csi.azure.com": "Azure's disks",
        "kubernetes.io/azure-disk": "Azure's disks",
        "dobs.csi.digitalocean.com": "DigitalOcean's volumes",
        "csi.hetzner.cloud": "Hetzner's volumes",
        "vpc.block.csi.ibm.io": "IBM's block storage",
        "rancher.io/local-path": "folders of one node",
    }
)
"""What provisioners make that one node at a time mounts as files."""
ONE_WRITER: Mapping[str, str] = FrozenDict(
    {
        "pd.csi.storage.gke.io": "Google's persistent disks",
        "kubernetes.io/gce-pd": "Google's persistent disks",
        "rbd.csi.ceph.com": "disks of Ceph",
    }
)
"""What provisioners make that many nodes may read, and one writes."""

SHARED = (
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "cephfs.csi.ceph.com",
    "nfs.csi.k8s.io",
    "driver.longhorn.io",
)
"""Provisioners of what many nodes write."""


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A storage class as the cluster has it."""

    name: str
    provisioner: str
    default: bool = False


def classes_of(rows: Iterable[Mapping[str, Any]]) -> tuple[StorageClass, ...]:
    """Storage classes as the API lists them, the newest first, which of several defaults counts."""
    newest = sorted(rows, key=lambda row: str(_metadata(row, "creationTimestamp")), reverse=True)
    return tuple(
        StorageClass(
            str(_metadata(row, "name")),
            str(row.get("provisioner", "")),
            any((_metadata(row, "annotations") or {}).get(key) == "true" for key in DEFAULT),
        )
        for row in newest
    )


def doubt(classes: tuple[StorageClass, ...], name: str, access: str) -> str:
    """Why a claim of a class, empty for the default one, would wait; empty when it would not."""
    chosen = next((one for one in classes if one.name == name or (not name and one.default)), None)
    if chosen is None:
        called = f"storage class {name!r}" if name else "default storage class"
        return f"the cluster has no {called}: the claim waits for one, or for a disk made by hand"
    made = _named(ONE_NODE, chosen) if access != "exclusive" else ""
    if access == "shared":
        made = made or _named(ONE_WRITER, chosen)
    if not made:
        return ""
    share = "written" if access == "shared" else "read"
    return (
        f"the storage class {chosen.name} makes {made}, which are never {share} from several nodes"
    )


def is_shared_by_default(classes: tuple[StorageClass, ...]) -> bool:
    """Whether the default class is known to make what many nodes write."""
    default = next((one for one in classes if one.default), None)
    return default is not None and bool(_named(dict.fromkeys(SHARED, "shared"), default))


def mend(classes: tuple[StorageClass, ...], option: str = "") -> str:
    """What to do about a doubt, with the classes that are there; no option wins over a driver."""
    there = ", ".join(sorted(one.name for one in classes)) or "none"
    other = f", or deploy with --option {option}=…" if option else ""
    return f"name one that is there as the driver{other}; there is {there}"


def _named(table: Mapping[str, str], chosen: StorageClass) -> str:
    """Rook and OpenShift put the namespace of their operator before a driver's name."""
    for provisioner, made in table.items():
        if chosen.provisioner == provisioner or chosen.provisioner.endswith(f".{provisioner}"):
            return made
    return ""


def _metadata(row: Mapping[str, Any], key: str) -> Any:
    return (row.get("metadata") or {}).get(key)
