"""`python -m orch_native.daemon_process`: a server with the agent of this host, in this process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orch.errors import OrchError
from orch_native.daemon import parse_labels
from orch_native.server.instance import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orch_native.messages import Agent, Observation

_LARGEST_LOG = 8 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until stopped; 0, or the exit code of what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m orch_native.daemon_process")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--option", action="append", default=[])
    given = parser.parse_args(arguments)
    options = dict(option.split("=", 1) for option in given.option)
    return run(given.state, options, given.ready_fd)


def run(state: Path, options: dict[str, str], ready_fd: int | None = None) -> int:
    """Run a server with the local agent."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    _shorten(state / "daemon.log")
    try:
        serve(state, local_agent(state, options), lambda: _tell_ready(ready_fd))
    except OrchError as fault:
        print(f"orch server: {fault}", file=sys.stderr)  # noqa: T201  (the process's own words)
        return fault.exit_code
    return 0


def local_agent(
    state: Path, options: dict[str, str]
) -> Callable[[Callable[[Sequence[Observation]], None]], Agent]:
    """How the agent of this host is made."""
    from orch_native.agent.local import LocalAgent

    chosen = options.get("docker_host") or os.environ.get("DOCKER_HOST")
    docker_host = _kept(state / "docker_host", chosen) or None
    labels = parse_labels(_kept(state / "labels", options.get("labels")))
    return lambda report: LocalAgent(
        state / "agent", report, docker_host=docker_host, labels=labels
    )


def _kept(path: Path, given: str | None) -> str:
    """A setting that holds until another is given."""
    if given is not None:
        path.write_text(given)
    return path.read_text() if path.exists() else ""


def _tell_ready(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)


def _shorten(log: Path) -> None:
    """Begin the log anew when it has grown long; the file itself stays the one that is open."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.with_suffix(".log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)


if __name__ == "__main__":
    sys.exit(main())
