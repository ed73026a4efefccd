"""Finding and loading the spec that a command line means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import InvalidSpec
from orch.load.defaults import default_files, spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orch.backend.contract import Reader
    from orch.cli.choices import SpecChoice
    from orch.cli.render.out import Out
    from orch.load.source import Loaded, Source


def load_spec(choice: SpecChoice, out: Out) -> Loaded:
    """Load the chosen spec and tell its warnings.

    Raises UsageFault when there is no file, InvalidSpec with every fault of it.
    """
    loaded = read_spec(choice)
    if loaded.warnings:
        from orch.cli.render.diagnostics import diagnostics_report

        out.tell(diagnostics_report(loaded.warnings))
    return loaded


def read_spec(choice: SpecChoice) -> Loaded:
    """Load the chosen spec and tell nothing."""
    from orch.load.source import load

    return load(source_of(choice), _readers())


def read_name(choice: SpecChoice) -> str:
    """The name that the chosen spec gives to its application; the rest of it may have faults."""
    from orch.load.source import load_name

    return load_name(source_of(choice), _readers())


def source_of(choice: SpecChoice) -> Source:
    """What is to be loaded, with the variables of the process and of --env-file and --set.

    Raises InvalidSpec for a fault in a file of variables.
    """
    from orch.load.source import Source

    return Source(
        files=files_of(choice),
        format=choice.format,
        environment=choice.environment,
        profiles=choice.profiles,
        variables=_variables(choice),
        settings=dict(choice.settings),
    )


def files_of(choice: SpecChoice) -> tuple[Path, ...]:
    """The files named, or those of the working directory. Raises UsageFault when there is none."""
    return spread(choice.files) or default_files(Path())


def folder_of(choice: SpecChoice) -> Path:
    """The folder beside which targets.yaml is looked for."""
    files = spread(choice.files[:1])
    return files[0].parent if files else Path()


def _readers() -> Mapping[str, Reader]:
    from orch.backend.discovery import installed

    return installed().readers


def _variables(choice: SpecChoice) -> dict[str, str]:
    from orch.load.dotenv import read_variables
    from orch.load.files import read_text

    outer = dict(os.environ)
    variables: dict[str, str] = {}
    for path in choice.env_files:
        read = read_variables(read_text(path), str(path), {**variables, **outer})
        if read.diagnostics:
            raise InvalidSpec(read.diagnostics)
        variables.update(read.values)
    return {**variables, **outer}
