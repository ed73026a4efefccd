"""What a cluster can't store as it is asked is told before a deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orch.types import Fidelity, render_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.testing.conformance import Trial
    from orch.types import LedgerEntry
    from tests.kubernetes_api.server import Api

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
EBS = "ebs.csi.aws.com"


def stored(trial: Trial, **volume: Any) -> dict[str, Any]:
    made = trial.web()
    mount = {"type": "volume", "source": "data", "target": "/data"}
    made["services"]["web"]["volumes"] = [mount]
    return {**made, "volumes": {"data": volume}}


def told(trial: Trial, **volume: Any) -> dict[str, LedgerEntry]:
    """Rows that speak of a class, of an application with such a volume."""
    reported = trial.plan(stored(trial, **volume)).judgement.reported
    return {render_path(row.path): row for row in reported if "class" in row.reason}


def forget_classes(api: Api) -> None:
    for key in [key for key in api.platform.objects if key[1] == "storageclasses"]:
        api.platform.forget(key)


def asked(api: Api) -> int:
    return sum(path.startswith(CLASSES) for _, path in api.calls)


def test_a_default_class_is_enough_for_one_writer(trial: Trial, kubernetes_api: Api) -> None:
    assert told(trial) == {}
    assert asked(kubernetes_api) == 1


def test_no_class_is_looked_for_without_volumes_of_our_own(
    trial: Trial, kubernetes_api: Api
) -> None:
    trial.plan(trial.web())
    trial.backend.compile(trial.app(stored(trial, external=True)))
    assert asked(kubernetes_api) == 0


def test_a_volume_that_no_default_class_would_make_is_told(
    trial: Trial, kubernetes_api: Api
) -> None:
    forget_classes(kubernetes_api)
    kubernetes_api.platform.make_class("fast")
    said = told(trial)["volumes.data.driver"]
    assert said.outcome is Fidelity.DEGRADED
    assert "no default storage class: the claim waits" in said.reason
    assert "--option storage_class=…; there is fast" in said.reason


def test_a_target_that_names_a_class_which_is_there_is_told_nothing(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    forget_classes(kubernetes_api)
    kubernetes_api.platform.make_class("fast")
    assert told(trial_of(storage_class="fast")) == {}
    assert "'slow'" in told(trial_of(storage_class="slow"))["volumes.data.driver"].reason


def test_a_driver_that_is_no_class_is_told(trial: Trial) -> None:
    said = told(trial, driver="slow")["volumes.data.driver"]
    assert said.outcome is Fidelity.DEGRADED
    assert "no storage class 'slow'" in said.reason
    assert said.mend == "name one that is there as the driver; there is standard"


@pytest.mark.parametrize(
    ("made_by", "access", "expected"),
    [
        (EBS, "shared", "never written from several nodes"),
        (EBS, "read-only-many", "never read from several nodes"),
        ("pd.csi.storage.gke.io", "shared", "never written from several nodes"),
        ("pd.csi.storage.gke.io", "read-only-many", ""),
        ("rook-ceph.rbd.csi.ceph.com", "shared", "disks of Ceph"),
        (EBS, "exclusive", ""),
    ],
)
def test_a_class_of_one_writer_is_told_of_a_shared_volume(
    trial: Trial, kubernetes_api: Api, made_by: str, access: str, expected: str
) -> None:
    kubernetes_api.platform.make_class("disks", made_by)
    rows = told(trial, driver="disks", access=access)
    assert [expected in row.reason for row in rows.values()] == ([True] if expected else [])


@pytest.mark.parametrize(
    ("made_by", "expected"),
    [("example.com", "no storage class that shares is known"), ("efs.csi.aws.com", "")],
)
def test_whether_the_default_class_shares_is_told_where_it_is_known(
    trial: Trial, kubernetes_api: Api, made_by: str, expected: str
) -> None:
    forget_classes(kubernetes_api)
    kubernetes_api.platform.make_class("files", made_by, default=True)
    rows = told(trial, access="shared")
    assert [expected in row.reason for row in rows.values()] == ([True] if expected else [])


def test_the_usual_class_of_a_flavour_may_be_there(
    trial_of: Callable[..., Trial], kubernetes_api: Api
) -> None:
    eks = trial_of(flavour="eks")
    assert "'efs-sc'" in told(eks, access="shared")["volumes.data.access"].reason
    kubernetes_api.platform.make_class("efs-sc", "efs.csi.aws.com")
    assert told(trial_of(flavour="eks"), access="shared") == {}


@pytest.mark.parametrize("code", [403, 404, 503])
def test_classes_that_may_not_be_seen_are_not_judged(
    trial: Trial, kubernetes_api: Api, code: int
) -> None:
    forget_classes(kubernetes_api)
    kubernetes_api.answer("GET", CLASSES, code, times=99)
    assert told(trial) == {}
