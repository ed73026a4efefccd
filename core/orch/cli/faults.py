"""What becomes of a fault: a message of place, fault and mend, and an exit code."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Protocol

import click

from orch.cli import exits
from orch.cli.render.out import ReaderGone
from orch.errors import InvalidSpec, OrchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orch.cli.render.out import Out


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class _Settings(Protocol):
    debug: bool
    out: Out


class Exit(Exception):
    """Ends a verb with a code, after it said all it had to say."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def guarded(invoke: Callable[[], Any], settings: _Settings) -> int:
    """Call, and turn whatever is raised into a message and an exit code."""
    try:
        returned = invoke()
    except BaseException as fault:  # noqa: BLE001  (this is the one place where all end)
        if settings.debug and _worth_a_traceback(fault):
            import traceback

            traceback.print_exception(fault)
        return _tell(fault, settings.out)
    return returned if isinstance(returned, int) else exits.OK


def _worth_a_traceback(fault: BaseException) -> bool:
    return not isinstance(fault, Exit | click.ClickException | SystemExit | ReaderGone)


def _tell(fault: BaseException, out: Out) -> int:
    code = exits.FAULT
    fault = interrupt_of(fault) or fault
    match fault:
        case Exit():
            code = fault.code
        case SystemExit():
            code = fault.code if isinstance(fault.code, int) else exits.OK
        case ReaderGone():
            code = exits.OK
        case OrchError():
            tell_fault(fault, out)
            code = fault.exit_code
        case click.exceptions.Exit():
            code = fault.exit_code
        case click.ClickException():
            code = _tell_usage(fault, out)
        case KeyboardInterrupt() | click.Abort():
            out.say("orch: interrupted; nothing more was done")
            code = exits.INTERRUPTED
        case OSError():
            code = _tell_system(fault, out)
        case _:
            _tell_unexpected(fault, out)
    return code


def _tell_system(fault: OSError, out: Out) -> int:
    if isinstance(fault, FileNotFoundError) and not _has_folder():
        out.say("orch: the folder that you are in is no longer there; go to another one")
        return exits.USAGE
    if fault.filename is not None:
        out.say(f"orch: {fault.filename}: {fault.strerror}")
        return exits.USAGE
    if fault.errno in _FULL:
        out.say(f"orch: the output is not whole: {fault.strerror}")
    else:
        _tell_unexpected(fault, out)
    return exits.FAULT


def interrupt_of(fault: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt behind a fault: one that cuts into making a class comes out as another."""
    while fault is not None and not isinstance(fault, KeyboardInterrupt):
        fault = fault.__cause__
    return fault


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  (pathlib is a slow import)
    except FileNotFoundError:
        return False
    return True


def tell_fault(fault: OrchError, out: Out) -> None:
    """Write the message of a fault; an invalid spec tells every fault on a line of its own."""
    if isinstance(fault, InvalidSpec):
        from orch.cli.render.diagnostics import diagnostics_report

        out.tell(diagnostics_report(fault.diagnostics))
        return
    from orch.cli.render.report import Report, Span, printable

    report = Report()
    place = f"{fault.place}: " if fault.place else ""
    report.line(Span("error: ", "bad"), place, printable(fault.fault))
    if fault.mend:
        report.line(Span("  mend: ", "good"), printable(fault.mend))
    out.tell(report)


def _tell_usage(fault: click.ClickException, out: Out) -> int:
    where = fault.ctx.command_path if isinstance(fault, click.UsageError) and fault.ctx else "orch"
    message = fault.format_message()
    out.say(f"{where}: {message[:1].lower()}{message[1:].rstrip('.')}")
    if isinstance(fault, click.UsageError) and fault.ctx is not None:
        out.say(f"  see: {where} --help")
    return exits.USAGE


def _tell_unexpected(fault: BaseException, out: Out) -> None:
    out.say(f"orch: unexpected fault: {type(fault).__name__}: {fault}")
    out.say("  this is a defect of orch or of a plugin; --debug shows where it happened")
