"""Start one process of the host, keep its output and its end; outlive the agent.

A program of its own, run by path as `python -I -S supervisor FOLDER` with its settings as JSON on
standard input, so that no secret is in an argument or a file. It uses the standard library alone
and stays small. In FOLDER it holds the file `lock` locked as long as it lives, writes `run.json`
before the process starts and `exit.json` after everything that the process left behind is gone.

`python -I -S supervisor --enter PID FD` runs a command beside a running process, in its
namespaces, and becomes that command.
"""

from __future__ import annotations

import sys

from child import enter
from life import supervise

if __name__ == "__main__":
    if sys.argv[1] == "--enter":
        enter(int(sys.argv[2]), int(sys.argv[3]))
    sys.exit(supervise(sys.argv[1]))
