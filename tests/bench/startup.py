"""How long `orch --version` and `orch --help` take. Goals: 60 ms and 150 ms."""

from __future__ import annotations

from measure import ORCH, process_seconds, report

report("version", process_seconds([ORCH, "--version"], runs=21) * 1000, "ms")
report("help", process_seconds([ORCH, "--help"], runs=21) * 1000, "ms")
