"""Reference pages made from the code: the spec, the command line, exit codes, hooks, capabilities.

`write_pages(folder)` writes all of them; Sphinx calls it before each build, and the tests read
what `pages()` gives.
"""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from orch.backend import hooks
from orch.backend.discovery import installed, missing_modules
from orch.cli import exits
from orch.cli.root import Settings, root
from orch.frozen import FrozenDict
from orch.spec.application import Application
from orch.spec.image import Image
from orch.spec.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic.fields import FieldInfo

    from orch.backend.capabilities import Capabilities

Pattern = tuple[str, ...]
LISTED_PATHS = 6


def write_pages(folder: Path) -> None:
    """Write every generated page; a page that did not change keeps its time stamp."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()


def pages() -> dict[str, str]:
    """The text of every generated page by file name."""
    return {
        "spec.md": spec_page(),
        "cli.md": cli_page(),
        "exit-codes.md": exit_code_page(),
        "hooks.md": hook_page(),
        "capabilities.md": capability_page(),
    }


# -- the spec --------------------------------------------------------------------------------


def spec_page() -> str:
    """Every model with its fields, where it occurs, types and defaults."""
    lines = [
        "# The spec",
        "",
        "Every field of `orch/v1`, made from the model itself. `*` stands for a name or an index.",
        "`orch explain FIELD` tells the same on the command line.",
    ]
    for model, patterns in occurrences().items():
        lines += ["", f"(spec-{model.__name__.lower()})=", f"## {model.__name__}", ""]
        lines += [docstring(model), "", where(patterns)]
        for name, field in own_fields(model).items():
            lines += ["", f"### {model.__name__}.{field.alias or name}", "", *about(field)]
    return "\n".join(lines) + "\n"


def occurrences() -> dict[type[BaseModel], list[Pattern]]:
    """Every model of the spec, bases too, with the paths at which it stands."""
    found: dict[type[BaseModel], list[Pattern]] = {}

    def visit(model: type[BaseModel], path: Pattern) -> None:
        for kind in model.__mro__:
            if issubclass(kind, BaseModel) and own_fields(kind):
                found.setdefault(kind, []).append(path)
        for name, field in model.model_fields.items():
            for child, below in models_in(field.annotation, (*path, field.alias or name)):
                visit(child, below)

    visit(Application, ())
    return found


def fields() -> Iterator[tuple[Pattern, FieldInfo]]:
    """Every field of the spec by its path, parents before children."""

    def visit(model: type[BaseModel], path: Pattern) -> Iterator[tuple[Pattern, FieldInfo]]:
        for name, field in model.model_fields.items():
            here = (*path, field.alias or name)
            yield here, field
            for child, below in models_in(field.annotation, here):
                yield from visit(child, below)

    return visit(Application, ())


def models_in(annotation: Any, path: Pattern) -> Iterator[tuple[type[BaseModel], Pattern]]:
    """Models that a field holds, with the path at which each stands."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (dict, tuple):
        yield from models_in(arguments[1] if origin is dict else arguments[0], (*path, "*"))
    elif origin is Annotated:
        yield from models_in(arguments[0], path)
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from models_in(argument, path)


def own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields that this class itself declares."""
    declared = inspect.get_annotations(model)
    return {name: f for name, f in model.model_fields.items() if name in declared}


def about(field: FieldInfo) -> list[str]:
    """Type, default and meaning of a field."""
    default = default_of(field)
    lines = [
        f"*{type_of(field.annotation, field.metadata)}*" + (f" · {default}" if default else "")
    ]
    return [*lines, "", field.description or ""]


def default_of(field: FieldInfo) -> str:
    """The default in words."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or value in ((), FrozenDict()):
        return ""
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, tuple):
        value = ", ".join(value)
    return f"default `{value}`"


def type_of(annotation: Any, metadata: Any = ()) -> str:
    """A type as a reader of YAML thinks of it."""
    bounds = bounds_of(metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0], (*arguments[1:], *metadata))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_of(a) for a in arguments if a is not type(None)))
    if origin is tuple:
        return f"list of {type_of(arguments[0])}"
    if origin is dict:
        return f"mapping of name to {type_of(arguments[1])}"
    return simple_type(annotation) + bounds


def simple_type(kind: Any) -> str:
    """A type without parameters."""
    words = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any"}
    if kind in words:
        return words[kind]
    if issubclass(kind, BaseModel):
        listed = next(base for base in kind.__mro__ if own_fields(base))
        return f"[{kind.__name__}](#spec-{listed.__name__.lower()})"
    if issubclass(kind, Unit):
        return f"{kind.noun} (" + ", ".join(f"`{form}`" for form in kind.forms) + ")"
    return "image reference" if kind is Image else str(kind.__name__)


def bounds_of(metadata: Any) -> str:
    """Lower and upper bound of a number."""
    limits = {
        name: getattr(m, name)
        for m in flattened(metadata)
        for name in ("ge", "gt", "le")
        if getattr(m, name, None) is not None
    }
    words = {"ge": "from {}", "gt": "above {}", "le": "to {}"}
    said = [words[name].format(f"{limits[name]:g}") for name in words if name in limits]
    return " " + " ".join(said) if said else ""


