"""`orch port-forward` as users run it: a process that listens until it is told to end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orch.testing.conformance import Trial

ORCH = str(Path(sys.executable).with_name("orch"))
PATIENCE = 60
_LINE = re.compile(r"(?P<address>\S+):(?P<local>\d+) -> (?P<service>\S+):(?P<port>\d+)")


def forward_command(trial: Trial, kubeconfig: Path, *words: str) -> list[str]:
    """The command line for a deployment that a trial made."""
    where = ["--backend", "kubernetes", "--option", f"kubeconfig={kubeconfig}"]
    named = ["--namespace", trial.instance.namespace, "--name", trial.instance.name]
    return [ORCH, "port-forward", *where, *named, *words]


def refused(command: Sequence[str]) -> tuple[int, str]:
    """The exit code and the message of a command that does not get to listen."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert not ended.stdout
    return ended.returncode, ended.stderr


@dataclass
class Forwarder:
    """A running one; `ports` are the local ports by those of the service."""

    process: subprocess.Popen[str]
    ports: dict[int, int]

    @classmethod
    def start(cls, command: Sequence[str], count: int = 1) -> Forwarder:
        """Return once it listens on so many ports."""
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        found = [_LINE.fullmatch(process.stdout.readline().strip()) for _ in range(count)]
        return cls(process, {int(one["port"]): int(one["local"]) for one in found if one})

    def heard(self) -> str:
        """The next line that it tells of a connection that failed."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def interrupt(self) -> tuple[int, str]:
        """End it as Ctrl-C does; its exit code and what it still said."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said

    def end(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=PATIENCE)
