"""The version of orch, alone in a file so that printing it imports nothing."""

__version__ = "0.1.0"
