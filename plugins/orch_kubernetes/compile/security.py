"""A container's security context: who it runs as, and what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Fidelity
from orch_kubernetes.compile.objects import given

if TYPE_CHECKING:
    from orch.compile.view import Read, View
    from orch.types import FieldPath
    from orch_kubernetes.compile.objects import Scope
    from orch_kubernetes.compile.pod import Pod

APPARMOR = "container.apparmor.security.beta.kubernetes.io"
OWN_RANGE = "let its service account use the anyuid constraint, and override runAsUser"
NOT_ROOT = "only a user that is not root is admitted: say one by number, or let the image name one"
_CONFINED = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
"""Types of SELinux that the pod security standards admit."""


def tell_of_users(scope: Scope) -> None:
    """Say that an image which runs as root is started nowhere, unless all name their users."""
    if "root" not in scope.facts.flavour.refused:
        return
    for units, found in (("services", scope.app.services), ("jobs", scope.app.jobs)):
        parts = (p for u in found.values() for p in (u, *u.pre_start, *u.sidecars.values()))
        if any(part.user is None for part in parts):
            scope.make.default((units, "*", "user"), Fidelity.DEGRADED, NOT_ROOT)


class SecurityCompiler:
    """Writes the security context of one container."""

    def __init__(self, scope: Scope, pod: Pod, path: FieldPath, name: str) -> None:
        self._scope, self._pod, self._name = scope, pod, name
        self._resource = pod.resource
        self._path = (*path, "securityContext")

    def compile(self, view: View) -> None:
        """All of it; where the flavour asks for it, least rights unless more are asked for."""
        if self._pod.windows:
            self._windows(view)
            return
        flavour = self._scope.facts.flavour
        least = "escalation" in flavour.refused
        if least:
            self._restrict()
        put = self._resource.put
        for field, read in given(view, ("read_only", "privileged")):
            key = {"read_only": "readOnlyRootFilesystem"}.get(field, field)
            put((*self._path, key), read)
        if view.value.privileged:
            self._scope.refuse("privileged", view.privileged)
            self._resource.leave_out((*self._path, "allowPrivilegeEscalation"))
        for field, read in given(view, ("cap_add", "cap_drop")):
            named = [one.upper().removeprefix("CAP_") for one in read.value]
            said = list(dict.fromkeys(["ALL", *named])) if least and field == "cap_drop" else named
            put((*self._path, "capabilities", field[4:]), read, value=said)
            if field == "cap_add" and not flavour.allowed.issuperset(named):
                self._scope.refuse("capability", read)
        self._user(view.user)
        for _, read in given(view, ("security_opt",)):
            self._options(read)

    def _windows(self, view: View) -> None:
        """Windows knows users by name, and none of the rights that Linux tells apart."""
        if view.user is not None:
            self._resource.put((*self._path, "windowsOptions", "runAsUserName"), view.user)
        linux = ("read_only", "privileged", "cap_add", "cap_drop", "security_opt")
        for _, read in given(view, linux):
            self._pod.lacks(read)

    def _restrict(self) -> None:
        self._resource.set((*self._path, "allowPrivilegeEscalation"), value=False)
        self._resource.set((*self._path, "runAsNonRoot"), value=True)
        self._resource.set((*self._path, "capabilities", "drop"), ["ALL"])
        self._resource.set((*self._path, "seccompProfile", "type"), "RuntimeDefault")

    def _user(self, read: Read | None) -> None:
        if read is None:
            return
        own = self._scope.facts.flavour.refused.get("user")
        if own is not None:
            self._scope.make.lose(read, own, OWN_RANGE)
            return
        user, _, group = str(read.value).partition(":")
        if not user.isdigit() or (group and not group.isdigit()):
            self._scope.make.lose(
                read,
                "Kubernetes knows users by number, and cannot read the image's list of them",
                "write the numbers, such as 1000:1000",
            )
            return
        if int(user) == 0:
            self._scope.refuse("root", read)
        self._resource.put((*self._path, "runAsUser"), read, value=int(user))
        if group:
            self._resource.put((*self._path, "runAsGroup"), read, value=int(group))

    def _options(self, read: Read) -> None:
        for option in read.value:
            key, _, value = option.replace("=", ":", 1).partition(":")
            said = getattr(self, f"_{key.replace('-', '_')}", None)
            if said is None or not said(read, value):
                self._scope.make.reject(
                    read, f"Kubernetes has no words for {option!r}", "set it on the nodes"
                )

    def _put(self, key: str, read: Read, value: Any) -> bool:
        self._resource.put((*self._path, key), read, value=value)
        return True

    def _no_new_privileges(self, read: Read, value: str) -> bool:
        escalates = value not in ("", "true")
        if escalates:
            self._scope.refuse("escalation", read)
        return self._put("allowPrivilegeEscalation", read, escalates)

    def _seccomp(self, read: Read, value: str) -> bool:
        if value != "runtime/default":
            self._refuse("seccomp", read, unconfined=value == "unconfined")
        return self._put("seccompProfile", read, _profile(value))

    def _refuse(self, word: str, read: Read, *, unconfined: bool) -> None:
        if not self._scope.refuse(word, read) and unconfined:
            self._scope.refuse("unconfined", read)

    def _apparmor(self, read: Read, value: str) -> bool:
        self._refuse("apparmor", read, unconfined=value == "unconfined")
        if self._scope.facts.has("apparmor_field"):
            return self._put("appArmorProfile", read, _profile(value))
        said = value if value == "unconfined" else f"localhost/{value}"
        path = (*self._pod.metadata, "annotations", f"{APPARMOR}/{self._name}")
        self._resource.put(path, read, value=said)
        return True

    def _label(self, read: Read, value: str) -> bool:
        key, _, said = value.partition(":")
        confined = key == "level" or (key == "type" and said in _CONFINED)
        self._refuse("selinux", read, unconfined=not confined)
        if value == "disable":
            return self._put("seLinuxOptions", read, {"type": "spc_t"})
        if key not in ("user", "role", "type", "level") or not said:
            return False
        self._resource.put((*self._path, "seLinuxOptions", key), read, value=said)
        return True


def _profile(value: str) -> dict[str, str]:
    if value in ("unconfined", "runtime/default"):
        return {"type": "Unconfined" if value == "unconfined" else "RuntimeDefault"}
    return {"type": "Localhost", "localhostProfile": value}
