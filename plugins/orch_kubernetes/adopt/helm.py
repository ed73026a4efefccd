"""Objects that a release of Helm holds: what it would still do to them, and how that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.errors import Denied
from orch.types import Diagnostic, Severity
from orch_kubernetes.api.faults import forget_release
from orch_kubernetes.api.kinds import part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orch_kubernetes.change.sights import Cluster

RELEASE, SPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


def warnings(cluster: Cluster, bodies: Iterable[Mapping[str, Any]]) -> Iterator[Diagnostic]:
    """A warning for each release that names these objects as its own and is still kept."""
    releases = dict.fromkeys(pair for body in bodies if (pair := _release_of(body, cluster.space)))
    for name, space in releases:
        if _is_kept(cluster, name, space):
            yield Diagnostic(
                f"the release {name!r} of Helm holds objects of this application: its next "
                "upgrade takes their fields back, and `helm uninstall` removes them",
                mend=f"let Helm forget it, which removes nothing: {forget_release(name, space)}",
                severity=Severity.WARNING,
            )


def _release_of(body: Mapping[str, Any], usual: str) -> tuple[str, str] | None:
    notes = part(body, ("metadata", "annotations"))
    name = notes.get(RELEASE)
    return (str(name), str(notes.get(SPACE) or usual)) if name else None


def _is_kept(cluster: Cluster, name: str, space: str) -> bool:
    """Whether Helm remembers a release; where that may not be seen it is taken for granted."""
    path = f"/api/v1/namespaces/{space}/secrets"
    chosen = f"owner=helm,name={name}"
    try:
        return bool(cluster.client.listed(path, metadata=True, labelSelector=chosen))
    except Denied:
        return True
