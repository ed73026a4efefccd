"""One application spec, any orchestrator."""
