"""Commands of plugins: all of them for one that is not ours, and quickly for the help."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

GROUP = "[orch]"


def add_all(root: click.Group) -> None:
    """Let every installed plugin add its commands."""
    from orch.backend.discovery import installed

    installed().manager.hook.orch_register_commands(root=root)


def add_quickly(root: click.Group) -> None:
    """Let the plugins add their commands, found by name in the search path's folders.

    The standard library's own search costs twice the time that the whole help may take. It
    finds a few more (inside archives, by custom finders): these still run, and miss in the help.
    """
    for module in sorted(set(_modules())):
        try:
            register = getattr(import_module(module), "orch_register_commands", None)
        except Exception:  # noqa: BLE001, S112  (`orch backends` reports a broken plugin)
            continue
        if register is not None:
            register(root)


def _modules() -> Iterator[str]:
    for folder in dict.fromkeys(sys.path):
        for path in _entry_files(folder):
            yield from _declared(path)


def _entry_files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder or ".") as entries:
            names = [e.path for e in entries if e.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return
    for name in names:
        path = os.path.join(name, "entry_points.txt")  # noqa: PTH118  (pathlib costs 11 ms)
        if os.path.exists(path):  # noqa: PTH110
            yield path


def _declared(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        section = ""
        for line in map(str.strip, file):
            if line.startswith("["):
                section = line
            elif section == GROUP and "=" in line:
                yield line.partition("=")[2].strip().partition(":")[0]
