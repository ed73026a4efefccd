"""A service of Compose as a service or a job of the spec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orch.spec.units import Bytes
from orch.types import Consequence, Fidelity
from orch_compose.build import write_build
from orch_compose.deploy import write_deploy
from orch_compose.health import write_health
from orch_compose.mounts import write_files, write_mounts
from orch_compose.network import write_network
from orch_compose.ports import write_ports

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_SCALARS = (
    "image",
    "platform",
    "working_dir",
    "user",
    "init",
    "tty",
    "stdin_open",
    "read_only",
    "privileged",
    "stop_signal",
    "runtime",
    "hostname",
    "domainname",
    "oom_score_adj",
)
_LISTS = (
    "cap_add",
    "cap_drop",
    "security_opt",
    "group_add",
    "dns",
    "dns_search",
    "dns_opt",
    "devices",
    "ulimits",
    "credential_spec",
)
_TEXTS = ("labels", "annotations", "sysctls")
_AGES = re.compile(r"daily|weekly|refresh|every_.*")


def write_service(part: Part) -> None:
    """Write everything that a service says."""
    writer = part.writer
    writer.set(part.path, {}, part.item)
    if not part.item.value:
        writer.note(part.path, part.item)
    for key in _SCALARS:
        item = part.get(key)
        if item is not None and item.value == "":
            writer.lose(item, "it is empty, as if it were not there", "", Consequence.COSMETIC)
        else:
            writer.put(part.at(key), item)
    for key in _LISTS:
        writer.put_each(part.at(key), part.get(key))
    for key in _TEXTS:
        _texts(part, key)
    for key in ("command", "entrypoint"):
        _command(part, key)
    write_build(part)
    _pull_policy(part)
    _environment(part)
    _profiles(part)
    _host_shares(part)
    _stop(part)
    _logging(part)
    _hooks(part)
    _pre_start(part)
    _container_name(part)
    _shm_size(part)
    write_files(part, "configs")
    write_files(part, "secrets")
    write_mounts(part)
    write_ports(part)
    write_network(part)
    write_health(part)
    write_deploy(part)
    _extensions(part)


def _texts(part: Part, key: str) -> None:
    pairs = part.get(key)
    for name, item in pairs.items() if pairs is not None else ():
        part.writer.put(part.at(key, name), item, "" if item.value is None else item.value)


def _command(part: Part, key: str) -> None:
    words = part.get(key)
    if words is not None and not words.value:
        reason = f"an empty {key} can't be told apart from none: the image's own is used"
        part.writer.lose(words, reason, f"write the {key} out", Consequence.AVAILABILITY)
        return
    part.writer.put_each(part.at(key), words)


def _pull_policy(part: Part) -> None:
    item = part.get("pull_policy")
    if item is None:
        return
    path, policy = part.at("pull_policy"), item.value
    if policy in ("always", "never", "missing"):
        part.writer.put(path, item)
    elif policy == "if_not_present":
        part.writer.put(path, item, "missing")
    elif policy == "build":
        reason = "an image is built by `orch build`, not as it is deployed"
        part.writer.lose(item, reason, "", Consequence.COSMETIC)
    elif _AGES.fullmatch(policy):
        reason = "an image's age is not looked at: it is asked for at each start"
        part.writer.put(path, item, "always", outcome=Fidelity.DEGRADED, reason=reason)


def _environment(part: Part) -> None:
    pairs = part.get("environment")
    for name, item in pairs.items() if pairs is not None else ():
        if item.value is None:
            reason = f"the variable {name} has no value where the file is read, so it is left out"
            mend = f"set {name} in the environment or in .env"
            part.writer.lose(item, reason, mend, Consequence.AVAILABILITY)
        else:
            part.writer.put(part.at("environment", name), item)


def _profiles(part: Part) -> None:
    profiles = part.get("profiles")
    names = {item.value for item in profiles or ()}
    chosen = part.around.chosen_profiles
    if profiles is not None and chosen and ("*" in chosen or names & chosen):
        part.writer.note(part.path, profiles, reason="COMPOSE_PROFILES chooses it")
        return
    part.writer.put_each(part.at("profiles"), profiles)


def _host_shares(part: Part) -> None:
    writer = part.writer
    for key in ("ipc", "pid", "userns_mode"):
        item = part.get(key)
        if item is None:
            continue
        if item.value == "host" or (key == "ipc" and item.value in ("private", "shareable")):
            writer.put(part.at(key), item)
        elif item.value == "private":
            writer.note(part.path, item, reason="this is the default")
        else:
            reason = f"the {key} of another container can't be shared"
            mend = "make this service a sidecar of the other one"
            writer.lose(item, reason, mend, Consequence.AVAILABILITY)
    uts = part.get("uts")
    if uts is not None and uts.value == "private":
        writer.note(part.path, uts, reason="this is the default")


def _stop(part: Part) -> None:
    item = part.get("stop_grace_period")
    part.writer.put(part.at("stop_grace_period"), item, str(item.value) if item else None)


def _logging(part: Part) -> None:
    logging = part.get("logging")
    if logging is not None:
        part.writer.say(part.at("logging"), logging)
        part.writer.put(part.at("logging", "driver"), logging.get("driver"))
        part.writer.put_each(part.at("logging", "options"), logging.get("options"))
        if not logging.value:
            part.writer.put(part.at("logging"), logging)


def _hooks(part: Part) -> None:
    for key in ("post_start", "pre_stop"):
        for hook in part.get(key) or ():
            if part.is_job:
                part.writer.lose(hook, "a job has no hooks", "make it part of the command")
            elif not _runs(hook):
                part.writer.lose(hook, "it has no command", "write one", Consequence.COSMETIC)
            else:
                _hook(part, hook, (key, part.writer.size(part.at(key))))


def _runs(hook: Item) -> bool:
    command = hook.get("command")
    return command is not None and bool(command.value)


def _hook(part: Part, hook: Item, where: tuple[str, int]) -> None:
    path = part.at(*where)
    for key in ("user", "working_dir"):
        part.writer.put((*path, key), hook.get(key))
    part.writer.put_each((*path, "command"), hook.get("command"))
    _plain_environment(part, hook, (*where, "environment"))


def _plain_environment(part: Part, hook: Item, where: tuple[str | int, ...]) -> None:
    pairs = hook.get("environment")
    for name, item in pairs.items() if pairs is not None else ():
        if item.value is None:
            reason = f"the variable {name} has no value, so it is left out"
            part.writer.lose(item, reason, f"write {name}=value", Consequence.AVAILABILITY)
        else:
            part.writer.put(part.at(*where, name), item)


def _pre_start(part: Part) -> None:
    own = part.get("image")
    for step in part.get("pre_start") or ():
        index = part.writer.size(part.at("pre_start"))
        path = part.at("pre_start", index)
        for key in ("image", "user", "working_dir", "privileged"):
            part.writer.put((*path, key), step.get(key))
        if step.get("image") is None and own is not None:
            part.writer.set((*path, "image"), own.value, own)
        part.writer.put_each((*path, "command"), step.get("command"))
        _plain_environment(part, step, ("pre_start", index, "environment"))


def _container_name(part: Part) -> None:
    """Containers are named by the platform; the name itself still answers on the network."""
    item = part.get("container_name")
    if item is None:
        return
    reason = "the platform names containers"
    if item.value == part.name:
        part.writer.note(part.path, item, Fidelity.EMULATED, f"{reason}; the service answers to it")
    elif part.get("network_mode") is not None:
        part.writer.lose(item, reason, "", Consequence.COSMETIC)


def _shm_size(part: Part) -> None:
    item = part.get("shm_size")
    part.writer.put(part.at("shm_size"), item, str(Bytes(item.value)) if item else None)


def _extensions(part: Part) -> None:
    for key, item in part.item.items():
        if key.startswith("x-"):
            part.writer.put(part.at(key), item, item.plain())
