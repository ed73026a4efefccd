"""Short forms to long ones: after this every key of a Compose file has one shape only."""

from __future__ import annotations

import os.path
import re
import shlex
from typing import TYPE_CHECKING, Any

from orch_compose import short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orch.load.item import Item
    from orch_compose.shape import Faults

    Form = Callable[["Context", Item], Item]

_REMOTE = re.compile(r"(?:https?|git|ssh|oci|docker-image|target|service)://|git@|github\.com/")


class Context:
    """Where a file's relative paths start, and where its faults go."""

    def __init__(self, folder: str, home: str, faults: Faults) -> None:
        self.folder, self.home, self.faults = folder, home, faults

    def path(self, text: str) -> str:
        """An absolute path; `~` is the user's home."""
        if text == "~" or text.startswith(("~/", "~\\")):
            text = self.home + text[1:]
        if re.match(r"[A-Za-z]:[\\/]|\\\\", text):
            return text
        return os.path.normpath(os.path.join(self.folder, text))  # noqa: PTH118

    def parsed(self, item: Item, parse: Callable[[str], Any]) -> Any:
        """What a parser makes of an item's text, None when it refuses."""
        try:
            return parse(item.value)
        except ValueError as wrong:
            fault, _, mend = str(wrong).partition("; ")
            self.faults.add(item, fault, mend)
            return None


def canonical(file: Item, context: Context) -> Item:
    """A checked file in long form, its paths absolute."""
    forms: dict[str, Form] = {
        "services": _each(_service),
        "networks": _each(_network),
        "volumes": _each(_external),
        "configs": _each(_file_source),
        "secrets": _each(_file_source),
        "include": _include,
    }
    return _mapped(forms)(context, file)


def _each(form: Form) -> Form:
    def members(context: Context, item: Item) -> Item:
        return item.derive(
            {key: value if key[:2] == "x-" else form(context, value) for key, value in item.items()}
        )

    return members


def _mapped(forms: Mapping[str, Form]) -> Form:
    """Apply a form to each key that has one."""

    def members(context: Context, item: Item) -> Item:
        if not isinstance(item.value, dict):
            return item
        found = {}
        for key, value in item.items():
            form = forms.get(key)
            found[key] = value if form is None or value.value is None else form(context, value)
        return item.derive(found)

    return members


def _in_list(form: Form) -> Form:
    def members(context: Context, item: Item) -> Item:
        return item.derive([form(context, value) for value in item])

    return members


# -- forms of single keys ------------------------------------------------------------------


def _listed(_context: Context, item: Item) -> Item:
    return item if isinstance(item.value, list) else item.derive([item.derive(item.value)])


def _pairs(_context: Context, item: Item) -> Item:
    """`KEY=value` lists as mappings; of a key that stands twice the last one counts."""
    if not isinstance(item.value, list):
        return item
    found: dict[str, Item] = {}
    for member in item:
        key, value = short.pair(member.value)
        if key in found:
            found[key].replace(member.place)
        found[key] = member.derive(value)
    return item.derive(found)


def _names(_context: Context, item: Item) -> Item:
    """A list of names as a mapping to nothing."""
    if not isinstance(item.value, list):
        return item
    return item.derive({member.value: member.derive({}) for member in item})


def _words(context: Context, item: Item) -> Item:
    """A command line as its words."""
    if not isinstance(item.value, str):
        return item
    words = context.parsed(item, _split)
    return item.derive([item.derive(word) for word in words or ()])


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as wrong:
        reason = str(wrong).lower()
        raise ValueError(f"{text!r} is no command line ({reason}); close the quotes") from None


def _test(_context: Context, item: Item) -> Item:
    if isinstance(item.value, list):
        return item
    return item.derive([item.derive("CMD-SHELL"), item.derive(item.value)])


def _long(key: str) -> Form:
    """A bare value as the mapping that has it under `key`."""

    def form(_context: Context, item: Item) -> Item:
        return item if isinstance(item.value, dict) else item.derive({key: item.derive(item.value)})

    return form


def _path(context: Context, item: Item) -> Item:
    return item.derive(context.path(item.value))


def _build_path(context: Context, item: Item) -> Item:
    return item if _REMOTE.match(item.value) else _path(context, item)


def _hosts(context: Context, item: Item) -> Item:
    """Host names to lists of addresses."""
    found: dict[str, Item] = {}
    if isinstance(item.value, list):
        for member in item:
            entry = context.parsed(member, short.extra_host)
            if entry is not None:
                found.setdefault(entry[0], member.derive([])).value.append(member.derive(entry[1]))
        return item.derive(found)
    for host, addresses in item.items():
        listed = _listed(context, addresses)
        found[host] = listed.derive([a.derive(str(a.value).strip("[]")) for a in listed])
    return item.derive(found)


def _ulimit(_context: Context, item: Item) -> Item:
    if isinstance(item.value, dict):
        return item
    return item.derive({"soft": item.derive(item.value), "hard": item.derive(item.value)})


def _gpus(_context: Context, item: Item) -> Item:
    if isinstance(item.value, list):
        return item
    return item.derive([item.derive({"count": item.derive(item.value)})])


def _device(context: Context, item: Item) -> Item:
    if isinstance(item.value, dict):
        return item
    parts = context.parsed(item, short.device) or {"source": item.value}
    return item.derive({key: item.derive(part) for key, part in parts.items()})


