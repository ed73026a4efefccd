"""How the image is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orch.types import Consequence
from orch_compose.paths import relative

if TYPE_CHECKING:
    from orch_compose.part import Part


def write_build(part: Part) -> None:
    """Write what `orch build` needs; caches, tags and the like are lost."""
    build = part.get("build")
    if build is None:
        return
    writer, path = part.writer, part.at("build")
    writer.set(path, {}, build)
    if not build.value:
        writer.note(path, build)
    context = build.get("context")
    if context is not None:
        writer.put((*path, "context"), context, relative(context.value, part.around.base))
    for key in ("dockerfile", "target"):
        writer.put((*path, key), build.get(key))
    writer.put_each((*path, "platforms"), build.get("platforms"))
    args = build.get("args")
    for name, item in args.items() if args is not None else ():
        if item.value is None:
            reason = f"the variable {name} has no value where the file is read"
            writer.lose(item, reason, f"set {name} in the environment", Consequence.AVAILABILITY)
        else:
            writer.put((*path, "args", name), item)
