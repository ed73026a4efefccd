"""Why a replica is where it is, or nowhere: in the words of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.errors import UsageFault
from orch_kubernetes import names
from orch_kubernetes.watch.happenings import Happenings
from orch_kubernetes.watch.status import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch_kubernetes.change.sights import Cluster

_MOST = 10


def why(cluster: Cluster, replica: str) -> Sequence[str]:
    """Lines about a service or one of its replicas. Raises UsageFault when there is none."""
    services = status_of(cluster).services
    chosen = [s for s in services if replica in (s.name, *(r.id for r in s.replicas))]
    if not chosen:
        known = ", ".join(s.name for s in services) or "none"
        raise UsageFault(f"there is no service or replica {replica!r}", mend=f"there are {known}")
    lines = [f"{s.name}: {s.ready} of {s.wanted} ready. {s.message}".strip() for s in chosen]
    for service in chosen:
        for one in service.replicas:
            if replica in (service.name, one.id):
                where = f"is {one.state} on {one.node}" if one.node else f"is {one.state} nowhere"
                lines.append(f"{one.id} {where}. {one.message}".strip())
    ids = {f"{kind}{s.name}" for s in chosen for kind in (f"{s.kind}/", *names.ADDRESSES)}
    told = [event for event in Happenings(cluster).fresh() if event.id in ids]
    return [*lines, *(event.message for event in told[-_MOST:])]
