"""Reads manifests of Kubernetes and OpenShift, and objects that run, into a spec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orch.backend.contract import Reading

_OURS = re.compile(r"""^[\s{]*["']?apiVersion["']?\s*:\s*["']?orch/""", re.MULTILINE)
_VERSION = re.compile(r"""(?:^|[{,])\s*["']?apiVersion["']?\s*:\s*["']?[\w.-]+""", re.MULTILINE)
_KIND = re.compile(r"""(?:^|[{,])\s*["']?kind["']?\s*:\s*["']?[A-Z]\w+""", re.MULTILINE)
_CERTAIN, _LIKELY = 90, 60
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


class KubernetesReader:
    """Manifests: YAML of several documents, lists, what kustomize and Helm have rendered."""

    name = "kubernetes"

    def detect(self, path: Path, head: str) -> int:
        """Certain by `apiVersion` and `kind`, likely by one of them."""
        if _OURS.search(head):
            return 0
        if path.name in KUSTOMIZATIONS:
            return _CERTAIN
        signs = bool(_VERSION.search(head)) + bool(_KIND.search(head))
        return (0, _LIKELY, _CERTAIN)[signs]

    def read(
        self,
        files: Sequence[Path],
        variables: Mapping[str, str],  # noqa: ARG002  (manifests have none)
        profiles: Sequence[str],  # noqa: ARG002
    ) -> Reading:
        """Read all files as one application. Raises InvalidSpec with every fault found."""
        from orch_kubernetes.reader.manifests import read_files

        return read_files(files)

    def name_of(self, files: Sequence[Path], variables: Mapping[str, str]) -> str:  # noqa: ARG002
        """The application's name: by label, namespace or folder."""
        from orch_kubernetes.reader.manifests import read_name

        return read_name(files)
