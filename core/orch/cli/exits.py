"""Every exit code in one table; the reference page and the tests are made from it."""

from __future__ import annotations

from typing import NamedTuple


class ExitCode(NamedTuple):
    """A code, its name, what it tells and what to do about it."""

    code: int
    name: str
    meaning: str
    mend: str


OK, FAULT, USAGE, CHANGES, REFUSED = 0, 1, 2, 3, 4
ROLLED_BACK, FAILED, TIMED_OUT, STALE, UNREACHABLE, INTERRUPTED = 5, 6, 7, 8, 9, 130

TABLE = (
    ExitCode(OK, "done", "Done, or there was nothing to do.", ""),
    ExitCode(
        FAULT,
        "fault",
        "An unexpected fault.",
        "Run it again with --debug and report what it shows.",
    ),
    ExitCode(
        USAGE, "usage", "The command line or the spec is wrong.", "Mend what the messages name."
    ),
    ExitCode(
        CHANGES,
        "changes pending",
        "`plan --exit-code` and `diff --exit-code` found changes, or `drift` found drift.",
        "Deploy, or undo what was changed by hand.",
    ),
    ExitCode(
        REFUSED,
        "refused",
        "The target can't hold what the spec asks for, at the chosen level of fidelity.",
        "Change the spec or the target, or accept the loss with --loose.",
    ),
    ExitCode(
        ROLLED_BACK,
        "rolled back",
        "The rollout failed, and what it changed was returned to the last good release.",
        "Look at the reason and the log lines that were shown, and deploy again.",
    ),
    ExitCode(
        FAILED,
        "failed",
        "The rollout failed and was not rolled back.",
        "Look at `orch status`; mend and deploy again, or run `orch rollback`.",
    ),
    ExitCode(
        TIMED_OUT,
        "timed out",
        "The time given ran out before the wanted state was seen.",
        "Give more with --timeout, or look at `orch status`.",
    ),
    ExitCode(
        STALE,
        "stale or locked",
        "The plan's ground has moved, or another deploy holds the lock.",
        "Plan again; or wait; or, when its holder is gone, run `orch unlock`.",
    ),
    ExitCode(
        UNREACHABLE,
        "unreachable",
        "The target does not answer, or refuses these credentials.",
        "Mend the connection or the credentials.",
    ),
    ExitCode(
        INTERRUPTED,
        "interrupted",
        "Stopped by the user, after saying what stands.",
        "Run the same command again to go on.",
    ),
)


def epilog() -> str:
    """The codes on a few lines, for `orch --help`."""
    return " · ".join(f"{row.code} {row.name}" for row in TABLE)
