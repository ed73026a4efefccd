"""Security contexts of pods and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_kubernetes.reader.part import DEFAULT
from orch_kubernetes.reader.values import text_of

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch.types import FieldPath
    from orch_kubernetes.reader.part import Part

_OF_POD = ("fsGroup", "fsGroupChangePolicy", "supplementalGroupsPolicy")
IMPLIED = "the user that is named is not root"
HAS_USER = frozenset(("runAsUser", "runAsGroup"))


class SecurityReader:
    """Writes what a container may do, from its own context and from that of its pod."""

    def __init__(self, part: Part, path: FieldPath, container: Item) -> None:
        self._part, self._path, self._writer = part, path, part.writer
        self._own = container.get("securityContext")
        self._pods = part.pod.get("securityContext")

    def write(self) -> None:
        """All of it."""
        self._user()
        self._put("readOnlyRootFilesystem", ("read_only",))
        self._put("privileged", ("privileged",))
        capabilities = self._own.get("capabilities") if self._own is not None else None
        for key, field in (("add", "cap_add"), ("drop", "cap_drop")):
            listed = capabilities.get(key) if capabilities is not None else None
            self._writer.put_each((*self._path, field), listed)
        escalation = self._find("allowPrivilegeEscalation")
        if escalation is not None and escalation.value is False:
            self._option(escalation, "no-new-privileges:true")
        elif escalation is not None:
            self._note(escalation, DEFAULT)
        self._profile("seccompProfile", "seccomp", "runtime/default")
        self._profile("appArmorProfile", "apparmor", "runtime/default")
        self._labels()
        self._non_root()

    def _find(self, key: str) -> Item | None:
        """A setting of the container, else of its pod."""
        own = self._own.get(key) if self._own is not None else None
        return own if own is not None or self._pods is None else self._pods.get(key)

    def _put(self, key: str, keys: FieldPath) -> None:
        self._writer.put((*self._path, *keys), self._find(key))

    def _note(self, item: Item, reason: str) -> None:
        self._writer.note(self._path, item, Fidelity.NATIVE, reason)

    def _user(self) -> None:
        user, group = self._find("runAsUser"), self._find("runAsGroup")
        if user is not None:
            said = str(user.value) if group is None else f"{user.value}:{group.value}"
            self._writer.put((*self._path, "user"), user, said)
            self._writer.note((*self._path, "user"), group)
        elif group is not None:
            reason = "a group is said together with its user"
            self._writer.lose(group, reason, "set runAsUser too", Consequence.SECURITY)

    def _non_root(self) -> None:
        item, user = self._find("runAsNonRoot"), self._find("runAsUser")
        if item is None:
            return
        if item.value is False:
            self._note(item, DEFAULT)
        elif user is not None and user.value != 0:
            self._note(item, IMPLIED)
        else:
            self._part.override(("securityContext", "runAsNonRoot"), item)

    def _option(self, item: Item, text: str, **how: Any) -> None:
        path = (*self._path, "security_opt")
        self._writer.put((*path, self._writer.size(path)), item, text, **how)

    def _profile(self, key: str, option: str, default: str) -> None:
        profile = self._find(key)
        if profile is None:
            return
        said = text_of(profile.get("type"))
        names = {
            "Unconfined": "unconfined",
            "RuntimeDefault": default,
            "Localhost": text_of(profile.get("localhostProfile")),
        }
        text = names.get(said)
        if text:
            self._option(profile, f"{option}:{text}")

    def _labels(self) -> None:
        labels = self._find("seLinuxOptions")
        for key, item in labels.items() if labels is not None else ():
            if item.value is not None:
                self._option(item, f"label:{key}:{item.value}")


def write_pod_security(part: Part) -> None:
    """What holds for all containers of a pod."""
    context = part.pod.get("securityContext")
    if context is None:
        return
    groups = context.get("supplementalGroups")
    if groups is not None:
        for group in groups:
            index = part.writer.size(part.at("group_add"))
            part.put(("group_add", index), group, str(group.value))
    for sysctl in context.get("sysctls") or ():
        name = text_of(sysctl.get("name"))
        part.put(("sysctls", name), sysctl, text_of(sysctl.get("value")))
    for key in _OF_POD:
        part.override(("securityContext", key), context.get(key))
    windows = context.get("windowsOptions")
    account = windows.get("gmsaCredentialSpec") if windows is not None else None
    if account is not None:
        called = f"{part.name}-credential-spec"
        part.writer.put(("configs", called, "content"), account)
        part.writer.set(part.at("credential_spec", "config"), called, account)
