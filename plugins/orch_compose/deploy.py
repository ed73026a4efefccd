"""How a service is run: size, restarts, updates, placement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orch.types import Consequence, Fidelity
from orch_compose.part import JOB_MODES
from orch_compose.resources import write_resources

if TYPE_CHECKING:
    from orch.load.item import Item
    from orch_compose.part import Part

_CONDITIONS = {
    "none": "none",
    "no": "none",
    "on-failure": "on-failure",
    "any": "any",
    "always": "any",
    "unless-stopped": "any",
}
_CONSTRAINT = re.compile(r"\s*([A-Za-z0-9_./-]+?)\s*(==|!=)\s*(.*?)\s*")
_ATTRIBUTES = {"node.platform.os": "node.os", "node.platform.arch": "node.arch"}
_ACTIONS = {
    "update_config": ("rollback", "pause", "continue"),
    "rollback_config": ("pause", "continue"),
}


def write_deploy(part: Part) -> None:
    """Write the deploy section and the older keys that mean the same."""
    write_resources(part)
    _placement(part)
    if part.is_job:
        _job(part)
        return
    deploy = part.get("deploy")
    _mode(part, deploy)
    _replicas(part)
    _restart(part)
    for key in ("update_config", "rollback_config"):
        _roll(part, key)
    if deploy is None:
        return
    for key in ("labels",):
        labels = deploy.get(key)
        for name, item in labels.items() if labels is not None else ():
            part.writer.put(part.at("deploy", key, name), item, item.value or "")
    _word(part, deploy.get("endpoint_mode"), "endpoint_mode", ("vip", "dnsrr"))
    for key, item in deploy.items():
        if key.startswith("x-"):
            part.writer.put(part.at("deploy", key), item)
    if not deploy.value:
        part.writer.put(part.at("deploy"), deploy)


def _word(part: Part, item: Item | None, key: str, words: tuple[str, ...]) -> None:
    if item is not None and item.value in words:
        part.writer.put(part.at("deploy", key), item)
    elif item is not None:
        reason = f"{item.value!r} is not known"
        part.writer.lose(item, reason, f"write {' or '.join(words)}", Consequence.AVAILABILITY)


def _mode(part: Part, deploy: Item | None) -> None:
    _word(part, deploy and deploy.get("mode"), "mode", ("replicated", "global"))


def _replicas(part: Part) -> None:
    """`deploy.replicas`; `scale` says the same and wins, as on the command line."""
    replicas, scale = part.item.at("deploy", "replicas"), part.get("scale")
    path = part.at("deploy", "replicas")
    part.writer.put(path, replicas)
    part.writer.put(path, scale)


def _job(part: Part) -> None:
    """What of a service that ends can be said of a job."""
    writer, deploy = part.writer, part.get("deploy")
    mode = part.item.at("deploy", "mode")
    if mode is not None and mode.value in JOB_MODES:
        outcome = Fidelity.DEGRADED if mode.value == "global-job" else Fidelity.NATIVE
        reason = "it runs once, not once on every node" if outcome is Fidelity.DEGRADED else ""
        writer.note(part.path, mode, outcome, reason)
    elif mode is not None and mode.value == "replicated":
        writer.note(part.path, mode, reason="others wait for its end, so it is a job")
    replicas = part.item.at("deploy", "replicas") or part.get("scale")
    for key in ("completions", "parallelism"):
        if replicas is not None and replicas.value > 0:
            writer.put(part.at(key), replicas)
    _job_retries(part)
    if deploy is not None and not deploy.value:
        writer.note(part.path, deploy)


def _job_retries(part: Part) -> None:
    policy, restart = part.item.at("deploy", "restart_policy"), part.get("restart")
    path = part.at("backoff_limit")
    if policy is not None:
        _job_policy(part, policy)
        part.writer.note(part.path, restart, reason="deploy.restart_policy counts")
        return
    if restart is None:
        part.writer.set(path, 0, part.item)
        return
    condition, _, count = restart.value.partition(":")
    if condition == "no":
        part.writer.put(path, restart, 0)
    elif condition == "on-failure" and count.isdigit():
        part.writer.put(path, restart, int(count))
    elif condition == "on-failure":
        reason = "a job's retries are bounded; without a number there are three"
        part.writer.note(part.path, restart, Fidelity.DEGRADED, reason)
    else:
        reason = "a job is not started again once it succeeded"
        part.writer.note(part.path, restart, Fidelity.DEGRADED, reason)


def _job_policy(part: Part, policy: Item) -> None:
    attempts, condition = policy.get("max_attempts"), policy.get("condition")
    path = part.at("backoff_limit")
    if condition is not None and condition.value == "none":
        part.writer.put(path, condition, 0)
        part.writer.note(path, attempts)
        return
    part.writer.put(path, attempts)
    part.writer.note(part.path, condition, reason="a job is tried again after a failure")
    for key in ("delay", "window"):
        item = policy.get(key)
        part.writer.put(part.at("restart_policy", key), item, str(item.value) if item else None)


def _restart(part: Part) -> None:
    policy, restart = part.item.at("deploy", "restart_policy"), part.get("restart")
    path = part.at("deploy", "restart_policy")
    if policy is not None:
        part.writer.say(path, policy)
        _policy(part, policy, path)
        part.writer.note(part.path, restart, reason="deploy.restart_policy counts")
        return
    if restart is None:
        return
    condition, _, count = restart.value.partition(":")
    known = _CONDITIONS.get(condition)
    if known is None or (count and not count.isdigit()):
        reason, mend = f"{restart.value!r} is not known", 'write "no", always or on-failure:3'
        part.writer.lose(restart, reason, mend, Consequence.AVAILABILITY)
        return
    part.writer.put((*path, "condition"), restart, known)
    if count and known == "on-failure":
        part.writer.put((*path, "max_attempts"), restart, int(count))


def _policy(part: Part, policy: Item, path: tuple[Any, ...]) -> None:
    condition = policy.get("condition")
    known = _CONDITIONS.get(condition.value) if condition is not None else None
    if known is None:
        part.writer.lose(condition, "this condition is not known", "write none, on-failure or any")
    else:
        part.writer.put((*path, "condition"), condition, known)
    for key in ("delay", "window"):
        item = policy.get(key)
        part.writer.put((*path, key), item, str(item.value) if item else None)
    part.writer.put((*path, "max_attempts"), policy.get("max_attempts"))
    if not policy.value:
        part.writer.put(path, policy)


def _roll(part: Part, key: str) -> None:
    config = part.item.at("deploy", key)
    if config is None:
        return
    writer, path = part.writer, part.at("deploy", key)
    if not config.value:
        writer.put(path, config)
    writer.say(path, config)
    for name in ("parallelism", "max_failure_ratio", "order"):
        writer.put((*path, name), config.get(name))
    for name in ("delay", "monitor"):
        item = config.get(name)
        writer.put((*path, name), item, str(item.value) if item else None)
    action = config.get("failure_action")
    if action is not None and action.value in _ACTIONS[key]:
        writer.put((*path, "failure_action"), action)
    else:
        mend = f"write {' or '.join(_ACTIONS[key])}"
        writer.lose(action, "this action is not known", mend, Consequence.AVAILABILITY)


def _placement(part: Part) -> None:
    placement = part.item.at("deploy", "placement")
    if placement is None:
        return
    path = part.at("placement") if part.is_job else part.at("deploy", "placement")
    if not placement.value:
        part.writer.put(path, placement)
    rules: list[str] = []
    for item in placement.get("constraints") or ():
        _constraint(part, item, (*path, "constraints", len(rules)), rules)
    part.writer.put_each((*path, "preferences"), placement.get("preferences"))
    part.writer.put((*path, "max_replicas_per_node"), placement.get("max_replicas_per_node"))


def _constraint(part: Part, item: Item, path: tuple[Any, ...], rules: list[str]) -> None:
    match = _CONSTRAINT.fullmatch(item.value)
    if match is None:
        reason = f"{item.value!r} is no rule: it has neither == nor !="
        mend = "write it as in node.labels.tier == web"
        part.writer.lose(item, reason, mend, Consequence.AVAILABILITY)
        return
    attribute = _ATTRIBUTES.get(match[1], match[1])
    rules.append(f"{attribute} {match[2]} {match[3]}")
    part.writer.put(path, item, rules[-1])
