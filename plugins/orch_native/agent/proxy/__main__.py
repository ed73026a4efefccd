"""Run the proxy: `python -m orch_native.agent.proxy CONTROL_SOCKET`."""

from __future__ import annotations

import sys
from pathlib import Path

from orch_native.agent.proxy.server import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
