"""What the API answers in our words: whose fault it is, and how it is mended."""

from __future__ import annotations

import pytest

from orch.errors import Denied, OrchError, Refused, Transient, UsageFault
from orch_kubernetes.api.faults import fault_of
from orch_kubernetes.commands import code_of
from orch_kubernetes.watch.hopes import STARTS, Hopes

PATH = "/api/v1/namespaces/shop/pods/web"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('pods "a" is forbidden: User "me" cannot get resource "pods" in API group ""', Denied),
        ('forbidden: User "system:anonymous" cannot get path "/version"', Denied),
        ("Forbidden", Denied),
        ('pods "a" is forbidden: exceeded quota: small, requested: cpu=2', Refused),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest"', Refused),
        ('persistentvolumeclaims "d" is forbidden: only dynamically provisioned', Refused),
        ('admission webhook "x" denied the request: User "me" cannot win', Refused),
        (
            'pods "a" is forbidden: unable to create: the namespace is being terminated',
            Transient,
        ),
    ],
)
def test_a_lack_of_rights_is_told_from_an_admission(said: str, kind: type[OrchError]) -> None:
    assert type(fault_of(403, {"message": said}, PATH)) is kind


def test_a_command_that_is_not_there_is_told_in_the_words_of_the_runtime() -> None:
    cause = 'exec failed: unable to start container process: exec: "no": not found'
    said = (
        b'{"status": "Failure", "message": "Internal error occurred: Internal error occurred: '
        b"error executing command in container: rpc error: OCI runtime exec failed: exec failed: "
        b'unable to start container process: exec: \\"no\\": not found"}'
    )
    with pytest.raises(UsageFault) as fault:
        code_of(said, ["no"])
    assert fault.value.fault == f"'no' could not be started: {cause}"
    with pytest.raises(UsageFault, match="could not be started: the pod is away"):
        code_of(b'{"message": "Internal error occurred: the pod is away"}', ["no"])


def test_a_program_that_can_not_be_started_is_given_up_after_some_times() -> None:
    container = {"name": "web", "image": "i", "command": ["no"]}
    template = {"spec": {"containers": [container]}}
    row = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}}
    ended = {"terminated": {"reason": "StartError", "exitCode": 128}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    one = {"name": "web", "state": waiting, "lastState": ended, "restartCount": STARTS - 1}
    pod = {
        "metadata": {"name": "web-1", "uid": "u"},
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [one]},
    }
    assert Hopes().given_up(row, [pod]) == ""
    one["restartCount"] = STARTS
    assert "StartError" in Hopes().given_up(row, [pod])
    earlier = {**pod, "spec": {"containers": [{**container, "command": ["older"]}]}}
    assert Hopes().given_up(row, [earlier]) == "", "a pod of the template before tells nothing"
    ended["terminated"]["reason"] = "Error"
    assert Hopes().given_up(row, [pod]) == "", "a program that ran may do better next time"