def _ports(context: Context, item: Item) -> Item:
    found: list[Item] = []
    for member in item:
        if isinstance(member.value, dict):
            found += _long_port(context, member)
            continue
        for port in context.parsed(member, short.ports) or ():
            found.append(member.derive({key: member.derive(part) for key, part in port.items()}))
    return item.derive(found)


def _long_port(context: Context, member: Item) -> list[Item]:
    target, published = member.get("target"), member.get("published")
    if target is None:
        context.faults.add(member, "this port has no target", "add target: with its number")
        return []
    if published is not None and published.value not in ("", "0"):
        context.parsed(published, short.port_range)
    return [member]


def _mount(context: Context, item: Item) -> Item:
    if isinstance(item.value, dict):
        return _long_mount(context, item)
    parts = context.parsed(item, short.mount)
    if parts is None:
        return item.derive({})
    kind = "bind" if parts.is_path else "volume"
    found: dict[str, Item] = {"type": item.derive(kind), "target": item.derive(parts.target)}
    if parts.source:
        source = context.path(parts.source) if parts.is_path else parts.source
        found["source"] = item.derive(source)
    for option in parts.options:
        (*outer, last), value = short.mount_option(option.strip(), bind=parts.is_path)
        inner = found.setdefault(outer[0], item.derive({})).value if outer else found
        inner[last] = item.derive(value)
    return item.derive(found)


def _long_mount(context: Context, item: Item) -> Item:
    kind, source = item.get("type"), item.get("source")
    found = dict(item.items())
    if item.get("target") is None:
        context.faults.add(item, "this volume has no target", "add target: /path/in/container")
        return item.derive({})
    if kind is not None and kind.value == "bind":
        if source is None:
            context.faults.add(item, "a bind mount needs a source", "add source: /path/on/host")
            return item.derive({})
        found["source"] = _path(context, source)
    if kind is not None and kind.value == "tmpfs" and source is not None:
        context.faults.add(source, "a tmpfs has no source", "remove it, or write type: volume")
    return _mapped({"volume": _mapped({"labels": _pairs})})(context, item.derive(found))


_BUILD = _mapped(
    {
        "context": _build_path,
        "args": _pairs,
        "ssh": _pairs,
        "labels": _pairs,
        "additional_contexts": _pairs,
        "extra_hosts": _hosts,
        "secrets": _in_list(_long("source")),
        "ulimits": _each(_ulimit),
    }
)


def _build(context: Context, item: Item) -> Item:
    return _BUILD(context, _long("context")(context, item))


_HOOK = _mapped({"command": _words, "environment": _pairs})


def _env_files(context: Context, item: Item) -> Item:
    form = _mapped({"path": _path})
    members = [form(context, _long("path")(context, m)) for m in _listed(context, item)]
    return item.derive(members)


def _extends(context: Context, item: Item) -> Item:
    file = item.get("file")
    if file is None or _REMOTE.match(file.value):
        return _long("service")(context, item)
    return _mapped({"file": _path})(context, item)


def _external(_context: Context, item: Item) -> Item:
    """`external: {name: x}` as `external: true` and `name: x`; a null entry as an empty one."""
    external = item.get("external")
    if external is None or not isinstance(external.value, dict):
        form = _mapped({"labels": _pairs})
        return item.derive({}) if item.value is None else form(_context, item)
    found = {**dict(item.items()), "external": external.derive(True)}  # noqa: FBT003
    name = external.get("name")
    if name is not None:
        found["name"] = name
        found["external"] = name.derive(True)  # noqa: FBT003
    return _mapped({"labels": _pairs})(_context, item.derive(found))


def _network(context: Context, item: Item) -> Item:
    return _external(context, item)


def _file_source(context: Context, item: Item) -> Item:
    return _mapped({"file": _path})(context, _external(context, item))


def _include(context: Context, item: Item) -> Item:
    form = _mapped({"path": _listed, "env_file": _listed})
    return item.derive([form(context, _long("path")(context, member)) for member in item])


def _paths(context: Context, item: Item) -> Item:
    listed = _listed(context, item)
    return listed.derive([_path(context, member) for member in listed])


_SERVICE = _mapped(
    {
        "annotations": _pairs,
        "build": _build,
        "command": _words,
        "configs": _in_list(_long("source")),
        "depends_on": _names,
        "deploy": _mapped(
            {
                "labels": _pairs,
                "resources": _mapped(
                    {"reservations": _mapped({"devices": _in_list(_mapped({"options": _pairs}))})}
                ),
            }
        ),
        "devices": _in_list(_device),
        "dns": _listed,
        "dns_search": _listed,
        "entrypoint": _words,
        "env_file": _env_files,
        "environment": _pairs,
        "extends": _extends,
        "extra_hosts": _hosts,
        "gpus": _gpus,
        "healthcheck": _mapped({"test": _test}),
        "label_file": _paths,
        "labels": _pairs,
        "models": _names,
        "networks": _names,
        "ports": _ports,
        "post_start": _in_list(_HOOK),
        "pre_start": _in_list(_HOOK),
        "pre_stop": _in_list(_HOOK),
        "secrets": _in_list(_long("source")),
        "sysctls": _pairs,
        "tmpfs": _listed,
        "ulimits": _each(_ulimit),
        "volumes": _in_list(_mount),
    }
)


def _service(context: Context, item: Item) -> Item:
    return item.derive({}) if item.value is None else _SERVICE(context, item)
