"""`python -m orch.cli` is `orch`."""

import sys

from orch.cli import program

sys.exit(program())