def flattened(metadata: Any) -> Iterator[Any]:
    """Constraints, also those inside a pydantic Field."""
    for item in metadata:
        yield item
        yield from getattr(item, "metadata", ())


def where(patterns: list[Pattern]) -> str:
    """The places at which a model stands, a few of them when there are many."""
    shown = [f"`{'.'.join(path)}`" for path in dict.fromkeys(patterns) if path]
    if not shown:
        return "The whole file."
    more = len(shown) - LISTED_PATHS
    return "At " + ", ".join(shown[:LISTED_PATHS]) + (f" and {more} more." if more > 0 else ".")


# -- the command line ------------------------------------------------------------------------


def cli_page() -> str:
    """Every verb with its usage, help and options."""
    lines = ["# The command line", "", "Every verb, made from the program itself."]
    for path, command in verbs():
        lines += ["", f"## {' '.join(('orch', *path))}", "", *verb_lines(path, command)]
    return "\n".join(lines) + "\n"


def verbs() -> Iterator[tuple[Pattern, click.Command]]:
    """Every command that is no hidden one, those of plugins too."""
    context = click.Context(root, info_name="orch", obj=Settings())

    def visit(
        group: click.Group, parent: click.Context, path: Pattern
    ) -> Iterator[tuple[Pattern, click.Command]]:
        for name in group.list_commands(parent):
            command = group.get_command(parent, name)
            if command is None or command.hidden:
                continue
            yield (*path, name), command
            if isinstance(command, click.Group):
                below = click.Context(command, info_name=name, parent=parent)
                yield from visit(command, below, (*path, name))

    return visit(root, context, ())


def verb_lines(path: Pattern, command: click.Command) -> list[str]:
    """What `--help` says, as it says it."""
    context = click.Context(root, info_name="orch", obj=Settings())
    for name in path[:-1]:
        context = click.Context(root, info_name=name, parent=context)
    context = click.Context(
        command, info_name=path[-1], parent=context, terminal_width=88, max_content_width=88
    )
    return ["```text", command.get_help(context), "```"]


def exit_code_page() -> str:
    """What each exit code tells."""
    lines = ["# Exit codes", "", "`exec` returns the code of the command that it ran."]
    for row in exits.TABLE:
        lines += ["", f"## {row.code}: {row.name}", "", f"{row.meaning} {row.mend}".strip()]
    return "\n".join(lines) + "\n"


# -- plugins ---------------------------------------------------------------------------------


def hook_page() -> str:
    """Every hook with its signature."""
    lines = [
        "# Hooks",
        "",
        "What a plugin may implement, with `@hook` of `orch.backend.hooks` above it. A plugin is",
        "found by the entry-point group `orch`.",
    ]
    for name, function in hook_functions().items():
        signature = str(inspect.signature(function)).replace("'", "")
        lines += ["", f"## {name}", "", "```python", f"def {name}{signature}: ...", "```", ""]
        lines += [docstring(function)]
    return "\n".join(lines) + "\n"


def hook_functions() -> dict[str, Any]:
    """The hook specifications by name."""
    return {n: f for n, f in vars(hooks).items() if n.startswith("orch_register_")}


def capability_page() -> str:
    """What each backend makes of each field, at best."""
    lines = [
        "# Capabilities",
        "",
        "The best that each field can get on each backend: *native*, *emulated* (by objects or",
        "work that we add), *degraded* (works, but differently) or *lost*. A field's row in a",
        "ledger is equal or worse, never better. `orch explain FIELD --backend NAME` tells it",
        "too. A field below which all fields fare alike is shown alone.",
    ]
    plugins = installed()
    for name, factory in plugins.backends.items():
        lines += ["", f"## {name}", "", factory.summary, ""]
        if missing_modules(factory):
            lines.append(f"Not installed here; `pip install 'anyorch[{factory.extra}]'` adds it.")
            continue
        lines += capability_table(plugins.backend(name).capabilities())
    return "\n".join(lines) + "\n"


def capability_table(capabilities: Capabilities) -> list[str]:
    """One row a field; children that fare as their parent does are left out."""
    rows: dict[Pattern, tuple[str, str]] = {}
    for path, _ in fields():
        row = (str(capabilities.best(path)), capabilities.reason(path))
        if row != nearest(rows, path):
            rows[path] = row
    table = [f"| `{'.'.join(path)}` | {best} | {cell(why)} |" for path, (best, why) in rows.items()]
    return ["| field | at best | how, or why not |", "|---|---|---|", *table]


def nearest(rows: dict[Pattern, tuple[str, str]], path: Pattern) -> tuple[str, str] | None:
    """The row of the closest parent that has one."""
    parents = (path[:length] for length in range(len(path) - 1, 0, -1))
    return next((rows[parent] for parent in parents if parent in rows), None)


def cell(text: str) -> str:
    """Text that stands in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def docstring(thing: Any) -> str:
    """The docstring with its indentation removed."""
    return inspect.getdoc(thing) or ""
