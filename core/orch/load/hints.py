"""How to mend what was written: the nearest key, the right level, the long form of a short one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from orch.spec.container import FileMount, Mount, Port, Ulimit
from orch.spec.shape import shape_at, shape_of_field
from orch.types import render_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orch.spec.shape import Shape
    from orch.types import FieldPath

_WORDS = {
    "healthcheck": "write `probes` with `readiness` and `liveness`",
    "restart": "write `deploy: {restart_policy: {condition: any}}`",
    "env": "write `environment`",
    "env_file": "write the variables under `environment`",
    "expose": "write `ports` with a `target` and no `published`",
    "links": "services reach each other by name; write `depends_on` for the order",
    "container_name": "replicas are named by orch; remove it",
    "mem_limit": "write `deploy: {resources: {limits: {memory: …}}}`",
    "mem_reservation": "write `deploy: {resources: {reservations: {memory: …}}}`",
    "cpus": "write `deploy: {resources: {limits: {cpus: …}}}`",
    "scale": "write `deploy: {replicas: …}`",
    "tmpfs": "write `volumes: [{type: tmpfs, target: …}]`",
    "args": "write `command`",
    "limits": "write `deploy: {resources: {limits: …}}`",
    "reservations": "write `deploy: {resources: {reservations: …}}`",
    "version": "write `apiVersion: orch/v1`",
    "schedule": "only jobs have a schedule; move this one below `jobs`",
    "extends": "write an environment, or use a YAML anchor",
    "include": "give several files, each with -f",
}
_DEEPEST = 4
_PORT = re.compile(r"(?:(?:([\d.]+):)?(\d+):)?(\d+)(?:/(tcp|udp|sctp))?")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, empty when none is near."""
    from difflib import get_close_matches

    names = list(known)
    letters = sorted(word.casefold())
    same = [name for name in names if sorted(name.casefold()) == letters]
    return next(iter(same or get_close_matches(word, names, 1, 0.65)), "")


def unknown_key_hint(path: FieldPath) -> str:
    """What to write instead of a key that does not exist where it stands."""
    word, shape = str(path[-1]), shape_at(path[:-1])
    if shape is None:
        return "remove it"
    fields = _fields(shape)
    return (
        _below(word, shape)
        or _above(word, path)
        or _WORDS.get(word, "")
        or _meant(word, fields)
        or _deeper(word, shape)
        or f"known keys are {', '.join(sorted(fields))}"
    )


def _fields(shape: Shape) -> dict[str, Shape]:
    whole = [shape, *shape.members]
    return {name: shape_of_field(f) for part in whole for name, f in part.fields.items()}


def _below(word: str, shape: Shape) -> str:
    owners = [name for name, inner in _parts(shape) if word in inner.fields]
    return f"it belongs under `{owners[0]}`" if owners and word not in _WORDS else ""


def _deeper(word: str, shape: Shape) -> str:
    """The nearest place further down that has such a key, breadth first."""
    level = [("", shape)]
    for _ in range(_DEEPEST):
        level = [(f"{way}.{name}", inner) for way, part in level for name, inner in _parts(part)]
        for way, inner in level:
            if word in inner.fields:
                return f"it belongs under `{way[1:]}`"
    return ""


def _parts(shape: Shape) -> list[tuple[str, Shape]]:
    """What is one level down; a service's own `resources` are those of `deploy`."""
    if shape.is_map and shape.item is not None:
        return [("NAME", shape.item)]
    fields = _fields(shape)
    return [(n, inner) for n, inner in fields.items() if n != "resources" or "deploy" not in fields]


def _above(word: str, path: FieldPath) -> str:
    for length in range(len(path) - 2, -1, -1):
        shape = shape_at(path[:length])
        if shape is not None and word in _fields(shape):
            owner = render_path(path[:length])
            if owner or word != "name":
                return f"it belongs directly under `{owner}`" if owner else "it belongs at the top"
    return ""


def _meant(word: str, fields: dict[str, Shape]) -> str:
    near = nearest(word, fields)
    return f"did you mean `{near}`?" if near else ""


def hint_for(shape: Shape, value: Any) -> str:
    """How to write a value of the wrong type, empty when an example must do."""
    if isinstance(value, str):
        return _for_text(shape, value)
    if isinstance(value, list) and (shape.is_map or shape.model is not None):
        return _for_list(shape, value)
    if isinstance(value, dict) and shape.is_list:
        return "write a list; its items begin with -"
    if type(value) is int and shape.model in _FROM_NUMBER:
        return f"write {_FROM_NUMBER[shape.model].format(value)}"
    if isinstance(value, bool | int | float) and str in shape.types:
        return _for_number(shape, value)
    return ""


_FROM_NUMBER = {Port: "{{target: {0}}}", Ulimit: "{{soft: {0}, hard: {0}}}"}


def _for_text(shape: Shape, text: str) -> str:
    if shape.choices:
        near = nearest(text, shape.choices)
        if near:
            return f"did you mean {near}?"
    if shape.is_list and shape.item is not None and shape.item.free_text:
        return f"write a list: {_flow(_words(text))}"
    if shape.model is not None:
        return _long_form(shape.model, text)
    if shape.types & {int, bool} and text.lower() in _BOOLEANS and bool in shape.types:
        return f"write {_BOOLEANS[text.lower()]}"
    if int in shape.types and text.strip().isdigit():
        return f"write {text.strip()} without quotes"
    return ""


_BOOLEANS = {
    **dict.fromkeys(("yes", "on", "y", "true", "1"), "true"),
    **dict.fromkeys(("no", "off", "n", "false", "0"), "false"),
}


def _words(text: str) -> list[str]:
    import shlex

    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _flow(items: list[str]) -> str:
    return f"[{', '.join(_quoted(item) for item in items)}]"


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_/.-][\w/.=@-]*", text) and text.lower() not in _BOOLEANS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _long_form(model: type[Any], text: str) -> str:
    """Compose's short forms, said in full."""
    if model is Port:
        return _long_port(text)
    if model is Mount:
        return _long_mount(text)
    if model is FileMount:
        return f"write {{source: {text}, target: /{text}}}"
    return "write a mapping"


def _long_port(text: str) -> str:
    port = _PORT.fullmatch(text)
    if port is None:
        return "write {target: 8080}"
    parts = {"target": port[3], "published": port[2], "host_ip": port[1], "protocol": port[4]}
    return f"write {{{', '.join(f'{k}: {v}' for k, v in parts.items() if v)}}}"


def _long_mount(text: str) -> str:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not target:
        return "write {type: volume, source: NAME, target: /PATH}"
    kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
    read_only = ", read_only: true" if "ro" in mode.split(",") else ""
    return f"write {{type: {kind}, source: {source}, target: {target}{read_only}}}"


def _for_list(shape: Shape, items: list[Any]) -> str:
    texts = [item for item in items if isinstance(item, str)]
    if not texts or len(texts) != len(items):
        return "write a mapping, KEY: VALUE"
    first = texts[0]
    if "=" in first:
        key, _, value = first.partition("=")
        return f"write a mapping: {{{key}: {_quoted(value)}, …}}"
    if shape.is_map and shape.item is not None and shape.item.model is not None:
        return f"write a mapping: {{{', '.join(f'{text}: {{}}' for text in texts[:4])}}}"
    return "write a mapping, KEY: VALUE"


def _for_number(shape: Shape, value: float) -> str:
    if "file mode" in shape.words and type(value) is int:
        return f'write "{value:04d}"'
    if shape.choices:
        return f"write {' or '.join(shape.choices)}"
    return f"put it in quotes: {json.dumps(json.dumps(value))}"
