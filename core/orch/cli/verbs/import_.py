"""`orch import`: a spec from files of another format, or from what runs; and its ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from orch.cli.choices import SpecChoice
from orch.cli.command import option, verb
from orch.cli.options import FILE, FILES, OUTPUT, Pair, output_options, target_options
from orch.cli.render import machine
from orch.cli.render.ledger import add_ledger, tally
from orch.cli.render.report import Report, Span
from orch.errors import InvalidSpec, UsageFault
from orch.load.defaults import spread
from orch.load.detect import HEAD
from orch.load.files import folder_of, read_text
from orch.load.move import moved
from orch.types import Severity
from orch.writing import write_whole

if TYPE_CHECKING:
    from orch.backend.contract import Reader, Reading
    from orch.cli.choices import TargetChoice
    from orch.cli.render.shapes import ImportShape
    from orch.cli.root import Settings
    from orch.types import LedgerEntry


@verb(
    "orch import compose.yaml > orch.yaml",
    "orch import compose.yaml compose.prod.yaml -o orch.yaml",
    "orch import compose.yaml --output json",
    "helm template CHART | orch import - -o orch.yaml",
    "orch import -f manifests/ -o orch.yaml",
    "orch import shop --backend swarm -o orch.yaml",
    "orch import app=shop --backend kubernetes --namespace prod",
)
@click.argument("named", nargs=-1, type=FILES, metavar="FILE... | NAME")
@option("-f", "--file", multiple=True, type=FILES, help="The same: a file, a folder, or - .")
@option("--format", "format_", metavar="NAME", help="Format of the files, when it can't be told.")
@option("--profile", multiple=True, metavar="NAME", help="Also take services of this profile.")
@option("--set", "setting", multiple=True, type=Pair(), help="Fill a variable of the files.")
@option(
    "--env-file",
    multiple=True,
    type=FILE,
    help="Read variables from this file; they win over .env.",
)
@option("-o", "--out", "file_out", type=FILE, help="Write the spec to this file.")
@option("--force", is_flag=True, help="Overwrite the file if it is there.")
@option("--all", "every", is_flag=True, heading=OUTPUT, help="Native rows of the ledger too.")
@target_options
@output_options("text", "json", short=False)
@click.pass_context
def command(
    context: click.Context,
    *,
    target: TargetChoice,
    named: tuple[Path, ...],
    file: tuple[Path, ...],
    format_: str | None,
    profile: tuple[str, ...],
    setting: tuple[tuple[str, str], ...],
    env_file: tuple[Path, ...],
    file_out: Path | None,
    force: bool,
    every: bool,
    form: str,
) -> None:
    """Write a spec from files of another format, and tell what could not be carried over.

    With --backend or --target it is made from what runs there under a name, such as that of a
    `docker stack`, or with labels, such as app=shop. The spec goes to stdout or the file that -o
    names, the ledger to stderr.
    """
    from orch.cli.render.document import spec_text

    settings: Settings = context.obj
    files = (*named, *file)
    if not files:
        raise UsageFault("nothing is named", mend="name a file, a folder, - for a pipe, or an app")
    if _is_live(context):
        reading, format_ = _live(target, files)
    else:
        read = spread(files)
        reader = _reader(read, format_)
        choice = SpecChoice(read, format_, None, profile, setting, env_file)
        reading, format_ = reader.read(read, _variables(choice), profile), reader.name
        folder = file_out.parent if file_out is not None else Path()
        document = moved(reading.document, folder_of(read[0]), folder)
        reading = replace(reading, document=document)
    rows = list(reading.ledger) if every else list(reading.ledger.notable)
    if form == "json":
        settings.out.json(_shape(files, format_, reading, rows))
        return
    text = spec_text(reading, files, format_)
    if file_out is None:
        settings.out.write(text)
    else:
        write_whole(file_out, [text], over=force)
        settings.out.write(f"{file_out} is written; check it with: orch validate -f {file_out}\n")
    _tell_ledger(settings, rows, every=every)


def _is_live(context: click.Context) -> bool:
    """Whether a target is named here; one from the environment is where deploys go."""
    sources = [context.get_parameter_source(name) for name in ("backend", "target")]
    return ParameterSource.COMMANDLINE in sources


def _live(choice: TargetChoice, names: tuple[Path, ...]) -> tuple[Reading, str]:
    from orch.backend.contract import SupportsLiveRead
    from orch.cli.connect import opened
    from orch.cli.targets import choose

    target = choose(choice, [Path()])
    if len(names) > 1:
        raise UsageFault("one application is read at a time", mend="name one alone")
    with opened(target) as backend:
        if not isinstance(backend, SupportsLiveRead):
            raise UsageFault(
                f"{backend.name} can't read back what runs there",
                mend="import the file that it was deployed from",
            )
        return backend.read_live(str(names[0]), target.namespace), backend.name


def _variables(choice: SpecChoice) -> dict[str, str]:
    from orch.cli.specfile import source_of
    from orch.load.source import variables_of

    read = variables_of(source_of(choice))
    faults = [d for d in read.diagnostics if d.severity is Severity.ERROR]
    if faults:
        raise InvalidSpec(faults)
    return read.values


def _reader(files: tuple[Path, ...], format_: str | None) -> Reader:
    """The reader that was named, or the one that is surest of the first file."""
    from orch.backend.discovery import installed

    readers = installed().readers
    if format_ is not None:
        if format_ not in readers:
            known = f"choose one of {', '.join(readers)}"
            raise UsageFault(f"there is no reader for {format_!r}", mend=known)
        return readers[format_]
    head = read_text(files[0])[:HEAD]
    scores = {name: reader.detect(files[0], head) for name, reader in readers.items()}
    best = [name for name, score in scores.items() if score and score == max(scores.values())]
    if len(best) == 1:
        return readers[best[0]]
    fault = f"could be {' or '.join(best)}" if best else "is in no format that can be imported"
    mend = f"name it with --format, one of {', '.join(readers)}"
    raise UsageFault(fault, place=str(files[0]), mend=mend)


def _tell_ledger(settings: Settings, rows: list[LedgerEntry], *, every: bool) -> None:
    from orch.types import Fidelity

    report = Report()
    least = Fidelity.NATIVE if every else Fidelity.EMULATED
    add_ledger(report, rows, title=f"Ledger: {tally(rows)}", least=least)
    if not rows:
        report.line(Span("Ledger: ", "strong"), "everything was carried over.")
    settings.out.tell(report)


def _shape(
    files: tuple[Path, ...], format_: str, reading: Reading, rows: list[LedgerEntry]
) -> ImportShape:
    return {
        "version": 1,
        "files": [str(path) for path in files],
        "format": format_,
        "document": dict(reading.document),
        "ledger": [machine.ledger_row(row) for row in rows],
    }
