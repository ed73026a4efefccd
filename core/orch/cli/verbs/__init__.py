"""The verbs, a file each; every file has a `command`."""
