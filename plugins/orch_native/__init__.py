"""The native backend: our own scheduler for bare hosts."""
