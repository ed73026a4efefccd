"""The neutral application model `orch/v1`, a file per noun; no I/O."""
