"""`python -m orch.cli` is `orch`."""

import sys

from orch.cli import main

sys.exit(main())
